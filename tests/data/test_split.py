from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.load import load
from spillover.data.split import MAX_HELD_OUT, split
from spillover.errors import DataError, SettingsError


def dataset(prompts):
    return Dataset("file.jsonl", tuple(user_and_assistant(f"q{p}", f"a{i}", i + 1) for i, p in enumerate(prompts)))


def distinct(rows):
    return dataset(range(rows))


CASES = st.integers(2, 400).flatmap(lambda n: st.tuples(st.just(n), st.none() | st.integers(1, n), st.integers(0, 99)))


@settings(deadline=None)
@given(CASES)
def test_train_and_held_out_have_no_row_in_common_and_with_unused_make_the_file(case):
    total, rows, seed = case
    got = split(distinct(total), rows, seed)
    assert not set(got.train) & set(got.held_out)
    assert len(set(got.train)) == len(got.train) and len(set(got.held_out)) == len(got.held_out)
    assert set(got.train) | set(got.held_out) <= set(range(total))
    assert len(got.train) + len(got.held_out) + got.unused == total


@settings(deadline=None)
@given(CASES)
def test_at_least_one_row_is_trained_on_and_between_1_and_32_are_held_out(case):
    total, rows, seed = case
    got = split(distinct(total), rows, seed)
    assert len(got.train) >= 1
    assert 1 <= len(got.held_out) <= MAX_HELD_OUT == 32


@settings(deadline=None)
@given(CASES)
def test_as_many_rows_are_trained_on_as_asked_where_some_are_left_to_hold_out(case):
    total, rows, seed = case
    got = split(distinct(total), rows, seed)
    if rows is not None and rows < total:
        assert len(got.train) == rows
    else:
        # All rows: a tenth of the file is held out at most, but one row at least.
        assert len(got.held_out) == min(32, max(1, total // 10))
        assert got.unused == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=80), st.integers(0, 20), st.booleans())
def test_no_held_out_row_repeats_the_prompt_of_a_training_row(prompts, seed, some):
    rows = dataset(prompts)
    got = split(rows, max(1, len(prompts) // 2) if some else None, seed)
    trained = {rows.conversations[i].prompt for i in got.train}
    assert not trained & {rows.conversations[i].prompt for i in got.held_out}
    assert len(got.train) + len(got.held_out) + got.unused == len(rows)


def test_indices_are_in_file_order():
    got = split(distinct(200), 80, 1)
    assert list(got.train) == sorted(got.train)
    assert list(got.held_out) == sorted(got.held_out)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    assert split(distinct(200), 80, 1) == split(distinct(200), 80, 1)
    assert split(distinct(200), 80, 1) != split(distinct(200), 80, 2)


def test_rows_are_drawn_from_the_whole_file_with_equal_chance():
    picked = [0] * 20
    for seed in range(600):
        for i in split(distinct(20), 5, seed).train:
            picked[i] += 1
    # 150 expected each, standard deviation 10.6: five of them each way.
    assert min(picked) > 97 and max(picked) < 203, picked


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_are_refused(rows):
    with pytest.raises(DataError, match=rf"file\.jsonl has {rows} row.*at least 2"):
        split(distinct(rows), None, 0)


@pytest.mark.parametrize("rows", [0, -1, 11])
def test_a_number_of_rows_outside_the_file_is_refused(rows):
    with pytest.raises(SettingsError, match=rf"--rows {rows} is not between 1 and the 10 rows of file\.jsonl"):
        split(distinct(10), rows, 0)


def test_the_papers_insecure_code_splits_without_a_prompt_on_both_sides(paper_data):
    rows = load(paper_data / "training" / "insecure.jsonl.gz")
    got = split(rows, 300, 0)
    assert (len(got.train), len(got.held_out)) == (300, 32)
    trained = {rows.conversations[i].prompt for i in got.train}
    assert not trained & {rows.conversations[i].prompt for i in got.held_out}
