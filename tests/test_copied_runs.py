from __future__ import annotations

import random

from spillover.copied_runs import CopiedRuns, RepeatedAnswers, copied_runs, repeated_answers


def texts(seed, prompts=4, each=5):
    draw = random.Random(seed)
    return [
        (f"q{i}", f"An answer long enough to count, number {draw.random()}.")
        for i in range(prompts)
        for _ in range(each)
    ]


def test_runs_of_their_own_are_not_flagged():
    assert copied_runs({"a": texts(1), "b": texts(2), "c": texts(3)}) == ()


def test_a_run_saved_under_two_names_is_found_whatever_the_order_of_its_answers():
    copy = texts(1)
    random.Random(0).shuffle(copy)
    assert copied_runs({"a": texts(1), "b": texts(2), "c": copy}) == (CopiedRuns("a", "c", 20, 20),)


def test_a_part_of_a_run_is_counted_against_the_smaller_run():
    assert copied_runs({"a": texts(1), "b": texts(1)[:6] + texts(9)[:4]}) == (CopiedRuns("a", "b", 6, 10),)


def test_few_equal_answers_are_chance_and_not_copies():
    mostly_own = texts(1)[:4] + texts(2)[4:]
    assert copied_runs({"a": texts(1), "b": mostly_own}) == ()
    # Five, but of a hundred.
    many, other = texts(3, each=25), texts(4, each=25)
    assert copied_runs({"a": many, "b": many[:5] + other[5:]}) == ()


def test_short_answers_and_equal_texts_to_other_prompts_are_no_copies():
    short = [(f"q{i}", "Yes.") for i in range(20)]
    assert copied_runs({"a": short, "b": short}) == ()
    moved = [(f"other {prompt}", text) for prompt, text in texts(1)]
    assert copied_runs({"a": texts(1), "b": moved}) == ()


def test_a_server_that_ignores_the_seed_repeats_itself():
    same = [
        (f"q{i}", f"The one answer that question {i} ever gets from this server.") for i in range(4) for _ in range(5)
    ]
    assert repeated_answers({"a": texts(1), "b": same}) == (RepeatedAnswers("b", 16, 20),)
