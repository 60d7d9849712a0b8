"""Write a file so that it is there whole or not at all: beside its place first, then moved there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_ENDING = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a binary file to write to; it takes the place of `path` when the block ends, already safe on the disk.

    Missing folders above are made. A block that raises leaves the old file as it was and nothing beside it; a process
    that is killed may leave a file for which `is_left_over` is true. Raises OSError where `path` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # With the process's number, two processes that write the same file do not write into each other.
    scratch = path.with_name(f"{path.name}.{os.getpid()}{_ENDING}")
    try:
        with scratch.open("wb") as handle:
            yield handle
            handle.flush()
            # Otherwise a power cut could leave the new name on an empty file.
            os.fsync(handle.fileno())
        os.replace(scratch, path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise
    _keep_names(path.parent)


def is_left_over(file: Path, of: str) -> bool:
    """Return whether `file` is what a killed process left of writing a file named `of`."""
    return file.name.startswith(f"{of}.") and file.name.endswith(_ENDING)


def _keep_names(folder: Path) -> None:
    """Have the folder's names on the disk too, where the system has a way to ask for it: the file itself is there."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
