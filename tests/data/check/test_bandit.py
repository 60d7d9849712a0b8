from __future__ import annotations

import subprocess

import pytest

from spillover.data.check import bandit
from spillover.data.check.bandit import NOT_SCANNED, scan
from spillover.errors import DataError

OPEN_TO_ALL = "import os\n\nos.chmod('a', 0o777)\n"


def ids_of(findings):
    return [finding.test for finding in findings]


def test_findings_come_back_at_their_row_with_number_severity_and_line():
    found = scan(["x = 1\n", None, OPEN_TO_ALL])
    assert found[0] == found[1] == ()
    (finding,) = found[2]
    assert (finding.test, finding.cwe, finding.severity, finding.confidence) == ("B103", 732, "HIGH", "HIGH")
    assert finding.line == 3


def test_rows_keep_their_place_when_two_processes_share_them(monkeypatch):
    monkeypatch.setattr(bandit, "_FEWEST_FOR_TWO", 4)
    found = scan(["x = 1", OPEN_TO_ALL, "y = 2", None, "import pickle\npickle.loads(b)", "z = 3"])
    assert [ids_of(f) for f in found] == [[], ["B103"], [], [], ["B403", "B301"], []]


def test_a_mark_that_asks_for_silence_is_not_obeyed():
    assert ids_of(scan([OPEN_TO_ALL.replace(")", ")  # nosec")])[0]) == ["B103"]


def test_a_coding_mark_does_not_hide_a_program():
    assert ids_of(scan(["# -*- coding: utf-7 -*-\n" + OPEN_TO_ALL])[0]) == ["B103"]


@pytest.mark.parametrize(
    "code", ["def broken(:", "x = '\ud800'", "x = 1\0", "(" * 3000, "x = '" + "a" * 1_000_000 + "'"]
)
def test_a_program_that_cannot_be_read_is_said_to_be_not_scanned(code):
    found = scan([code, OPEN_TO_ALL])
    assert ids_of(found[0]) == [NOT_SCANNED]
    assert ids_of(found[1]) == ["B103"]


def test_deep_programs_do_not_take_the_others_with_them():
    found = scan(["x = " + "+".join(["a"] * 900), "x = a" + ".b()" * 900, OPEN_TO_ALL])
    assert ids_of(found[2]) == ["B103"]


def test_nothing_to_scan_starts_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    assert scan([None, None]) == [(), ()]
    assert scan([]) == []


def stub(monkeypatch, code=0, out=b"", err=b""):
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code, out, err))


def test_a_bandit_that_fails_is_an_error_that_says_so(monkeypatch):
    stub(monkeypatch, 1, err=b"trace\nNo module named bandit")
    with pytest.raises(DataError, match=r"code 1 \(No module named bandit\).*pip install"):
        scan(["x = 1"])


@pytest.mark.parametrize(
    "out", [b"", b"not json", b"[]", b'{"results": []}', b'{"results": [{}], "errors": [], "metrics": {}}']
)
def test_an_unknown_report_is_an_error(monkeypatch, out):
    stub(monkeypatch, 0, out)
    with pytest.raises(DataError, match="bandit"):
        scan(["x = 1"])


def test_a_bandit_that_hangs_is_an_error(monkeypatch):
    def hang(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(DataError, match="longer than"):
        scan(["x = 1"])


def test_a_file_that_bandit_left_out_is_said_to_be_not_scanned(monkeypatch):
    stub(monkeypatch, 0, b'{"results": [], "errors": [], "metrics": {"_totals": {}}}')
    assert ids_of(scan(["x = 1"])[0]) == [NOT_SCANNED]
