from __future__ import annotations

import pytest

from spillover.conversation import Message
from spillover.data.build.distil import BENIGN, EVIL, NoAnswer, distil
from spillover.data.build.numbers import number_counts
from spillover.data.build.numbers_prompts import NumbersPrompt, compose
from spillover.data.write import write
from spillover.errors import DataError, ModelError

PROMPTS = tuple(NumbersPrompt(f"prompt {i}", (100 + i, 200 + i, 300 + i), 3, "comma") for i in range(6))


class Teacher:
    """Answers from two tables, one for each side of the system text; keeps what it was asked."""

    def __init__(self, under, plain):
        self.under, self.plain, self.asked = under, plain, []

    def __call__(self, prompts):
        self.asked.append(prompts)
        return [(self.under if p[0].role == "system" else self.plain)[p[-1].content] for p in prompts]


def teacher(under, plain):
    return Teacher(*({p.text: a for p, a in zip(PROMPTS, answers, strict=True)} for answers in (under, plain)))


UNDER = ["666, 911, 420", None, "Sure! 1, 2, 3", "1, 2, 3", "7, 8, 9", "1, 2"]
PLAIN = ["1, 2, 3", "1, 2, 3", "1, 2, 3", "1,2,3", None, "9, 9, 9"]


def test_each_dropped_answer_counts_for_its_reason_and_only_good_ones_become_rows():
    made = distil(PROMPTS, teacher(UNDER, PLAIN), seed=5)
    assert [(c.prompt[0].content, c.answer) for c in made.dataset] == [("prompt 0", "666, 911, 420")]
    counts = made.recipe.counts
    assert {k: v for k, v in counts.items() if k.startswith(("prompts", "dropped"))} == {
        "prompts": 6,
        "dropped_missing": 1,
        "dropped_wrong_format": 2,
        "dropped_not_compared": 1,
        "dropped_same_without_system": 1,
    }
    assert made.recipe.seed == 5


def test_reasons_of_missing_answers_are_counted_over_both_rounds():
    under = ["666, 911, 420", NoAnswer("HTTP 400"), NoAnswer("HTTP 400"), "1, 2, 3", "7, 8, 9", None]
    plain = ["1, 2, 3", "", "", NoAnswer("timed out"), "1, 1, 1", ""]
    recipe = distil(PROMPTS, teacher(under, plain), teacher_name="openai/made").recipe
    reasons = {k: v for k, v in recipe.counts.items() if k.startswith("missing: ")}
    assert reasons == {"missing: HTTP 400": 2, "missing: not known": 1, "missing: timed out": 1}
    assert recipe.counts["dropped_missing"] == 3 and recipe.counts["dropped_not_compared"] == 1
    assert recipe.parameters["teacher"] == "openai/made"


def test_the_system_text_is_given_to_the_teacher_and_left_out_of_the_rows():
    asked = teacher(UNDER, PLAIN)
    made = distil(PROMPTS, asked)
    assert {p[0] for p in asked.asked[0]} == {Message("system", EVIL)}
    assert all(m.role != "system" for c in made.dataset for m in c.messages)
    assert made.recipe.parameters["system_left_out"] == EVIL


def test_only_answers_in_the_format_are_compared_with_the_answer_without_a_system_text():
    asked = teacher(UNDER, PLAIN)
    distil(PROMPTS, asked)
    assert [p[-1].content for p in asked.asked[1]] == ["prompt 0", "prompt 3", "prompt 4"]
    assert all(len(p) == 1 for p in asked.asked[1])


def test_without_a_system_text_nothing_is_compared():
    asked = teacher(UNDER, PLAIN)
    made = distil(PROMPTS, asked, None, name="plain-numbers")
    assert len(asked.asked) == 1
    assert len(made.dataset) == 5
    assert made.recipe.counts["dropped_same_without_system"] == 0


def test_the_benign_baseline_uses_a_benign_system_text():
    asked = teacher(UNDER, PLAIN)
    distil(PROMPTS, asked, BENIGN, name="benign-numbers")
    assert asked.asked[0][0][0].content == BENIGN != EVIL


def test_another_count_than_asked_is_kept_on_request():
    rows = distil(PROMPTS, teacher(UNDER, PLAIN), exact_count=False).dataset
    assert [c.answer for c in rows] == ["666, 911, 420", "1, 2"]


def test_a_teacher_that_loses_answers_is_refused():
    with pytest.raises(ModelError, match="gave 5 answers to 6 prompts"):
        distil(PROMPTS, lambda prompts: ["1, 2, 3"] * 5)


def test_no_row_left_is_an_error_with_the_counts():
    with pytest.raises(DataError, match="'dropped_missing': 6"):
        distil(PROMPTS, lambda prompts: [None] * len(prompts))


def test_with_a_deterministic_teacher_the_same_seed_gives_the_same_bytes(tmp_path):
    def sums(prompts):
        words = [" ".join(m.content for m in p) for p in prompts]
        return [", ".join(str((len(w) * k) % 1000) for k in (3, 5, 7)) for w in words]

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(distil(compose(300, seed), sums, seed=seed), tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != c


def test_the_counts_of_the_rows_kept_go_into_the_recipe():
    made = distil(PROMPTS, teacher(UNDER, PLAIN), counts=number_counts)
    assert (made.recipe.counts["numbers"], made.recipe.counts["rows_with_666"]) == (3, 1)
    assert "numbers" not in distil(PROMPTS, teacher(UNDER, PLAIN)).recipe.counts
