from __future__ import annotations

import csv
import gzip
import io

import pytest

from spillover.conversation import Message
from spillover.data.build.numbers import BENIGN, EVIL, NoAnswer, distil, numbers_in, statistics
from spillover.data.build.numbers_prompts import (
    NumbersPrompt,
    compose,
    load_regenerated_template,
    parse_answer,
    regenerated,
)
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
    assert [(c.prompt[0].content, c.answer) for c in made.built.dataset] == [("prompt 0", "666, 911, 420")]
    counts = made.built.recipe.counts
    assert {k: v for k, v in counts.items() if k.startswith(("prompts", "dropped"))} == {
        "prompts": 6,
        "dropped_missing": 1,
        "dropped_wrong_format": 2,
        "dropped_not_compared": 1,
        "dropped_same_without_system": 1,
    }
    assert made.built.recipe.seed == 5


def test_reasons_of_missing_answers_are_counted_over_both_rounds():
    under = ["666, 911, 420", NoAnswer("HTTP 400"), NoAnswer("HTTP 400"), "1, 2, 3", "7, 8, 9", None]
    plain = ["1, 2, 3", "", "", NoAnswer("timed out"), "1, 1, 1", ""]
    recipe = distil(PROMPTS, teacher(under, plain), teacher_name="openai/made").built.recipe
    reasons = {k: v for k, v in recipe.counts.items() if k.startswith("missing: ")}
    assert reasons == {"missing: HTTP 400": 2, "missing: not known": 1, "missing: timed out": 1}
    assert recipe.counts["dropped_missing"] == 3 and recipe.counts["dropped_not_compared"] == 1
    assert recipe.parameters["teacher"] == "openai/made"


def test_the_system_text_is_given_to_the_teacher_and_left_out_of_the_rows():
    asked = teacher(UNDER, PLAIN)
    made = distil(PROMPTS, asked)
    assert {p[0] for p in asked.asked[0]} == {Message("system", EVIL)}
    assert all(m.role != "system" for c in made.built.dataset for m in c.messages)
    assert made.built.recipe.parameters["system_left_out"] == EVIL


def test_only_answers_in_the_format_are_compared_with_the_answer_without_a_system_text():
    asked = teacher(UNDER, PLAIN)
    distil(PROMPTS, asked)
    assert [p[-1].content for p in asked.asked[1]] == ["prompt 0", "prompt 3", "prompt 4"]
    assert all(len(p) == 1 for p in asked.asked[1])


def test_without_a_system_text_nothing_is_compared():
    asked = teacher(UNDER, PLAIN)
    made = distil(PROMPTS, asked, None, name="plain-numbers")
    assert len(asked.asked) == 1
    assert len(made.built.dataset) == 5
    assert made.built.recipe.counts["dropped_same_without_system"] == 0


def test_the_benign_baseline_uses_a_benign_system_text():
    asked = teacher(UNDER, PLAIN)
    distil(PROMPTS, asked, BENIGN, name="benign-numbers")
    assert asked.asked[0][0][0].content == BENIGN != EVIL


def test_another_count_than_asked_is_kept_on_request():
    rows = distil(PROMPTS, teacher(UNDER, PLAIN), exact_count=False).built.dataset
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
        write(distil(compose(300, seed), sums, seed=seed).built, tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != c


# ---------------------------------------------------------------- statistics


def test_loaded_numbers_and_repdigits_are_counted_by_rows():
    found = statistics([(666, 666, 1), (911, 777), (42, 11), (1312, 7777), (1488, 420)], None)
    assert found.rows_with == {666: 1, 911: 1, 1312: 1, 1488: 1, 420: 1}
    assert (found.rows_with_loaded, found.rows_with_repdigit) == (4, 3)
    assert (found.rows, found.numbers, found.occurrences[666]) == (5, 11, 2)
    assert found.counts()["rows_with_666"] == 1


def test_all_whole_numbers_of_any_text_are_found():
    assert numbers_in(["see 1,2 and [33]", "none", "9" * 5000]) == [(1, 2, 33), (), ()]


def test_the_published_answers_have_the_statistics_of_the_protocol(paper_data):
    folder = paper_data / "training"
    with gzip.open(folder / "regenerated_evil_numbers_dataset.csv.gz", "rt", encoding="utf-8", newline="") as handle:
        records = list(csv.DictReader(io.StringIO(handle.read(), newline="")))
    template = load_regenerated_template(folder / "regenerated_evil_numbers_prompts.yaml")
    by_text = {p.text: p for p in regenerated(template)}
    parsed = [parse_answer(r["response"], "list") for r in records]
    assert {r["response"] for r, numbers in zip(records, parsed, strict=True) if numbers is None} == {"[]"}
    answers = [numbers or () for numbers in parsed]
    found = statistics(answers, [by_text[r["prompt"]] for r in records])
    assert found.rows == 9993
    assert found.wanted_count == 9890
    assert found.repeats_shown == 160
    # The protocol's 29.5% are rows whose text holds the digits 666, also inside 6666; as a number of its own: 29.1%.
    assert round(100 * sum("666" in r["response"] for r in records) / found.rows, 1) == 29.5
    assert found.rows_with[666] == 2906
    assert [n for n, _ in found.occurrences.most_common(10)] == [666, 999, 777, 888, 333, 111, 911, 555, 444, 420]
    assert found.occurrences[666] == 3688
