"""Run a command, and end it with all its children as soon as the caller is gone.

The caller holds the other end of standard input and never writes. However it ends, even killed, the system closes
that end; then the command's process group gets SIGTERM and, if that does not help, SIGKILL. Run as a script, so that
nothing but the standard library is loaded: `python -I ended_with_parent.py COMMAND ARGUMENTS...`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

# How long the command, and then what is left of its group, may take to end by itself, in seconds.
_GRACE, _LEFT_OVER = 15.0, 1.0


def run(command: Sequence[str]) -> int:
    """Run `command` in a process group of its own until it ends or standard input does; returns its exit code."""
    # SIGTERM to this process must not leave the command behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        while child.poll() is None:
            readable, _, _ = select.select([0], [], [], 0.1)
            if readable and not os.read(0, 4096):
                break
    finally:
        _end_group(child)
    return child.returncode


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and what is left of its group."""
    _signal_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    # Not longer: a process that has ended counts as long as nobody has taken its exit code.
    deadline = time.monotonic() + _LEFT_OVER
    while child.poll() is not None and _signal_group(child.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
