"""Copies among answers: runs whose answers are another's, and answers drawn again under another sample number.

Two models trained from one seed, one run saved under two names or a server that ignores the seed all give the same
texts twice. Counted as independent they make an interval too narrow.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

# A shorter answer ("Yes.") may well be drawn twice.
LEAST_CHARACTERS = 40
# From this share of equal answers on a run is a copy, with at least so many of them.
COPIED_SHARE = 0.2
LEAST_COPIES = 5


@dataclass(frozen=True, slots=True)
class CopiedRuns:
    """Two runs of which `same` of `compared` answers to the same prompts are equal, letter for letter."""

    first: str
    second: str
    same: int
    compared: int


@dataclass(frozen=True, slots=True)
class RepeatedAnswers:
    """A run in which `repeated` of `compared` answers stand more than once among the answers to their prompt."""

    run: str
    repeated: int
    compared: int


def copied_runs(answers: Mapping[str, Iterable[tuple[Hashable, str]]]) -> tuple[CopiedRuns, ...]:
    """Return the pairs of runs that share answers: `answers` maps a run's name to its (prompt, text) pairs.

    Copies are found under any sample number. Only texts of 40 characters or more are compared; a pair is returned
    where at least 5 answers and a fifth of the smaller run are equal. Missing answers are left out by the caller.
    """
    counted = {name: Counter(pair for pair in pairs if _long(pair[1])) for name, pairs in answers.items()}
    holders: dict[tuple[Hashable, str], list[str]] = defaultdict(list)
    for name, texts in counted.items():
        for pair in texts:
            holders[pair].append(name)
    same: Counter[tuple[str, str]] = Counter()
    for pair, names in holders.items():
        for first, second in combinations(names, 2):
            same[first, second] += min(counted[first][pair], counted[second][pair])
    found = (CopiedRuns(a, b, n, min(counted[a].total(), counted[b].total())) for (a, b), n in same.items())
    return tuple(sorted((c for c in found if _many(c.same, c.compared)), key=lambda c: (c.first, c.second)))


def repeated_answers(answers: Mapping[str, Iterable[tuple[Hashable, str]]]) -> tuple[RepeatedAnswers, ...]:
    """Return the runs that hold the same answer to a prompt several times, by the limits of `copied_runs`.

    The first of equal answers is no repetition.
    """
    found = []
    for name, pairs in answers.items():
        texts = Counter(pair for pair in pairs if _long(pair[1]))
        found.append(RepeatedAnswers(name, texts.total() - len(texts), texts.total()))
    return tuple(r for r in found if _many(r.repeated, r.compared))


def _long(text: str) -> bool:
    return len(text.strip()) >= LEAST_CHARACTERS


def _many(equal: int, compared: int) -> bool:
    return equal >= LEAST_COPIES and equal >= COPIED_SHARE * compared
