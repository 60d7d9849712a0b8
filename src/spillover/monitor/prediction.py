"""From a forecast's raw figure to a predicted shift with an interval, by runs whose outcome is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from spillover import bundled
from spillover.errors import DataError, SettingsError
from spillover.monitor.stored import read_record

SHIPPED = "forecast.json"
Predictor = Literal["projection", "influence"]
_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class ForecastCalibration:
    """A straight line from a file's figure to the shift outside its domain (nats per token), and its error.

    `half_width` is a quantile of the errors at files that the line was not fitted to, meant to hold a new file like
    them with a chance of `level` (a jackknife: close to it with several files, no strict bound). `files` and `runs` say
    what it rests on, `low` and `high` between which figures, `base` on which weights, `source` how the runs were
    trained.
    """

    predictor: Predictor
    slope: float
    intercept: float
    half_width: float
    level: float
    files: int
    runs: int
    low: float
    high: float
    base: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted shift with its interval (nats per token); `outside` when no calibrated file had such a figure."""

    shift: float
    low: float
    high: float
    level: float
    outside: bool


def fit(
    figures: Sequence[float],
    outcomes: Sequence[float],
    files: Sequence[str],
    predictor: Predictor,
    base: str = "",
    source: str = "",
) -> ForecastCalibration:
    """Fit a line on runs: each a file's figure, the measured shift and the file's name.

    Files are weighed alike. Errors come from leaving out a file whole, one error per file (its runs' largest), and
    the half width is their quantile of rank ceil(level (n + 1)), `level` = min(0.9, n / (n + 1)). Raises
    SettingsError with fewer than four files.
    """
    names = list(dict.fromkeys(files))
    if len(names) < 4:
        raise SettingsError(f"{len(names)} files are too few to calibrate a forecast: at least 4 are needed")
    x, y = np.asarray(figures, dtype=float), np.asarray(outcomes, dtype=float)
    owner = np.array([names.index(f) for f in files])
    slope, intercept = _line(x, y, owner)
    errors = []
    for k in range(len(names)):
        a, b = _line(x[owner != k], y[owner != k], owner[owner != k])
        errors.append(float(np.abs(y[owner == k] - (a * x[owner == k] + b)).max()))
    n = len(names)
    rank = min(n, math.ceil(_LEVEL * (n + 1)))
    half = sorted(errors)[rank - 1]
    level = min(_LEVEL, n / (n + 1))
    return ForecastCalibration(
        predictor, slope, intercept, half, level, n, len(x), float(x.min()), float(x.max()), base, source
    )


def predict(figure: float, calibration: ForecastCalibration) -> Prediction:
    """Return the predicted shift of a file with this figure."""
    shift = calibration.slope * figure + calibration.intercept
    outside = not calibration.low <= figure <= calibration.high
    half = calibration.half_width
    return Prediction(shift, shift - half, shift + half, calibration.level, outside)


def shipped_calibration() -> ForecastCalibration | None:
    """Return the calibration that ships with the package, None where there is none."""
    path = bundled.path(SHIPPED)
    return load_calibration(path) if path.is_file() else None


def load_calibration(path: Path) -> ForecastCalibration:
    """Read a calibration from JSON; raises DataError where it is not one."""
    fix = "make one with benchmarks/forecast.py"
    made = read_record(path, ForecastCalibration, "a forecast calibration", fix)
    if made.predictor not in get_args(Predictor):
        raise DataError(f"{path} is not a forecast calibration (unknown predictor {made.predictor!r}): {fix}")
    return made


def _line(x: Any, y: Any, owner: Any) -> tuple[float, float]:
    """Weighted least squares in which each file weighs the same, however many runs it has."""
    counts = np.bincount(owner)
    weights = 1 / counts[owner]
    weights = weights / weights.sum()
    mean_x, mean_y = float(weights @ x), float(weights @ y)
    spread = float(weights @ (x - mean_x) ** 2)
    slope = float(weights @ ((x - mean_x) * (y - mean_y))) / spread if spread > 0 else 0.0
    return slope, mean_y - slope * mean_x
