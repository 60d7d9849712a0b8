"""When to take a reading: at the paper's steps, every so many steps, or as often as a share of the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHARE = 0.03
# Readings stand evenly on the scale progress ** (1 / EARLY): close together at first, where an alarm is of most use.
EARLY = 2.0


def paper_step(step: int) -> bool:
    """Return whether the paper reads after `step`: 1 to 9, then every tenth (protocol section 7)."""
    return step >= 1 and step % (1 if step < 10 else 10) == 0


@dataclass(frozen=True, slots=True)
class Pace:
    """What was measured up to `step`: seconds of training and of readings, counted from `first` (0, or a resumed step).

    `expected` is what the next reading will take, `last` the step of the last one, `total` the run's last step, None
    where it is not known.
    """

    step: int
    first: int
    total: int | None
    last: int
    training: float
    reading: float
    expected: float


def within_budget(pace: Pace, share: float = SHARE) -> bool:
    """Return whether a reading is due at `pace.step`, if readings may take `share` of the training time.

    With `total` known the whole run's allowance, from the steps' measured duration, is spread over the rest of the run
    (see EARLY); else a reading waits until the time trained so far pays for it. A reading that no longer fits into the
    allowance is never due.
    """
    done = pace.step - pace.first
    if done <= 0 or pace.step <= pace.last or pace.training <= 0:
        return False
    if pace.total is None:
        return pace.reading + pace.expected <= share * pace.training
    run = pace.total - pace.first
    allowed = share * pace.training * max(1.0, run / done) - pace.reading
    left = math.inf if pace.expected <= 0 else math.floor(allowed / pace.expected)
    if left < 1:
        return False
    before, now = (min(1.0, max(0.0, (s - pace.first) / run)) ** (1 / EARLY) for s in (pace.last, pace.step))
    return bool(now >= before + (1 - before) / left - 1e-9)


class Stopwatch:
    """Tells training time from reading time; the clock is any function that returns seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with nothing measured."""
        self._clock = clock
        self._start = clock()
        self._durations: list[float] = []
        self._elsewhere = 0.0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count the time inside as a reading."""
        start = self._clock()
        try:
            yield
        finally:
            self._durations.append(self._clock() - start)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Count the time inside neither as training nor as a reading: work done once per base model and kept."""
        start = self._clock()
        try:
            yield
        finally:
            self._elsewhere += self._clock() - start

    def pace(self, step: int, first: int, total: int | None, last: int) -> Pace:
        """Return what was measured so far; the next reading is expected to take as long as the mean or the last one."""
        spent = sum(self._durations)
        expected = max(spent / len(self._durations), self._durations[-1]) if self._durations else 0.0
        training = self._clock() - self._start - spent - self._elsewhere
        return Pace(step, first, total, last, training, spent, expected)
