"""One process at a time in a folder: a lock that the system lets go of when its holder ends, however it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from spillover.errors import RunFolderError

LOCK = "run.lock"


def locked(folder: Path) -> IO[bytes]:
    """Return the lock of an existing folder, held until it is closed or the process ends.

    Raises RunFolderError where another process holds it or the folder cannot be written. A file system that knows no
    locks is used without one.
    """
    try:
        handle = (folder / LOCK).open("ab")
    except OSError as problem:
        raise RunFolderError(f"{folder} cannot be written ({problem.strerror}): choose another --out") from None
    try:
        _hold(handle)
    except (BlockingIOError, PermissionError):
        handle.close()
        raise RunFolderError(
            f"{folder} is in use: another spillover process is working in this folder; let it end or choose another "
            "--out"
        ) from None
    except OSError:
        pass
    return handle


def _hold(handle: IO[bytes]) -> None:
    # Not a process id in the file: that would outlive a killed process and stop the next one.
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
