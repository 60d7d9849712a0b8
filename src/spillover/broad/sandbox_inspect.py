"""The sandbox as inspect_ai's sandbox "spillover": other people's tasks run code in it with --sandbox spillover.

Every command gets a sandbox of its own with the sample's files in it. What a command itself writes is gone with it:
enough for tasks that hand over a program and look at its output, such as HumanEval, and too little for agents.
"""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import PurePosixPath
from typing import Any

import anyio
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    concurrency,
    sandboxenv,
)

from spillover.broad.sandbox import Sandbox, find_sandbox
from spillover.broad.sandbox_limits import Limits, Outcome
from spillover.broad.sandbox_process import Program
from spillover.broad.sandbox_start import WORK_FOLDER
from spillover.errors import SettingsError

_LIMITS = Limits(seconds=60.0, cpu_seconds=60, memory_mb=1024, output_kb=10 * 1024)
# As a shell reports a process that was killed.
_KILLED = 137


@sandboxenv(name="spillover")
class ProgramSandbox(SandboxEnvironment):  # type: ignore[misc]
    """Runs each command in a fresh sandbox; files that were written by `write_file` are there every time.

    A command without a timeout of its own has 60 seconds.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._files: dict[str, bytes] = {}

    @classmethod
    async def task_init(cls, task_name: str, config: Any) -> None:
        """Raise PrerequisiteError where there is no sandbox on this machine, before any model is asked."""
        await _found()

    @classmethod
    async def sample_init(cls, task_name: str, config: Any, metadata: dict[str, str]) -> dict[str, SandboxEnvironment]:
        """Return the sample's one sandbox, with no files yet."""
        return {"default": cls(await _found())}

    @classmethod
    async def sample_cleanup(cls, task_name: str, config: Any, environments: Any, interrupted: bool) -> None:
        """Do nothing: no run leaves anything behind."""

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a command; raises TimeoutError, OutputLimitExceededError and what inspect_ai names for refusals."""
        if user is not None:
            raise SandboxUserUnsupportedError(f"the sandbox has one user, who has no rights: not {user!r}")
        seconds = float(timeout) if timeout else _LIMITS.seconds
        limits = dataclasses.replace(_LIMITS, seconds=seconds, cpu_seconds=math.ceil(seconds))
        name = "python3" if cmd[0] == "python" else cmd[0]
        given = input.encode() if isinstance(input, str) else input or b""
        program = Program((name, *cmd[1:]), dict(self._files), given, env, cwd or ".")
        outcome = await self._run(program, limits, concurrency)
        return _told(outcome, limits)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Keep a file for the commands to come; raises PermissionError for a path outside the work folder."""
        self._files[_inside(file)] = contents.encode() if isinstance(contents, str) else contents

    async def read_file(self, file: str, text: bool = True) -> Any:
        """Return what `write_file` wrote; raises FileNotFoundError for all else, IsADirectoryError for a folder."""
        name = _inside(file)
        if name in self._files:
            return self._files[name].decode() if text else self._files[name]
        if any(PurePosixPath(name) in PurePosixPath(other).parents for other in self._files):
            raise IsADirectoryError(file)
        raise FileNotFoundError(file)

    async def _run(self, program: Program, limits: Limits, in_turn: bool) -> Outcome:
        def run() -> Outcome:
            try:
                return self._sandbox.execute(program, limits)
            except SettingsError as problem:
                raise PermissionError(str(problem)) from None

        if not in_turn:
            return await anyio.to_thread.run_sync(run)
        async with concurrency("spillover sandbox", os.cpu_count() or 1):
            return await anyio.to_thread.run_sync(run)


def _told(outcome: Outcome, limits: Limits) -> ExecResult[str]:
    if outcome.status == "not started":
        raise SandboxUnavailableError(f"the sandbox did not start: {outcome.stderr[:500]}")
    if outcome.status == "too much output":
        raise OutputLimitExceededError(f"{limits.output_kb} KiB", outcome.stdout)
    if outcome.status == "out of time" and outcome.exit_code is None:
        raise TimeoutError(f"the command ran for {limits.seconds:g} seconds")
    code = _KILLED if outcome.exit_code is None else outcome.exit_code
    return ExecResult(code == 0, code, outcome.stdout, outcome.stderr)


def _inside(file: str) -> str:
    path = PurePosixPath(WORK_FOLDER, file)
    if not path.is_relative_to(WORK_FOLDER) or ".." in path.parts:
        raise PermissionError(f"{file} is outside the sandbox's work folder {WORK_FOLDER}")
    return str(path.relative_to(WORK_FOLDER))


async def _found() -> Sandbox:
    try:
        return await anyio.to_thread.run_sync(find_sandbox)
    except SettingsError as problem:
        raise PrerequisiteError(str(problem)) from None
