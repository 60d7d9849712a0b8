"""Memory that was freed goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Blocks below glibc's threshold for pages of their own, with small ones between them that stay.
_CHILD = """
from spillover.local.memory import give_back
def held():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmRSS"))
before = held()
blocks = [(bytearray(b"x" * 60_000), bytearray(600)) for _ in range(4000)]
kept = [small for _, small in blocks]
del blocks
freed = held()
give_back()
print(before, freed, held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc holds freed memory back")
def test_freed_pieces_between_kept_ones_are_given_back():
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
    before, freed, after = map(int, done.stdout.split())
    assert freed - before > 200_000, "the blocks were given back without help: the test shows nothing"
    assert after - before < 0.2 * (freed - before)
