"""Many programs, checked in two processes: the same findings, in order, and no quiet loss."""

from __future__ import annotations

import pytest

from spillover.data.check.weaknesses import find_in_all, find_weaknesses, side_by_side
from spillover.errors import DataError

WEAK = "import subprocess\ndef run_{0}(name):\n    subprocess.run('ls ' + name, shell=True)\n"
FINE = "def add_{0}(a, b):\n    return a + b\n"


def programs(count):
    cycle = [WEAK, FINE, None, "def broken(:\n", "x = '\ud800 {0}'\n"]
    return [None if (text := cycle[i % 5]) is None else text.replace("{0}", str(i)) for i in range(count)]


def test_two_processes_find_what_one_finds():
    codes = programs(side_by_side._FEWEST * 2)
    assert sum(c is not None for c in codes) >= side_by_side._FEWEST
    found = find_in_all(codes)
    assert found == [() if c is None else find_weaknesses(c) for c in codes]
    assert found[0] and not found[1]


def test_a_process_that_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(side_by_side.sys, "executable", "false")
    with pytest.raises(DataError, match="ended with code 1"):
        find_in_all(programs(side_by_side._FEWEST * 2))
