"""One error tree. Every message says what is wrong, where, and how to fix it."""

from __future__ import annotations

import sys
from typing import NoReturn


class SpilloverError(Exception):
    """Base of all errors a user can cause or mend; the command line prints it and exits with `exit_code`."""

    exit_code = 2


class DataError(SpilloverError):
    """A data file cannot be used; the message starts with `file:line` where there is a line."""


class ModelError(SpilloverError):
    """A model, tokenizer or adapter is missing, damaged or does not fit."""


class RunFolderError(SpilloverError):
    """A run folder holds something else than what was asked for, or another process works in it."""


class SettingsError(SpilloverError):
    """An option has a value that cannot work."""


def fail(problem: SpilloverError) -> NoReturn:
    """End a command: the message on stderr, one line, and the error's exit code."""
    print(f"spillover: {problem}", file=sys.stderr)
    raise SystemExit(problem.exit_code)
