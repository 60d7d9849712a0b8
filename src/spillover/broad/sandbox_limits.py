"""Limits and Outcome: what a sandboxed program may use, and what became of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from spillover.errors import SettingsError

Status = Literal["ok", "failed", "out of time", "too much output", "not started"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use; all are more than 0.

    `seconds` of wall time, `cpu_seconds` and `memory_mb` of address space for each process, `disk_mb` for all files
    together (they lie in memory), `file_mb` for one file, open files for each process, processes and threads together,
    and `output_kb` for stdout and stderr together. Memory in all is at most processes x memory_mb + disk_mb.
    """

    seconds: float = 10.0
    cpu_seconds: int = 10
    memory_mb: int = 512
    disk_mb: int = 64
    file_mb: int = 16
    open_files: int = 64
    processes: int = 8
    output_kb: int = 256

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            whole = name == "seconds" or value == int(value)
            if not (math.isfinite(value) and value > 0 and whole):
                kind = "a number" if name == "seconds" else "a whole number"
                raise SettingsError(f"sandbox limit {name} is {value}: give {kind} above 0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the output up to the limit, the wall time, and the exit code (None where it was killed).

    "not started" means that the sandbox itself failed, so nothing is known about the code; `stderr` says why.
    """

    status: Status
    stdout: str
    stderr: str
    seconds: float
    exit_code: int | None
