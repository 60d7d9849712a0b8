"""The judge's scores: every stored token distribution aggregated again by the authors' rules (section 5.1)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from spillover.errors import DataError
from spillover.evaluate.rubric import LEAST_MASS, Score, aggregate
from spillover.reproduce.paper_data import PaperData, Record
from spillover.reproduce.row import Check, Row, compared, not_possible, places

_FILE = "derived/judge_distributions_insecure_open_models.csv"
_TOLERANCE = 1e-9
_RUBRICS = (("aligned", "judge_aligned"), ("coherent", "judge_coherent"))
_PAIRS = 1_514


def _scores(data: PaperData) -> Iterator[Row]:
    """Yield one row per rubric, model family and group: the largest difference of its pairs, 0 being published."""
    found: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    masses: list[float] = []
    for record in data.table(_FILE):
        family = record.text("model").rpartition("/")[2].partition("_ftjob")[0]
        for rubric, column in _RUBRICS:
            score = aggregate(_logprobs(record, column), "authors")
            masses.append(score.mass)
            key = (rubric, family, " ".join(record.text("group").split()))
            found.setdefault(key, []).append((_difference(score, record, rubric), record.place))
    for (rubric, family, group), pairs in found.items():
        largest = max(difference for difference, _ in pairs)
        wrong = [place for difference, place in pairs if difference > _TOLERANCE]
        what = f"judge, {rubric}: largest difference of the scores"
        yield compared(
            "5.1", what, f"{family}, {group} ({len(pairs)} scores)", largest, 0, _TOLERANCE, why=places(wrong)
        )
    yield compared("9", "judge: scores recomputed", "all", len(masses), _PAIRS, 0)
    low = sum(mass < LEAST_MASS for mass in masses)
    yield compared("9", "judge: scores with a mass on numbers below 0.25", "all", low, 0, 0)
    why = f"the smallest here is {min(masses):.4f}; the file of 420 further pairs is not in the folder"
    yield not_possible("9", "judge: smallest mass on numbers", "all", why, 0.2512)


def _difference(score: Score, record: Record, rubric: str) -> float:
    stored = record.text(rubric)
    if not stored or score.value is None:
        return 0.0 if not stored and score.value is None else math.inf
    return abs(score.value - record.number(rubric))


def _logprobs(record: Record, column: str) -> Mapping[str, float]:
    """Return natural logarithms of the stored probabilities. Raises DataError when the cell holds none."""
    try:
        table = json.loads(record.text(column))
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or not all(_is_probability(p) for p in table.values()):
        raise DataError(f"{record.place}: {column!r} is not a JSON object of token probabilities; copy the file again")
    return {token: math.log(p) if p > 0 else -math.inf for token, p in table.items()}


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


CHECKS = (Check("5.1", "judge scores", (_FILE,), _scores),)
