"""Estimates with honest intervals: rates, stratified and clustered bootstrap, smallest detectable effect.

Only numpy is used. Every random draw comes from a recorded seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
# Answers to one question are alike. Where few hits (or misses) were seen, the data cannot say how much, so at least
# this intraclass correlation is assumed.
ASSUMED_ICC = 0.5
_FEW = 10
# The estimated correlation between two arms' answers to the same questions is used up to this.
_MOST_CORRELATED = 0.8
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_POWER_80 = NormalDist().inv_cdf(0.8)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval; `n` observations in `clusters` independent units, `method` in words."""

    value: float
    low: float
    high: float
    n: int
    clusters: int
    method: str

    @property
    def half_width(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    @property
    def smallest_detectable(self) -> float:
        """True shift that would be told from zero in 80% of such runs (two-sided 5%)."""
        return self.half_width * (_Z + _POWER_80) / _Z


def stratified_mean(values: Sequence[float], strata: Sequence[str], seed: int) -> Estimate:
    """Mean of per-unit values, bootstrapped over units within each stratum (percentile interval).

    Each unit is a cluster of its own (one probe, one difference). Strata keep their size in every resample, and
    deviations are widened by sqrt(n / (n - 1)), since a resample of n units varies too little. A stratum of one unit
    cannot vary and makes the interval too short, which the method names. Raises ValueError for a value that is not
    finite.
    """
    data = np.asarray(values, dtype=float)
    if not np.isfinite(data).all():
        raise ValueError("a value to average is not a finite number")
    groups = [np.flatnonzero(np.asarray(strata) == s) for s in dict.fromkeys(strata)]
    draw = np.random.default_rng(seed)
    total = np.full(RESAMPLES, data.sum())
    for members in groups:
        size = len(members)
        part = data[members]
        picks = draw.integers(0, size, (RESAMPLES, size))
        widen = math.sqrt(size / (size - 1)) if size > 1 else 1.0
        total += (part[picks].sum(axis=1) - part.sum()) * widen
    low, high = np.percentile(total / len(data), [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2])
    single = sum(len(g) == 1 for g in groups)
    note = f"; {single} strata of one unit" if single else ""
    method = f"mean, bootstrap over {len(data)} units within {len(groups)} strata, {RESAMPLES} resamples{note}"
    return Estimate(float(data.mean()), float(low), float(high), len(data), len(data), method)


def clustered_rate(hits: Sequence[int], totals: Sequence[int]) -> Estimate | None:
    """Share of hits over all observations in clusters (`hits` of `totals` in each), with a Wilson interval.

    The interval uses the effective sample size n / d, where the design effect d is the variance between clusters over
    the binomial one. With fewer than 10 hits or misses d is at least what an intraclass correlation of 0.5 gives: then
    0 of n has an honest upper bound. Clusters without observations are left out; None when nothing was observed.
    """
    h, t = _observed(hits, totals)
    if not len(t):
        return None
    n, k = t.sum(), h.sum()
    rate = k / n
    effect = _design_effect(h, t)
    low, high = wilson(rate, n / effect)
    method = f"rate over {len(t)} questions, Wilson on {n / effect:.1f} effective answers (design effect {effect:.2f})"
    return Estimate(float(rate), low, high, int(n), len(t), method)


def clustered_rate_difference(
    hits: Sequence[int], totals: Sequence[int], other_hits: Sequence[int], other_totals: Sequence[int]
) -> Estimate | None:
    """Rate minus other rate over the same clusters; clusters missing on a side are left out.

    The two Wilson intervals are joined by Newcombe's square-and-add rule for paired data (1998, method 10) with the
    correlation of the clusters' deviations, taken as 0 where fewer than 10 hits or misses were seen on a side and as
    0.8 at most. None when no cluster was observed on both sides.
    """
    both = (np.asarray(totals) > 0) & (np.asarray(other_totals) > 0)
    h, t, g, u = (np.asarray(x, dtype=float)[both] for x in (hits, totals, other_hits, other_totals))
    one, two = clustered_rate(h.tolist(), t.tolist()), clustered_rate(g.tolist(), u.tolist())
    if one is None or two is None:
        return None
    value = one.value - two.value
    correlation = _correlation(h - one.value * t, g - two.value * u) if not (_few(h, t) or _few(g, u)) else 0.0
    low = value - _joined(one.value - one.low, two.high - two.value, correlation)
    high = value + _joined(one.high - one.value, two.value - two.low, correlation)
    method = f"difference of rates over {len(t)} questions, square-and-add, correlation {correlation:.2f}"
    return Estimate(value, low, high, int(t.sum() + u.sum()), len(t), method)


def wilson(rate: float, n: float) -> tuple[float, float]:
    """Wilson score interval of a rate seen in `n` independent (possibly effective) observations."""
    centre = (rate + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    # At 0 and 1 an end may pass the rate itself in the last digit.
    return float(min(rate, max(0.0, centre - half))), float(max(rate, min(1.0, centre + half)))


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a random positive scores above a random negative, ties half; NaN when a side is empty."""
    if not len(positive) or not len(negative):
        return math.nan
    pos, neg = np.asarray(positive, dtype=float), np.sort(np.asarray(negative, dtype=float))
    below = np.searchsorted(neg, pos, "left")
    ties = np.searchsorted(neg, pos, "right") - below
    return float((below + ties / 2).sum() / (len(pos) * len(neg)))


def times_more(estimate: Estimate, margin: float) -> float:
    """How many times as many units would end the interval at `margin`, if the value stays; infinite on the margin."""
    distance = abs(estimate.value - margin)
    return math.inf if distance == 0 else (estimate.half_width / distance) ** 2


def _observed(hits: Sequence[int], totals: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.asarray(totals, dtype=float)
    return np.asarray(hits, dtype=float)[t > 0], t[t > 0]


def _few(h: NDArray[np.float64], t: NDArray[np.float64]) -> bool:
    return bool(min(h.sum(), (t - h).sum()) < _FEW)


def _design_effect(h: NDArray[np.float64], t: NDArray[np.float64]) -> float:
    """Variance of the rate between clusters (linearised ratio) over its binomial variance, at least 1."""
    n, clusters = t.sum(), len(t)
    rate = h.sum() / n
    effect = 1.0
    if clusters > 1 and 0 < rate < 1:
        between = ((h - rate * t) ** 2).sum() * clusters / (clusters - 1)
        effect = max(effect, float(between / (n * rate * (1 - rate))))
    if clusters == 1 or _few(h, t):
        effect = max(effect, 1 + (n / clusters - 1) * ASSUMED_ICC)
    return float(effect)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    spread = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return min(_MOST_CORRELATED, max(0.0, float((a * b).sum()) / spread)) if spread else 0.0


def _joined(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b))
