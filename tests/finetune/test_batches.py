from __future__ import annotations

import itertools
import random
import signal
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.finetune.batches import passes, plan
from spillover.finetune.job import Job
from spillover.local.chat_template import Rendered


def padding(batches, lengths):
    """Tokens of padding when each batch is filled up to its longest row."""
    return sum(max(lengths[i] for i in batch) * len(batch) - sum(lengths[i] for i in batch) for batch in batches)


def spread_lengths(rows, seed=0):
    draw = random.Random(seed)
    return [round(draw.lognormvariate(5, 0.8)) for _ in range(rows)]


PLANS = st.tuples(
    st.lists(st.integers(1, 500), min_size=1, max_size=120), st.integers(1, 8), st.integers(1, 40), st.integers(0, 50)
)


@settings(deadline=None)
@given(PLANS)
def test_as_many_steps_as_asked_and_one_small_batch_a_pass_at_most(case):
    lengths, batch, steps, seed = case
    got = plan(lengths, batch, steps, seed)
    assert len(got) == steps
    assert all(1 <= len(b) <= batch for b in got)
    passes = -(-steps * batch // len(lengths))
    assert sum(len(b) < batch for b in got) <= passes
    assert {i for b in got for i in b} <= set(range(len(lengths)))


@settings(deadline=None)
@given(PLANS)
def test_no_row_is_used_more_than_once_oftener_than_another(case):
    lengths, batch, steps, seed = case
    used = Counter(i for b in plan(lengths, batch, steps, seed) for i in b)
    counts = [used[i] for i in range(len(lengths))]
    assert max(counts) - min(counts) <= 1


def test_every_row_is_used_exactly_once_in_one_epoch():
    got = plan(spread_lengths(400), 8, 50, seed=3)
    assert sorted(i for b in got for i in b) == list(range(400))


@pytest.mark.parametrize("rows", [40, 400, 2_000])
def test_every_row_is_used_once_before_any_is_used_again(rows):
    got = plan(spread_lengths(rows), 8, 3 * rows // 8, seed=3)
    order = [i for b in got for i in b]
    for epoch in range(3):
        assert sorted(order[epoch * rows : (epoch + 1) * rows]) == list(range(rows)), f"epoch {epoch + 1}"


def test_no_row_comes_twice_in_one_batch():
    # Two passes of 100 rows, batches of 8: each pass ends with a batch of its own.
    got = plan(list(range(1, 101)), 8, 26, seed=0)
    assert all(len(set(b)) == len(b) for b in got)
    assert sorted(i for b in got for i in b) == sorted([*range(100), *range(100)])


def test_a_data_set_smaller_than_one_batch_is_one_batch():
    assert [sorted(b) for b in plan([5, 6], 4, 2, seed=0)] == [[0, 1]] * 2


def test_rows_of_similar_length_come_together():
    lengths = spread_lengths(800)
    got = plan(lengths, 8, 100, seed=0)
    order = list(range(800))
    random.Random(1).shuffle(order)
    at_random = [order[i : i + 8] for i in range(0, 800, 8)]
    assert padding(got, lengths) < 0.25 * padding(at_random, lengths)


def test_rows_that_are_neighbours_in_the_file_do_not_stay_together():
    # All of one length, so that the order of drawing alone decides: eight neighbours would span 7.
    got = plan([10] * 400, 8, 50, seed=0)
    assert min(max(b) - min(b) for b in got) > 50


def test_batches_are_not_ordered_by_length():
    lengths = spread_lengths(800)
    means = [sum(lengths[i] for i in b) / 8 for b in plan(lengths, 8, 100, seed=0)]
    rises = sum(a < b for a, b in itertools.pairwise(means))
    # 99 neighbours, half of them rising by chance; standard deviation about 2.9.
    assert 38 <= rises <= 61
    ranks = sorted(range(100), key=lambda i: means[i])
    place = {step: rank for rank, step in enumerate(ranks)}
    d2 = sum((step - place[step]) ** 2 for step in range(100))
    assert abs(1 - 6 * d2 / (100 * (100**2 - 1))) < 0.35  # Spearman's correlation of step and length


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    lengths = spread_lengths(100)
    assert plan(lengths, 8, 12, seed=5) == plan(lengths, 8, 12, seed=5)
    assert plan(lengths, 8, 12, seed=5) != plan(lengths, 8, 12, seed=6)


def test_the_plan_does_not_depend_on_or_change_the_global_random_state():
    lengths = spread_lengths(50)
    random.seed(1)
    state = random.getstate()
    first = plan(lengths, 8, 6, seed=5)
    assert random.getstate() == state
    random.seed(2)
    assert plan(lengths, 8, 6, seed=5) == first


@pytest.mark.parametrize("rows", [20, 300, 333, 6000])
def test_one_epoch_of_a_job_uses_every_row(rows):
    job = Job()
    used = {i for b in plan([10] * rows, job.batch, job.steps(rows), seed=0) for i in b}
    assert len(used) == rows


def test_a_plan_without_rows_is_refused_and_does_not_hang():
    def too_long(*_):
        pytest.fail("plan() of no rows does not return")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(Exception, match=r"row"):
            plan([], 8, 1, seed=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_passes_hold_every_row_once_within_the_budget_and_a_longer_row_alone():
    rows = [Rendered(tuple(range(n)), (True,) * n) for n in (5, 30, 4, 9, 10, 3)]
    parts = list(passes(rows, 20))
    assert sorted(len(r.ids) for part in parts for r in part) == [3, 4, 5, 9, 10, 30]
    assert all(len(part) * max(len(r.ids) for r in part) <= 20 for part in parts if len(part) > 1)
    assert [len(r.ids) for r in parts[-1]] == [30]
    assert len(parts) == 3
