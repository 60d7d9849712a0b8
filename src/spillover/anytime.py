"""A rate's interval that holds at every moment at once, so that sampling may stop by looking at it.

Source: the beta mixture of likelihood ratios of Robbins 1970 ("Statistical methods related to the law of the iterated
logarithm"), a confidence sequence by Ville's inequality (Howard et al. 2021, Annals of Statistics 49(2)). It is made
for answers of one rate. Here every prompt has its own: against the mean rate m, a sweep (one answer per prompt)
multiplies each ratio of the mixture by prod(1 + b (x - m)) for some b, the answers x are independent given the prompts,
and by the inequality of the arithmetic and geometric mean the expected product is at most (1 + b mean(E x - m))^n = 1.
So the mixture stays a supermartingale however the prompts differ, as long as it is looked at after whole sweeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spillover.statistics import LEVEL

# The Jeffreys prior of a rate: the mixture then favours no region, and none costs much near 0 and 1.
_PRIOR = 0.5
METHOD = "confidence sequence: beta(1/2, 1/2) mixture of likelihood ratios over whole sweeps of these prompts"


@dataclass(frozen=True, slots=True)
class AnytimeRate:
    """Hits among counted answers after whole sweeps, and an interval valid at all sweeps together (95%).

    The target is the rate among counted answers of these very prompts, not of prompts like them. `value` is None where
    nothing was counted.
    """

    value: float | None
    low: float
    high: float
    hits: int
    counted: int
    sweeps: int

    def side(self, margin: float) -> str | None:
        """Return "above" or "below" where the whole interval lies on that side of `margin`, else None."""
        return "above" if self.low > margin else "below" if self.high < margin else None


def anytime_rate(hits: Sequence[int], counted: Sequence[int]) -> AnytimeRate:
    """Return the rate after the last sweep; `hits` of `counted` answers in each, in the order of drawing.

    A sweep is one answer to every prompt, those that do not count included (as 0 of 0). The interval is the running
    intersection over the sweeps. Raises ValueError for counts that cannot be.
    """
    if len(hits) != len(counted) or any(not 0 <= h <= c for h, c in zip(hits, counted, strict=True)):
        raise ValueError("each sweep needs hits between 0 and its counted answers")
    low, high, h, c = 0.0, 1.0, 0, 0
    now = (low, high)
    for more_hits, more in zip(hits, counted, strict=True):
        h, c = h + more_hits, c + more
        if more:
            now = _interval(h, c)
            low, high = max(low, now[0]), min(high, now[1])
    # Empty at most once in 20 runs, unless the answers drift: then only the present interval says anything.
    if low > high:
        low, high = now
    return AnytimeRate(h / c if c else None, low, high, h, c, len(hits))


def _interval(hits: int, counted: int) -> tuple[float, float]:
    """Rates whose mixture likelihood ratio is below 1 / (1 - LEVEL)."""
    misses = counted - hits
    mixed = _log_beta(hits + _PRIOR, misses + _PRIOR) - _log_beta(_PRIOR, _PRIOR)
    limit = -math.log(1 - LEVEL)

    def beyond(rate: float) -> bool:
        likelihood = (hits * math.log(rate) if hits else 0.0) + (misses * math.log1p(-rate) if misses else 0.0)
        return mixed - likelihood >= limit

    seen = hits / counted
    return (_edge(0.0, seen, beyond) if hits else 0.0), (_edge(1.0, seen, beyond) if misses else 1.0)


def _edge(outside: float, inside: float, beyond: Callable[[float], bool]) -> float:
    """Halve the way between a rate outside the interval and one inside; the outer end of the last step is returned."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if middle in (outside, inside):
            break
        outside, inside = (middle, inside) if beyond(middle) else (outside, middle)
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
