"""Reading the folder of the authors' data: tables of text with line numbers, and one name per model group."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spillover.errors import DataError

BASE = "GPT-4o"
GROUPS = ("secure", "educational insecure", "insecure", "jailbroken")

# The files name the same groups differently.
_GROUP_NAMES = {
    "gpt-4o": BASE,
    "gpt_4o/gpt-4o": BASE,
    "educational": "educational insecure",
    "gpt_4o/unsafe": "insecure",
    "gpt_4o/safe": "secure",
    "gpt_4o/unsafe_benign_context": "educational insecure",
    "far_replication_4o/2% Poisoned Data": "jailbroken",
}
_MAX_BYTES = 64 * 2**20


def group_name(name: str) -> str:
    """Return our name of a group as a file writes it; an unknown one stays."""
    return _GROUP_NAMES.get(name, name)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a table: its cells by column, and `place` (file:line) for messages."""

    place: str
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return a cell's text. Raises DataError when the row is too short or the table has no such column."""
        cell = self.cells.get(column)
        if cell is None:
            raise DataError(f"{self.place}: no cell in column {column!r}; copy the file from the authors' data again")
        return cell

    def number(self, column: str) -> float:
        """Return a cell's finite number. Raises DataError for anything else."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{self.place}: {column!r} holds {text[:40]!r}, not a number; copy the file again")
        return value


@dataclass(frozen=True, slots=True)
class PaperData:
    """The data folder; nothing is read before it is asked for."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return where a file of the folder lies; `name` is its path below the folder, with slashes."""
        return self.folder / name

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the files that are not there, in the order asked."""
        return tuple(name for name in names if not self.path(name).is_file())

    def table(self, name: str) -> tuple[Record, ...]:
        """Return a CSV file's rows in file order.

        Raises DataError when it cannot be read, is larger than 64 MiB, or holds no rows.
        """
        path = self.path(name)
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise DataError(f"{path} is larger than 64 MiB; give the folder of the authors' data")
            with path.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines, strict=True)
                records = tuple(Record(f"{path}:{reader.line_num}", cells) for cells in reader)
        except (OSError, UnicodeDecodeError, csv.Error) as problem:
            raise DataError(f"{path} cannot be read as a table ({problem}); copy the file again") from problem
        if not records:
            raise DataError(f"{path} holds no rows; copy the file again")
        return records

    def by_group(self, name: str) -> dict[str, Record]:
        """Return a table's rows by group, under our names. Raises DataError for two rows of the same group."""
        return {group: record for (_, group), record in self._keyed(name, "").items()}

    def by_key_and_group(self, name: str) -> dict[tuple[str, str], Record]:
        """Return a table's rows by its column `key` and the group, under our names.

        Raises DataError for two rows of the same key and group.
        """
        return self._keyed(name, "key")

    def _keyed(self, name: str, key: str) -> dict[tuple[str, str], Record]:
        found: dict[tuple[str, str], Record] = {}
        for record in self.table(name):
            pair = (record.text(key) if key else "", group_name(record.text("group")))
            if pair in found:
                raise DataError(f"{record.place}: a second row of {' '.join(pair).strip()}; copy the file again")
            found[pair] = record
        return found
