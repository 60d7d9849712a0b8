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
# Answers to one question are alike; where nothing was seen, the data cannot say how much, so this is assumed.
ASSUMED_ICC = 0.5
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

    Each unit is a cluster of its own (one probe, one difference). Strata keep their size in every resample. A
    stratum of one unit cannot vary and makes the interval too short, which the method names.
    """
    data = np.asarray(values, dtype=float)
    groups = [np.flatnonzero(np.asarray(strata) == s) for s in dict.fromkeys(strata)]
    draw = np.random.default_rng(seed)
    total = np.zeros(RESAMPLES)
    for members in groups:
        picks = draw.integers(0, len(members), (RESAMPLES, len(members)))
        total += data[members][picks].sum(axis=1)
    low, high = _percentiles(total / len(data))
    single = sum(len(g) == 1 for g in groups)
    note = f"; {single} strata of one unit" if single else ""
    method = f"mean, bootstrap over {len(data)} units within {len(groups)} strata, {RESAMPLES} resamples{note}"
    return Estimate(float(data.mean()), low, high, len(data), len(data), method)


def clustered_rate(hits: Sequence[int], totals: Sequence[int], seed: int) -> Estimate | None:
    """Share of hits over all observations, bootstrapped over clusters (`hits` of `totals` in each).

    Clusters without observations are left out; None when nothing was observed. With no hit or only hits a bootstrap has
    no width: then a Wilson interval on the effective sample size n / (1 + (m - 1) icc), m observations per cluster
    and an intraclass correlation of 0.5 assumed.
    """
    h, t = _observed(hits, totals)
    if not len(t):
        return None
    n, k = int(t.sum()), int(h.sum())
    if k in (0, n):
        effective = n / (1 + (n / len(t) - 1) * ASSUMED_ICC)
        low, high = wilson(k / n, effective)
        return Estimate(k / n, low, high, n, len(t), f"Wilson on {effective:.1f} effective answers (icc 0.5 assumed)")
    picks = np.random.default_rng(seed).integers(0, len(t), (RESAMPLES, len(t)))
    low, high = _percentiles(h[picks].sum(axis=1) / t[picks].sum(axis=1))
    return Estimate(k / n, low, high, n, len(t), f"rate, bootstrap over {len(t)} questions, {RESAMPLES} resamples")


def clustered_rate_difference(
    hits: Sequence[int], totals: Sequence[int], other_hits: Sequence[int], other_totals: Sequence[int], seed: int
) -> Estimate | None:
    """Rate minus other rate, the same clusters resampled on both sides; clusters missing on a side are left out.

    Where a side has no hit or only hits, its own interval's width is added by the square-and-add rule (Newcombe 1998),
    so a difference of two zeros still has a width. None when no cluster was observed on both sides.
    """
    a, b = np.asarray(totals), np.asarray(other_totals)
    both = (a > 0) & (b > 0)
    if not both.any():
        return None
    h, t, g, u = (np.asarray(x)[both] for x in (hits, totals, other_hits, other_totals))
    one, two = clustered_rate(h.tolist(), t.tolist(), seed), clustered_rate(g.tolist(), u.tolist(), seed)
    assert one is not None and two is not None
    value = one.value - two.value
    n = int(t.sum() + u.sum())
    if one.value in (0.0, 1.0) or two.value in (0.0, 1.0):
        low = value - math.hypot(one.value - one.low, two.high - two.value)
        high = value + math.hypot(one.high - one.value, two.value - two.low)
        return Estimate(value, low, high, n, len(t), "difference of rates, square-and-add of their intervals")
    picks = np.random.default_rng(seed).integers(0, len(t), (RESAMPLES, len(t)))
    draws = h[picks].sum(axis=1) / t[picks].sum(axis=1) - g[picks].sum(axis=1) / u[picks].sum(axis=1)
    low, high = _percentiles(draws)
    return Estimate(value, low, high, n, len(t), f"difference of rates, bootstrap over {len(t)} questions")


def wilson(rate: float, n: float) -> tuple[float, float]:
    """Wilson score interval of a rate seen in `n` independent (possibly effective) observations."""
    centre = (rate + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


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


def _percentiles(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(draws, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2])
    return float(low), float(high)
