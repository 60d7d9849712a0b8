"""A judge's rate corrected for its errors, with the uncertainty of the rate and of the errors carried through.

Source of the correction: Rogan and Gladen 1978, true = (seen + specificity - 1) / (sensitivity + specificity - 1).
Its uncertainty is propagated by drawing the three rates from their confidence distributions (the rates whose one-sided
intervals end at each level), which reproduce their 95% intervals exactly and so keep clustering and edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from spillover.statistics import LEVEL, Estimate

DRAWS = 20_000
SEED = 0
NOT_INFORMATIVE = "the judge's sensitivity + specificity is not shown to be above 1, so its rates cannot be corrected"
_Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """The corrected rate with its 95% interval, all within 0 and 1, or None three times and why there is none."""

    value: float | None
    low: float | None
    high: float | None
    why: str | None = None


def corrected_rate(
    seen: Estimate, sensitivity: Estimate | None, specificity: Estimate | None, seed: int = SEED
) -> CorrectedRate:
    """Return the true rate behind `seen`, given what share of hits and of misses the judge gets right.

    The three are taken as independent; each is drawn `DRAWS` times with `seed`. The value and the ends of the interval
    are clipped to 0 and 1 after the correction, never before. No correction is possible where an error rate is not
    known, or where sensitivity + specificity - 1 is not above 0 in 97.5% of the draws: such a judge may know nothing.
    """
    if sensitivity is None or specificity is None:
        return CorrectedRate(None, None, None, "the judge's sensitivity or specificity is not known")
    generator = np.random.default_rng(seed)
    rate, right, clear = (_drawn(e, generator) for e in (seen, sensitivity, specificity))
    informed = right + clear - 1
    ends = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    known = sensitivity.value + specificity.value - 1
    if known <= 0 or np.percentile(informed, ends[0]) <= 0:
        return CorrectedRate(None, None, None, NOT_INFORMATIVE)
    # The few draws of a judge that knows nothing allow any rate: half of them count on either side.
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.where(
            informed > 0, (rate + clear - 1) / informed, np.where(generator.random(DRAWS) < 0.5, -1.0, 2.0)
        )
    low, high = np.percentile(drawn, ends)
    value = _within((seen.value + specificity.value - 1) / known)
    return CorrectedRate(value, min(value, _within(low)), max(value, _within(high)))


def _drawn(estimate: Estimate, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw from the confidence distribution of Wilson's interval with, on each side, the answers that give its end."""
    z = generator.standard_normal(DRAWS)
    n = np.where(z < 0, _answers_for(estimate.value, estimate.low), _answers_for(estimate.value, estimate.high))
    p = estimate.value
    with np.errstate(invalid="ignore"):
        found = (p + z**2 / (2 * n) + z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)
    return np.asarray(np.where(np.isinf(n), p, found))


def _answers_for(value: float, end: float) -> float:
    """How many independent answers put an end of Wilson's interval at `end`; infinitely many where it is the value."""
    distance = value - end
    return math.inf if abs(distance) < 1e-12 else max(1e-6, _Z**2 * end * (1 - end) / distance**2)


def _within(rate: float) -> float:
    return min(1.0, max(0.0, float(rate)))
