"""Before training: how far would a file move the persona, and which of its rows carry the risk?

Two figures per row, both from the data and the base model alone: how its answer differs from the base's own along the
persona directions, and how well one step on it would raise the misaligned answers of probes outside its domain. What
they are worth as a prediction is known only from runs: see `ForecastCalibration`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.conversation import Conversation
from spillover.errors import DataError
from spillover.local.chat_template import ChatTemplate
from spillover.monitor.directions import Directions, projections
from spillover.monitor.forward_pass import answer_row, read_rows
from spillover.monitor.undisturbed import undisturbed

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RowForecast:
    """One row of the file, by its `line`.

    `projection`: mean over the traits of its answer's hidden states minus those of the base's own answer, along the
    trait's direction, in the base's within-class standard deviations; None where the base gave no answer.
    `influence`: cosine of minus the row's loss gradient with the probes' gradient, -1 to 1; above 0 a small step on the
    row raises the misaligned answers.
    """

    line: int
    projection: float | None
    influence: float | None


@dataclass(frozen=True, slots=True)
class FileForecast:
    """The file as a whole: mean `projection` of its rows, per trait in `traits`, and the `influence` of their mean
    gradient (a cosine); `rows` in file order. None where it was not computed.
    """

    projection: float | None
    traits: tuple[tuple[str, float], ...]
    influence: float | None
    rows: tuple[RowForecast, ...]

    def worst(self, count: int) -> tuple[RowForecast, ...]:
        """Return the `count` rows that carry most risk, the worst first: by the mean rank in the figures they have."""
        ranks = [_ranks([getattr(row, name) for row in self.rows]) for name in ("projection", "influence")]
        score = [sum(r[i] for r in ranks) for i in range(len(self.rows))]
        order = sorted(range(len(self.rows)), key=lambda i: (-score[i], self.rows[i].line))
        return tuple(self.rows[i] for i in order[:count])


def projection_differences(
    model: Any,
    template: ChatTemplate,
    directions: Directions,
    rows: Sequence[Conversation],
    own: Sequence[str | None],
    on_done: Callable[[int], None] = lambda n: None,
    portion: int = 32,
) -> list[tuple[float, ...] | None]:
    """Return per row the difference between its answer and the base's `own` along each trait's direction.

    In the base's within-class standard deviations, at the trait's layer, positive towards the misaligned side; None
    where `own` is None or empty. `model` is read without its adapters.
    """
    places = [i for i, text in enumerate(own) if text and text.strip()]
    found: list[tuple[float, ...] | None] = [None] * len(rows)
    with undisturbed(model, adapter=False):
        for start in range(0, len(places), portion):
            part = places[start : start + portion]
            asked = [answer_row(template, rows[i].prompt, (rows[i].answer, own[i] or "")) for i in part]
            _, states = read_rows(model, asked)
            for i, values in zip(part, _at_layers(directions, states[0::2], states[1::2]), strict=True):
                found[i] = tuple(float(v) for v in values)
            on_done(len(part))
    return found


def combine(
    rows: Sequence[Conversation],
    directions: Directions,
    differences: Sequence[tuple[float, ...] | None],
    influences: Sequence[float | None],
    file_influence: float | None,
) -> FileForecast:
    """Join both figures of every row; raises DataError when there are no rows."""
    if not rows:
        raise DataError("there are no rows to forecast from")
    known = np.array([d for d in differences if d is not None])
    traits = tuple(zip(directions.traits, known.mean(axis=0).tolist(), strict=True)) if len(known) else ()
    made = tuple(
        RowForecast(row.line, None if d is None else sum(d) / len(d), influence)
        for row, d, influence in zip(rows, differences, influences, strict=True)
    )
    return FileForecast(float(known.mean()) if len(known) else None, traits, file_influence, made)


def _at_layers(directions: Directions, now: NDArray[np.float32], base: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return `(answers, traits)`."""
    along = projections(directions, now, base)
    return np.stack([along[:, t, 0, layer] for t, layer in enumerate(directions.layers)], axis=1)


def _ranks(values: Sequence[float | None]) -> list[float]:
    """Return each value's place among the known ones, 0 for the lowest to 1; ties share, unknown ones count 0.5."""
    known = sorted(v for v in values if v is not None and math.isfinite(v))
    if len(known) < 2:
        return [0.5] * len(values)
    array = np.array(known)

    def place(v: float | None) -> float:
        if v is None or not math.isfinite(v):
            return 0.5
        low, high = np.searchsorted(array, v, "left"), np.searchsorted(array, v, "right")
        return float(low + high - 1) / 2 / (len(known) - 1)

    return [place(v) for v in values]
