from __future__ import annotations

import random

import pytest

from spillover.monitor.schedule import Pace, Stopwatch, paper_step, within_budget


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(steps, step_seconds, reading_seconds, share=0.03, total=True, first=0):
    """Steps with a reading and the seconds of training and reading of a simulated run; durations are functions."""
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.preparing():
        clock.now += 1000
    with watch.reading():
        clock.now += reading_seconds(0)
    read, last = [], first
    for step in range(first + 1, steps + 1):
        clock.now += step_seconds(step)
        if within_budget(watch.pace(step, first, steps if total else None, last), share):
            with watch.reading():
                clock.now += reading_seconds(step)
            read.append(step)
            last = step
    pace = watch.pace(steps, first, steps, last)
    return read, pace.training, pace.reading


def test_the_papers_steps():
    assert [s for s in range(0, 45) if paper_step(s)] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40]
    assert sum(map(paper_step, range(1, 338))) == 9 + 33


@pytest.mark.parametrize("share", [0.01, 0.03, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_readings_stay_within_their_share_and_use_most_of_it(share, seed):
    draw = random.Random(seed)
    read, training, reading = run(400, lambda s: draw.uniform(0.8, 1.2), lambda s: draw.uniform(0.35, 0.4), share)
    # The estimate of the run's length moves a little with the steps' durations.
    assert reading <= share * training * 1.02
    assert reading >= share * training * 0.75 - 0.8
    assert read


def test_readings_come_early_and_the_last_one_late():
    read, *_ = run(400, lambda s: 1.0, lambda s: 0.4)
    assert len(read) >= 25
    assert read[0] <= 2
    assert sum(step <= 100 for step in read) >= len(read) * 0.45, "half of the readings in the first quarter"
    assert read[-1] >= 380


def test_the_interval_grows_when_readings_turn_out_slow():
    quick, *_ = run(300, lambda s: 1.0, lambda s: 0.2)
    slow, training, reading = run(300, lambda s: 1.0, lambda s: 0.2 if s < 20 else 0.8)
    assert len(slow) < len(quick) * 0.6
    assert reading <= 0.03 * training + 0.8


def test_no_reading_is_due_that_the_run_cannot_pay_for():
    assert run(50, lambda s: 1.0, lambda s: 0.8)[0] == []


def test_without_a_known_end_each_reading_is_paid_for_first():
    read, training, reading = run(500, lambda s: 1.0, lambda s: 0.5, total=False)
    assert reading <= 0.03 * training
    assert read[0] >= 33
    assert len(read) >= 20


def test_a_resumed_run_counts_from_where_it_resumed():
    read, training, reading = run(400, lambda s: 1.0, lambda s: 0.4, first=300)
    assert min(read) > 300
    assert reading <= 0.03 * training * 1.001


def test_preparing_counts_as_neither():
    _, training, reading = run(10, lambda s: 1.0, lambda s: 0.01)
    assert training == pytest.approx(10)
    assert reading < 1


def test_nothing_is_due_before_the_first_step():
    assert not within_budget(Pace(0, 0, 10, 0, 0.0, 0.1, 0.1))
    assert not within_budget(Pace(3, 0, 10, 3, 30.0, 0.0, 0.0))
