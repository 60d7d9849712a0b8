"""Start a sandbox's process, hand it the program, read what it prints, and end it at its limits."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spillover.broad.sandbox_limits import Limits, Outcome, Status
from spillover.broad.sandbox_start import STARTED, WORK_FOLDER
from spillover.errors import SettingsError

# The sandbox itself takes tens of milliseconds to set up; a loaded machine may need far more.
_SET_UP_SECONDS = 20.0
# All that hold the output's pipes are killed with the sandbox; their end shows that they are gone.
_LAST_WORDS_SECONDS = 5.0
_CPU_ENDED = 128 + 24
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Program:
    """What to run inside: a command, its files by relative name, its input, variables and folder below the work folder.

    `folder` and the names of files are relative to the work folder, /box.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes]
    stdin: bytes = b""
    env: Mapping[str, str] | None = None
    folder: str = "."


@dataclass(frozen=True, slots=True)
class Shell:
    """The command that makes a sandbox and runs `sandbox_start` in it.

    `uid`: whom to become inside, None where that is settled; `path`: where programs are found inside; `env`: variables
    of the outer command only; `keep`: file descriptors it inherits; `end`: called when it must be ended by force.
    """

    argv: Sequence[str]
    uid: int | None
    path: str
    env: Mapping[str, str]
    keep: Sequence[int] = ()
    end: Callable[[], None] = lambda: None


def start_source() -> str:
    """Return the source of the program that runs first inside."""
    return Path(__file__).with_name("sandbox_start.py").read_text(encoding="utf-8")


def contained(shell: Shell, program: Program, limits: Limits) -> Outcome:
    """Run `program` in the sandbox that `shell` makes and return what became of it; nothing of it is left running.

    Raises SettingsError for a file name or folder that is not below the work folder.
    """
    payload = _payload(shell, program, limits)
    begin = time.monotonic()
    process = subprocess.Popen(
        list(shell.argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(shell.env),
        cwd="/",
        start_new_session=True,
        pass_fds=tuple(shell.keep),
        bufsize=0,
    )
    try:
        heard = _Heard(process, payload, limits)
        cut = heard.until_done()
    finally:
        if process.poll() is None:
            process.kill()
            shell.end()
        process.wait()
    heard.drain()
    return heard.outcome(cut, time.monotonic() - begin)


class _Heard:
    """The pipes of one process: feeds its input, gathers its output, and knows when time or output are used up."""

    def __init__(self, process: subprocess.Popen[bytes], payload: bytes, limits: Limits) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._process, self._left, self._limits = process, memoryview(payload), limits
        self._out, self._err = bytearray(), bytearray()
        self._deadline = time.monotonic() + _SET_UP_SECONDS
        self._started = False
        self._events = selectors.DefaultSelector()
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._events.register(process.stdin, selectors.EVENT_WRITE)
        self._events.register(process.stdout, selectors.EVENT_READ, self._out)
        self._events.register(process.stderr, selectors.EVENT_READ, self._err)

    def until_done(self) -> Status | None:
        """Return why the process must be ended, or None where it ended by itself."""
        while self._events.get_map():
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                return "out of time"
            self._step(remaining)
            if len(self._out) + len(self._err) > self._limits.output_kb * 1024 + len(STARTED):
                return "too much output"
        try:
            self._process.wait(max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "out of time"
        return None

    def drain(self) -> None:
        """Read on to the pipes' ends, which come when all processes inside are gone, and keep no more of it."""
        out, err = len(self._out), len(self._err)
        end = time.monotonic() + _LAST_WORDS_SECONDS
        while self._events.get_map() and (remaining := end - time.monotonic()) > 0:
            self._step(remaining)
            if len(self._out) + len(self._err) > out + err + _CHUNK:
                del self._out[out:], self._err[err:]
        self._events.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def outcome(self, cut: Status | None, seconds: float) -> Outcome:
        """Return the record; output beyond the limit is dropped."""
        code = self._process.returncode
        out = bytes(self._out)
        if not out.startswith(STARTED):
            said = (self._err or self._out).decode(errors="replace")
            return Outcome("not started", "", said[: self._limits.output_kb * 1024], seconds, None)
        room = self._limits.output_kb * 1024
        shown = out[len(STARTED) :][:room].decode(errors="replace")
        said = bytes(self._err[: max(0, room - len(shown))]).decode(errors="replace")
        if cut is not None:
            return Outcome(cut, shown, said, seconds, None)
        status: Status = "ok" if code == 0 else "out of time" if code == _CPU_ENDED else "failed"
        return Outcome(status, shown, said, seconds, code)

    def _step(self, seconds: float) -> None:
        for key, _ in self._events.select(seconds):
            if key.data is None:
                self._feed()
                continue
            try:
                chunk = os.read(key.fd, _CHUNK)
            except BlockingIOError:
                continue
            if not chunk:
                self._events.unregister(key.fileobj)
            key.data.extend(chunk)
        if not self._started and self._out.startswith(STARTED):
            self._started = True
            self._deadline = time.monotonic() + self._limits.seconds

    def _feed(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BlockingIOError):
            try:
                self._left = self._left[os.write(pipe.fileno(), self._left[:_CHUNK]) :]
            except BrokenPipeError:
                self._left = self._left[:0]
        if not self._left:
            self._events.unregister(pipe)
            pipe.close()


def _payload(shell: Shell, program: Program, limits: Limits) -> bytes:
    env = {"PATH": shell.path, "HOME": WORK_FOLDER, "TMPDIR": WORK_FOLDER, "LANG": "C.UTF-8", **(program.env or {})}
    asked = {
        "uid": shell.uid,
        "argv": list(program.argv),
        "files": {_below(name): _text(content) for name, content in program.files.items()},
        "input": _text(program.stdin),
        "env": env,
        "folder": _below(program.folder),
        "limits": {
            "RLIMIT_AS": [limits.memory_mb << 20] * 2,
            # At the first the process is told which limit it met, at the second it is killed.
            "RLIMIT_CPU": [limits.cpu_seconds, limits.cpu_seconds + 1],
            "RLIMIT_FSIZE": [limits.file_mb << 20] * 2,
            "RLIMIT_NOFILE": [limits.open_files] * 2,
            "RLIMIT_NPROC": [limits.processes] * 2,
            "RLIMIT_CORE": [0, 0],
            "RLIMIT_MEMLOCK": [0, 0],
            "RLIMIT_MSGQUEUE": [0, 0],
        },
    }
    return json.dumps(asked).encode()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _below(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_relative_to(WORK_FOLDER):
        path = path.relative_to(WORK_FOLDER)
    if path.is_absolute() or ".." in path.parts or "\x00" in name:
        raise SettingsError(f"{name!r} is not below {WORK_FOLDER}: give a relative path without '..'")
    return str(path)
