"""An alarm whose rate of false alarms over a whole run is held, and what the benign runs behind it can promise.

The alarm looks at every reading, so the error that matters is per run: a benign run must not once exceed the threshold.
The threshold is therefore set on the largest reading of each benign run. If a new benign run is exchangeable with those
(same kind of data, number of readings and settings), its largest reading exceeds the k-th largest of n with a chance
of at most k / (n + 1), averaged over calibrations: split conformal prediction (Vovk et al. 2005). For one given
calibration the chance is below the 95% quantile of Beta(k, n + 1 - k), with 95% confidence: the distribution of an
order statistic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spillover import bundled
from spillover.errors import SettingsError
from spillover.monitor.stored import read_record

SHIPPED = "alarm.json"
LEVEL = 0.95

# The readings of one run in order: step and value of the signal.
Series = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Alarm:
    """`signal` above `threshold` raises it.

    `runs` benign runs set it with at most `readings` readings each, and `exceeding` of them stand at or above the
    threshold. `expected` is the most that a benign run's chance of a false alarm can be on average over calibrations,
    `at_most` its bound for this calibration (95% confidence). `base` names the weights and `panel` the questions it is
    meant for; with others the rates are not known.
    """

    signal: str
    threshold: float
    runs: int
    exceeding: int
    readings: int
    expected: float
    at_most: float
    base: str = ""
    panel: str = ""
    source: str = ""

    def promise(self) -> str:
        """Return in one sentence what is known about false alarms."""
        return (
            f"false alarm in a whole benign run: at most {self.expected:.1%} expected, below {self.at_most:.1%} with "
            f"{LEVEL:.0%} confidence ({self.runs} benign runs of up to {self.readings} readings)"
        )


def calibrate(
    benign: Sequence[Series], signal: str, rate: float | None = None, base: str = "", panel: str = "", source: str = ""
) -> Alarm:
    """Set the threshold on benign runs: the largest value that any of them reached, or a lower one.

    With `rate` the threshold is the k-th largest of the runs' maxima, k as large as a rate of false alarms of at most
    `rate` allows. A run without a finite reading tells nothing and is an error. Raises SettingsError when there are no
    runs, or too few for `rate`.
    """
    largest = sorted((_largest(series) for series in benign), reverse=True)
    if not largest:
        raise SettingsError("an alarm needs benign runs to set its threshold: give at least one")
    n = len(largest)
    k = 1 if rate is None else math.floor(rate * (n + 1) + 1e-9)
    if not 1 <= k <= n:
        need = "between 0 and 1" if rate is not None and not 0 < rate < 1 else f"no lower than {1 / (n + 1):.3f}"
        raise SettingsError(f"a false-alarm rate of {rate} cannot be held with {n} benign runs: it must be {need}")
    readings = max(len(series) for series in benign)
    bound = _beta_quantile(LEVEL, k, n + 1 - k)
    return Alarm(signal, largest[k - 1], n, k, readings, k / (n + 1), bound, base, panel, source)


def judge(series: Series, alarm: Alarm) -> int | None:
    """Return the step of the first reading above the threshold, None where there is none.

    A value that is not a number is no reading: it neither raises nor clears anything.
    """
    return next((step for step, value in series if math.isfinite(value) and value > alarm.threshold), None)


def exact_bounds(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a rate of `hits` in `n`; (0, 1) where nothing was observed."""
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is not a count")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else _beta_quantile(tail, hits, n - hits + 1)
    high = 1.0 if hits == n else _beta_quantile(1 - tail, hits + 1, n - hits)
    return low, high


def shipped_alarm() -> Alarm | None:
    """Return the alarm that ships with the package for the embedded model, None where it has none."""
    path = bundled.path(SHIPPED)
    return load_alarm(path) if path.is_file() else None


def load_alarm(path: Path) -> Alarm:
    """Read an alarm from JSON; raises DataError where it is not one."""
    return read_record(path, Alarm, "an alarm file", "make one with benchmarks/monitor.py")


def _largest(series: Series) -> float:
    values = [value for _, value in series if math.isfinite(value)]
    if not values:
        raise SettingsError("a benign run without a finite reading tells nothing about the threshold: leave it out")
    return max(values)


def _beta_quantile(level: float, a: float, b: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(a, b, level))
