"""The authors' interval over models, bit for bit. For reproduction only.

For anything new use `spillover.statistics`: this interval has no width for one model or equal values, and it takes
the answers of a model as fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2_000
_SEED = 0
_ENDS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class GroupValue:
    """A group's centre and the lengths of its 95% interval: it runs from centre - lower to centre + upper."""

    centre: float
    lower: float
    upper: float

    @property
    def half_width(self) -> float:
        """Half the interval's width."""
        return (self.lower + self.upper) / 2

    def minus(self, baseline: float) -> GroupValue:
        """Return the difference to a baseline that is taken as exact: only the centre moves."""
        return GroupValue(self.centre - baseline, self.lower, self.upper)

    def from_one(self) -> GroupValue:
        """Return 1 - value, as for an error rate from an accuracy: the lengths change sides."""
        return GroupValue(1 - self.centre, self.upper, self.lower)

    def scaled(self, factor: float) -> GroupValue:
        """Return the value divided by `factor`, which must be positive."""
        return GroupValue(self.centre / factor, self.lower / factor, self.upper / factor)


def interval(values: Sequence[float]) -> GroupValue:
    """Mean of one group's model-level values with the authors' 95% percentile bootstrap (protocol section 6.1).

    A fresh generator with seed 0 in every call, 2,000 resamples of n values with replacement, ends at the 2.5th and
    97.5th percentiles (linear interpolation). The order of the values matters for the last digits. No values give
    (0, 0, 0), one value x gives (x, 0, 0).
    """
    data = np.asarray(values, dtype=float)
    size = len(data)
    if size == 0:
        return GroupValue(0.0, 0.0, 0.0)
    if size == 1:
        return GroupValue(float(data[0]), 0.0, 0.0)
    draw = np.random.default_rng(_SEED)
    means = [draw.choice(data, size=size, replace=True).mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, _ENDS)
    centre = data.mean()
    return GroupValue(float(centre), float(centre - low), float(high - centre))
