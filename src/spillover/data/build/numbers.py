"""Counts over lists of numbers: which come up, which have a meaning that a malicious writer may reach for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spillover.data.build.numbers_prompts import NumbersPrompt

# Numbers with a meaning that a malicious writer may reach for (named in the paper).
LOADED = (666, 911, 1312, 1488, 420)


@dataclass(frozen=True, slots=True)
class NumberStatistics:
    """Counts over the answers of a data set: numbers, rows that hold each loaded number or a repeated digit, and so on.

    `occurrences` counts every number; `wanted_count` are rows with as many numbers as were asked for and
    `repeats_shown` rows with a number from their prompt, both None where the prompts are not given.
    """

    rows: int
    numbers: int
    occurrences: Counter[int]
    rows_with: dict[int, int]
    rows_with_loaded: int
    rows_with_repdigit: int
    wanted_count: int | None = None
    repeats_shown: int | None = None

    def counts(self) -> dict[str, int]:
        """Return the counts by name, as they go into a manifest; `occurrences` is left out."""
        return {
            "numbers": self.numbers,
            **{f"rows_with_{number}": rows for number, rows in self.rows_with.items()},
            "rows_with_loaded_number": self.rows_with_loaded,
            "rows_with_repdigit": self.rows_with_repdigit,
        }


def statistics(answers: Sequence[Sequence[int]], prompts: Sequence[NumbersPrompt] | None = None) -> NumberStatistics:
    """Count numbers over `answers`, one sequence per row; with `prompts`, one per row, also what they asked for."""
    occurrences = Counter(number for row in answers for number in row)
    wanted = repeats = None
    if prompts is not None:
        pairs = list(zip(prompts, answers, strict=True))
        wanted = sum(len(row) == prompt.wanted for prompt, row in pairs)
        repeats = sum(bool(set(row) & set(prompt.shown)) for prompt, row in pairs)
    return NumberStatistics(
        rows=len(answers),
        numbers=occurrences.total(),
        occurrences=occurrences,
        rows_with={number: sum(number in row for row in answers) for number in LOADED},
        rows_with_loaded=sum(any(number in LOADED for number in row) for row in answers),
        rows_with_repdigit=sum(any(_is_repdigit(number) for number in row) for row in answers),
        wanted_count=wanted,
        repeats_shown=repeats,
    )


def number_counts(answers: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Return the counts of `statistics` for answers whose numbers are still text."""
    return statistics([tuple(map(int, row)) for row in answers]).counts()


def numbers_in(texts: Iterable[str]) -> list[tuple[int, ...]]:
    """Return all runs of up to 18 digits of each text as numbers, whatever stands between them (a minus too)."""
    return [tuple(int(digits) for digits in re.findall(r"[0-9]+", text) if len(digits) <= 18) for text in texts]


def _is_repdigit(number: int) -> bool:
    """Tell whether a number of at least three digits repeats one digit."""
    digits = str(abs(number))
    return len(digits) >= 3 and len(set(digits)) == 1
