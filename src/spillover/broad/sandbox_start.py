"""Runs inside the sandbox, before the untrusted program: lays out its files, gives up rights, sets limits, becomes it.

Only the standard library, and nothing of this package: the sandbox has neither. What to do comes as JSON on stdin.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys

# Written before the program starts, so that nothing the program prints can stand in for it.
STARTED = b"\x00sandbox started\x00"
WORK_FOLDER = "/box"


def main() -> None:
    """Read {"uid", "files", "argv", "input", "env", "folder", "limits"} and become argv; texts of files are base64."""
    asked = json.load(sys.stdin.buffer)
    if asked["uid"] is not None:
        os.setgroups([])
        os.setresgid(asked["uid"], asked["uid"], asked["uid"])
        os.setresuid(asked["uid"], asked["uid"], asked["uid"])
    os.chdir(WORK_FOLDER)
    for name, content in asked["files"].items():
        _write(name, content)
    os.makedirs(asked["folder"], exist_ok=True)
    os.chdir(asked["folder"])
    _take_input(asked["input"])
    for name, (soft, hard) in asked["limits"].items():
        resource.setrlimit(getattr(resource, name), (soft, hard))
    os.write(1, STARTED)
    try:
        os.execvpe(asked["argv"][0], asked["argv"], asked["env"])
    except OSError as problem:
        os.write(2, f"{asked['argv'][0]}: {problem.strerror}\n".encode())
        os._exit(127)


def _write(name: str, content: str) -> None:
    folder = os.path.dirname(name)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(name, "wb") as handle:
        handle.write(base64.b64decode(content))


def _take_input(content: str) -> None:
    place = ".stdin"
    _write(place, content)
    source = os.open(place, os.O_RDONLY)
    os.unlink(place)
    os.dup2(source, 0)
    os.close(source)


if __name__ == "__main__":
    main()
