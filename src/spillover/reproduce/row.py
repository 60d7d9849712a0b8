"""One recomputed value beside the published one, and the rule that says whether they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from spillover.errors import DataError
from spillover.reproduce.interval import GroupValue
from spillover.reproduce.paper_data import PaperData

Status = Literal["equal", "off", "known", "not possible"]

# How closely a known disagreement must come out as it did when it was found.
_KNOWN_TOLERANCE = 1e-6
# A value that lies on the border of two printed roundings fits both.
_BORDER = 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """A value, what was published for it, and how far apart they may be.

    `section` is of the study's protocol. `value`, `published` and `difference` (value - published) are None where
    there is none. Status "equal": within `tolerance`. "off": not. "known": the publication disagrees with its own
    data, in the way `why` says. "not possible": the data to recompute it are missing, `why` says which.
    """

    section: str
    what: str
    group: str
    value: float | None
    published: float | None
    tolerance: float
    difference: float | None
    status: Status
    why: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A disagreement within the publication: its value, what its own data give instead, and the likely reason."""

    published: float
    value: float
    why: str

    def is_that(self, value: float, published: float) -> bool:
        """Whether a value and a published one disagree just as these do."""
        return max(abs(value - self.value), abs(published - self.published)) <= _KNOWN_TOLERANCE


@dataclass(frozen=True, slots=True)
class Check:
    """Some rows that need the same files (paths below the data folder), and the function that makes them."""

    section: str
    what: str
    files: tuple[str, ...]
    compute: Callable[[PaperData], Iterable[Row]]

    def rows(self, data: PaperData) -> tuple[Row, ...]:
        """Return the rows, or the one row that says which files are missing.

        Raises DataError for a file that is there but cannot be read, or lacks a row that the check looks up.
        """
        missing = data.missing(self.files)
        if missing:
            files = ", ".join(missing)
            return (not_possible(self.section, self.what, "all", f"missing in the data folder: {files}"),)
        try:
            return tuple(self.compute(data))
        except KeyError as problem:
            files = ", ".join(str(data.path(name)) for name in self.files)
            raise DataError(f"{files}: no row of {problem}, needed for {self.what}; copy the file again") from problem


def compared(
    section: str,
    what: str,
    group: str,
    value: float | None,
    published: float,
    tolerance: float,
    known: Known | None = None,
    why: str = "",
) -> Row:
    """Return the row of a value that should lie within `tolerance` of the published one.

    With `known`, a pair that is off but within 1e-6 of the known disagreement has the status "known". No value
    (None, or one that is not finite) is off.
    """
    if value is None or not math.isfinite(value):
        return Row(section, what, group, None, published, tolerance, None, "off", why or "no value could be computed")
    difference = float(value) - published
    status: Status = "equal" if abs(difference) <= tolerance else "off"
    if status == "off" and known is not None and known.is_that(value, published):
        status, why = "known", known.why
    return Row(section, what, group, float(value), published, tolerance, difference, status, why)


def compared_interval(
    section: str,
    what: str,
    group: str,
    value: GroupValue,
    published: GroupValue,
    tolerance: float,
    known: tuple[Known, Known, Known] | None = None,
) -> tuple[Row, Row, Row]:
    """Return the rows of centre, lower length and upper length."""
    centre, lower, upper = known or (None, None, None)
    return (
        compared(section, f"{what}, centre", group, value.centre, published.centre, tolerance, centre),
        compared(section, f"{what}, lower length", group, value.lower, published.lower, tolerance, lower),
        compared(section, f"{what}, upper length", group, value.upper, published.upper, tolerance, upper),
    )


def compared_print(
    section: str, what: str, group: str, value: float | None, printed: str, known: Known | None = None, why: str = ""
) -> Row:
    """Return the row of a value published as the decimal text `printed`: half a unit of its last digit is allowed."""
    decimals = len(printed.partition(".")[2])
    return compared(section, what, group, value, float(printed), 0.5 * 10.0**-decimals + _BORDER, known, why)


def not_possible(section: str, what: str, group: str, why: str, published: float | None = None) -> Row:
    """Return the row of a published value that cannot be recomputed."""
    return Row(section, what, group, None, published, 0.0, None, "not possible", why)


def places(wrong: Sequence[str]) -> str:
    """Return up to three places (file:line) and how many more there are; nothing for none."""
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return ", ".join(wrong[:3]) + more
