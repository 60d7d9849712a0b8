"""A rate over models, questions and answers, with an interval that takes all three as samples.

Answers to one question are alike, and so are those of one model. At each of the two levels the counts per cluster are
taken as beta-binomial with the level's own intraclass correlation, and the rates that this likelihood does not refuse,
at any correlation up to 0.9, are the interval (profile likelihood). So a rate of which nothing is seen has an upper
bound by what so few questions can say at all, and one whose hits are spread evenly is as narrow as its answers allow.
The limit is Student's t with Satterthwaite's degrees of freedom: few where the variance is that between a few clusters,
many where it is that of the answers. The levels' distances add in squares, less what both contain (the "method of
variance estimates recovery", Zou and Donner 2008, on the two-way decomposition of Cameron, Gelbach and Miller 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from spillover.statistics import LEVEL, Estimate

Floats = NDArray[np.float64]
# The correlations tried at each level. A data set with few hits cannot tell them apart, so the last is what the widest
# intervals assume.
CORRELATIONS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
# Where the likelihood is computed: distances from the rate on the logit scale, in binomial standard errors.
_STEPS = (0.3, 0.7, 1.1, 1.5, 1.9, 2.3, 2.8, 3.4, 4.1, 5, 6, 7.2, 8.6, 10.5, 13, 16, 20, 25, 31, 39, 50, 65, 85, 110)
_OFFSETS = np.array([-s for s in reversed(_STEPS)] + [0.0, *_STEPS])
_LARGEST_LOGIT = 16.0


@dataclass(frozen=True, slots=True)
class HierarchicalRate(Estimate):
    """A rate with its interval over `models` and `clusters` questions.

    `effective` is how many independent answers would give a Wilson interval as wide: the effective sample size.
    """

    effective: float
    models: int


def hierarchical_rate(hits: Sequence[Sequence[int]], totals: Sequence[Sequence[int]]) -> HierarchicalRate | None:
    """Return the share of hits over all answers: `hits` of `totals` per model (row) and question (column).

    Models and questions without answers are left out. With one model the interval is over its questions; it then says
    nothing about other models. None when nothing was observed. Raises ValueError for counts that cannot be.
    """
    h, t = np.asarray(hits, dtype=float), np.asarray(totals, dtype=float)
    if h.shape != t.shape or h.ndim != 2 or (h < 0).any() or (h > t).any():
        raise ValueError("hits and totals must be two tables of one shape, with 0 <= hits <= totals")
    seen = t.sum(axis=1) > 0, t.sum(axis=0) > 0
    h, t = h[np.ix_(*seen)], t[np.ix_(*seen)]
    if not t.size:
        return None
    value, low, high = (float(x[0]) for x in rate_bounds(h[None], t))
    effective = min(t.sum(), _answers_as_wide(value, high - low))
    models, questions = t.shape
    method = (
        f"rate over {models} model(s) and {questions} question(s), beta-binomial profile likelihood per level, worth "
        f"{effective:.1f} independent answers"
    )
    return HierarchicalRate(value, low, high, int(t.sum()), questions, method, float(effective), models)


def rate_bounds(hits: Floats, totals: Floats) -> tuple[Floats, Floats, Floats]:
    """Return rates and the ends of their intervals `(runs,)` for `hits` `(runs, models, questions)`.

    `totals` `(models, questions)` are the same in all runs, and no model or question is without answers.
    """
    models, questions = totals.shape
    rate = hits.sum(axis=(1, 2)) / totals.sum()
    levels = []
    if questions > 1 or models == 1:
        levels.append((hits.sum(axis=1), totals.sum(axis=0)))
    if models > 1:
        levels.append((hits.sum(axis=2), totals.sum(axis=1)))
    # What is left of a level's variance without its clusters: the cells' in both levels, else the answers' own.
    inner = hits.reshape(len(hits), -1), totals.ravel()
    rest = _variance(*inner, rate) if len(levels) == 2 else rate * (1 - rate) / totals.sum()
    ends = [_profile_bounds(h, t, _limit(_variance(h, t, rate), rest, len(t))) for h, t in levels]
    below = [np.maximum(0.0, rate - low) for low, _ in ends]
    above = [np.maximum(0.0, high - rate) for _, high in ends]
    if len(levels) == 2:
        shared = _cell_bounds(rest, rate, float(totals.sum()))
        below.append(np.maximum(0.0, rate - shared[0]))
        above.append(np.maximum(0.0, shared[1] - rate))
    return rate, np.maximum(0.0, rate - _joined(below)), np.minimum(1.0, rate + _joined(above))


def _joined(distances: Sequence[Floats]) -> Floats:
    if len(distances) == 1:
        return distances[0]
    one, two, shared = distances
    # Never less than either level alone: the shared part is an estimate too.
    return np.asarray(np.sqrt(np.maximum(np.maximum(one, two) ** 2, one**2 + two**2 - shared**2)))


def _profile_bounds(hits: Floats, totals: Floats, limit: Floats) -> tuple[Floats, Floats]:
    """Ends of the profile-likelihood intervals `(runs,)` of counts per cluster, `hits` `(runs, clusters)`.

    They are where the signed root of the likelihood ratio reaches `limit` `(runs,)`.
    """
    n = totals.sum()
    start = (hits.sum(axis=1) + 0.5) / (n + 1)
    logits = np.log(start / (1 - start))[:, None] + _OFFSETS / np.sqrt(n * start * (1 - start))[:, None]
    logits = np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    fit = _profile(logits, hits, totals)
    best = fit.argmax(axis=1)
    roots = np.sqrt(np.maximum(0.0, 2 * (fit.max(axis=1)[:, None] - fit)))
    place = np.arange(logits.shape[1])
    refused = roots >= limit[:, None]
    left = np.where(refused & (place < best[:, None]), place, -1).max(axis=1)
    right = np.where(refused & (place > best[:, None]), place, len(place)).min(axis=1)
    low = np.where(left < 0, 0.0, _crossing(logits, roots, left, left + 1, limit))
    high = np.where(right == len(place), 1.0, _crossing(logits, roots, right, right - 1, limit))
    return low, high


def _profile(logits: Floats, hits: Floats, totals: Floats) -> Floats:
    """Highest beta-binomial log-likelihood over the correlations, `(runs, points)`, up to a constant per run."""
    from scipy.special import gammaln

    rate, rest = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits))
    h, n = hits.sum(axis=1)[:, None], totals.sum()
    best = h * np.log(rate) + (n - h) * np.log(rest)
    # Clusters with the same counts, as most have where hits are rare, are worked out once.
    alike, times = np.unique(np.vstack([totals, hits]), axis=1, return_counts=True)
    for correlation in CORRELATIONS[1:]:
        weight = (1 - correlation) / correlation
        a, b = rate * weight, rest * weight
        fit = (gammaln(weight) - gammaln(weight + totals)).sum() - len(totals) * (gammaln(a) + gammaln(b))
        for counts, many in zip(alike.T, times, strict=True):
            total, seen = counts[0], counts[1:, None]
            fit = fit + many * (gammaln(a + seen) + gammaln(b + (total - seen)))
        best = np.maximum(best, fit)
    return np.asarray(best)


def _crossing(
    logits: Floats, roots: Floats, outside: NDArray[np.intp], inside: NDArray[np.intp], limit: Floats
) -> Floats:
    """Rate at which the signed root, nearly straight between two points, passes `limit`."""
    rows, last = np.arange(len(logits)), logits.shape[1] - 1
    o, i = outside.clip(0, last), inside.clip(0, last)
    step = np.where(roots[rows, o] > roots[rows, i], roots[rows, o] - roots[rows, i], 1.0)
    share = ((roots[rows, o] - limit) / step).clip(0, 1)
    crossing = logits[rows, o] + share * (logits[rows, i] - logits[rows, o])
    return np.asarray(1 / (1 + np.exp(-crossing)))


def _variance(hits: Floats, totals: Floats, rate: Floats) -> Floats:
    """Variance of the rate `(runs,)` from its clusters (linearised ratio), at least the binomial one."""
    kept = totals > 0
    h, t = hits[:, kept], totals[kept]
    n, clusters = t.sum(), len(t)
    binomial = rate * (1 - rate) / n
    if clusters == 1:
        return np.asarray(binomial)
    spread = ((h - rate[:, None] * t) ** 2).sum(axis=1) * clusters / (clusters - 1) / n**2
    return np.asarray(np.maximum(binomial, spread))


def _limit(variance: Floats, rest: Floats, clusters: int) -> Floats:
    """Student's quantile with the degrees of freedom of a variance of which `rest` is known, `(runs,)`."""
    from scipy.stats import t

    if clusters == 1:
        return np.full(len(variance), _Z)
    # Where nothing varies nothing shows that the clusters are alike.
    between = np.where(variance > 0, 1 - rest / np.where(variance > 0, variance, 1.0), 1.0).clip(1e-3, 1.0)
    return np.asarray(t.ppf(0.5 + LEVEL / 2, (clusters - 1) / between**2))


def _cell_bounds(variance: Floats, rate: Floats, answers: float) -> tuple[Floats, Floats]:
    """Ends of Wilson's intervals with the answers that a variance of model-question cells is worth."""
    binomial = rate * (1 - rate) / answers
    m = answers * np.divide(binomial, variance, out=np.ones_like(variance), where=variance > 0)
    centre = (rate + _Z**2 / (2 * m)) / (1 + _Z**2 / m)
    half = _Z / (1 + _Z**2 / m) * np.sqrt(rate * (1 - rate) / m + _Z**2 / (4 * m**2))
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def _answers_as_wide(rate: float, width: float) -> float:
    """How many independent answers give a Wilson interval of this width around this rate."""
    low, high = 1e-3, 1e12
    for _ in range(100):
        middle = math.sqrt(low * high)
        half = _Z / (1 + _Z**2 / middle) * math.sqrt(rate * (1 - rate) / middle + _Z**2 / (4 * middle**2))
        low, high = (middle, high) if 2 * half > width else (low, middle)
    return low
