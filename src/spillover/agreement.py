"""Agreement of judges: Krippendorff's alpha for words and for scores, with answers that a judge left out.

Source of the formula: Krippendorff 2011, "Computing Krippendorff's alpha-reliability". The package of that name builds
a table of answers by pairs of distinct values, which for a thousand answers with scores of their own takes gigabytes,
and its licence (GPL-3) is not ours; over all values at once the sums need no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Level = Literal["nominal", "interval"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Krippendorff's alpha over `units` that two judges or more rated: 1 full agreement, 0 that of chance.

    `alpha` is None where it has no meaning: no unit was rated twice, or all ratings are equal.
    """

    alpha: float | None
    units: int
    level: Level


def nominal_agreement(units: Sequence[Sequence[str | None]]) -> Agreement:
    """Return the agreement on words: one row per answer, one entry per judge, None where a judge gave none."""
    rows = [r for unit in units if len(r := [word for word in unit if word is not None]) > 1]
    total = sum(map(len, rows))
    # Ordered pairs of unequal ratings within a row, each row's divided by the ratings it has besides one.
    within = sum((len(r) ** 2 - sum(k * k for k in Counter(r).values())) / (len(r) - 1) for r in rows)
    between = total**2 - sum(k * k for k in Counter(word for r in rows for word in r).values())
    return Agreement(_alpha(within, float(between), total), len(rows), "nominal")


def interval_agreement(units: Sequence[Sequence[float | None]]) -> Agreement:
    """Return the agreement on scores by squared distance; one row per answer, one entry per judge, None for a gap."""
    rows = [r for unit in units if len(r := [float(score) for score in unit if score is not None]) > 1]
    values = np.array([score for r in rows for score in r])
    # Distances do not change with the origin, and near the mean the sums keep their digits.
    middle = float(values.mean()) if len(values) else 0.0
    within = sum(_squared_distances(np.array(r) - middle) / (len(r) - 1) for r in rows)
    return Agreement(_alpha(within, _squared_distances(values - middle), len(values)), len(rows), "interval")


def _squared_distances(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Sum of squared distances over all ordered pairs."""
    return float(2 * (len(values) * (values**2).sum() - values.sum() ** 2))


def _alpha(within: float, between: float, total: int) -> float | None:
    return None if between <= 0 else 1 - (total - 1) * within / between
