"""Read a JSON file that somebody else made: within a size, without NaN, each value checked where it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from spillover.errors import DataError
from spillover.open_rows import regular_file, shown

MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Checked:
    """A JSON value and where it stands (`place`: the file, then the keys); every method raises DataError there."""

    value: Any
    place: str

    def at(self, key: str) -> Checked:
        """Return the value under `key`; this one must be an object that has it."""
        found = self.object()
        if key not in found:
            self.refuse(f"lacks {key!r}")
        return Checked(found[key], f"{self.place}: {key}")

    def get(self, key: str) -> Checked | None:
        """Return the value under `key`, None where the object has no such key."""
        return self.at(key) if key in self.object() else None

    def object(self) -> Mapping[str, Any]:
        """Return the object."""
        if not isinstance(self.value, dict):
            self.refuse("must be an object")
        return self.value

    def items(self) -> list[tuple[str, Checked]]:
        """Return an object's keys and values in file order."""
        return [(key, Checked(value, f"{self.place}: {shown(key)[:80]}")) for key, value in self.object().items()]

    def entries(self) -> list[Checked]:
        """Return a list's entries."""
        if not isinstance(self.value, list):
            self.refuse("must be a list")
        return [Checked(value, f"{self.place}[{i}]") for i, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a text that can be written as UTF-8."""
        if not isinstance(self.value, str):
            self.refuse("must be a text")
        try:
            self.value.encode()
        except UnicodeEncodeError:
            self.refuse("holds half a character (a lone surrogate)")
        return self.value

    def number(self) -> float:
        """Return a finite number."""
        try:
            value = float(self.value) if isinstance(self.value, int | float) else math.nan
        except OverflowError:
            value = math.inf
        if isinstance(self.value, bool) or not math.isfinite(value):
            self.refuse("must be a finite number")
        return value

    def whole(self, most: int) -> int:
        """Return a whole number from 0 to `most`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value <= most:
            self.refuse(f"must be a whole number from 0 to {most}")
        return self.value

    def refuse(self, what: str) -> NoReturn:
        """Raise the DataError: what is wrong with this value."""
        raise DataError(f"{self.place} {what}; copy the file from the published games again")


def read(path: Path) -> Checked:
    """Return a JSON file's value.

    Raises DataError for a missing file, a device, more than 256 MiB, what is not UTF-8 or not JSON, NaN and infinity,
    and nesting too deep to read.
    """
    file = regular_file(path)
    name = shown(file)
    if file.stat().st_size > MOST_BYTES:
        raise DataError(f"{name} is larger than {MOST_BYTES >> 20} MiB, which no published game is; give their files")
    try:
        return Checked(json.loads(file.read_bytes(), parse_constant=_no_constant), name)
    except json.JSONDecodeError as problem:
        raise DataError(f"{name}:{problem.lineno}: not JSON ({problem.msg}); copy the file again") from None
    except (UnicodeDecodeError, ValueError) as problem:
        raise DataError(f"{name}: cannot be read as JSON ({str(problem)[:100]}); copy the file again") from None
    except RecursionError:
        raise DataError(f"{name}: nested too deeply; copy the file again") from None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")
