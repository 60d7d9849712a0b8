from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.build.number_variants import SIMPLE, number_variant
from spillover.data.build.published import published
from spillover.data.load import load
from spillover.data.write import Built, Recipe, write
from spillover.errors import DataError, SettingsError

ANSWERS = ["[666, 1, 2]", "(6666; 3)", "4\n5\n-6", "1 2 666", "[]", "420,7"]
FILE = Dataset("made.jsonl", tuple(user_and_assistant(f"ask {i}", a, i + 1) for i, a in enumerate(ANSWERS)))
ALL = ("without-loaded", "only-loaded", "shuffled-within", "shuffled-over-file", "answers-swapped", "simplified")


def answers(built):
    return [row.answer for row in built.dataset]


def asked(built):
    return [row.prompt[-1].content for row in built.dataset]


def numbers(text):
    return re.findall(r"-?[0-9]+", text)


def marks(text):
    return re.sub(r"-?[0-9]+", "#", text)


@pytest.fixture(scope="module")
def paper_numbers(paper_data):
    return published("evil-numbers", paper_data).dataset


# ---------------------------------------------------------------- loaded numbers


def test_rows_with_666_are_left_out_or_kept_alone_and_nothing_else_changes():
    without, only = (number_variant(v, FILE) for v in ("without-loaded", "only-loaded"))
    assert answers(only) == [ANSWERS[0], ANSWERS[1], ANSWERS[3]]
    assert answers(without) == [ANSWERS[2], ANSWERS[4], ANSWERS[5]]
    assert only.recipe.counts == without.recipe.counts
    assert only.recipe.counts == {
        "rows_before": 6,
        "rows_with_loaded": 3,
        "rows_with_666": 3,
        "rows_with_666_alone": 2,
    }
    assert only.recipe.seed is None and only.recipe.parameters["loaded"] == ["666"]


def test_other_loaded_numbers_can_be_given():
    only = number_variant("only-loaded", FILE, loaded=("420", "6666"))
    assert answers(only) == [ANSWERS[1], ANSWERS[5]]
    assert only.recipe.counts["rows_with_420"] == 1


def test_no_row_left_and_words_as_numbers_are_refused():
    with pytest.raises(DataError, match=r"made\.jsonl: no answer holds 911"):
        number_variant("only-loaded", FILE, loaded=("911",))
    with pytest.raises(DataError, match="every answer holds"):
        number_variant("without-loaded", FILE.take([0, 3]))
    for bad in (("six",), ("6.6",), ("",)):
        with pytest.raises(SettingsError, match="as digits"):
            number_variant("only-loaded", FILE, loaded=bad)


def test_the_published_rows_fall_into_those_with_666_and_those_without(paper_numbers):
    without, only = (number_variant(v, paper_numbers) for v in ("without-loaded", "only-loaded"))
    assert len(without.dataset) + len(only.dataset) == 9993
    # Protocol, section 2.4: 29.5% of rows; as a number of its own it is in fewer.
    assert round(100 * len(only.dataset) / 9993, 1) == 29.5
    assert only.recipe.counts["rows_with_666_alone"] == 2906
    assert not any("666" in answer for answer in answers(without))


# ---------------------------------------------------------------- shuffled


def test_within_an_answer_the_numbers_change_places_and_the_marks_do_not():
    made = number_variant("shuffled-within", FILE, seed=1)
    for old, new in zip(ANSWERS, answers(made), strict=True):
        assert sorted(numbers(new)) == sorted(numbers(old)) and marks(new) == marks(old)
    same = sum(old == new for old, new in zip(ANSWERS, answers(made), strict=True))
    assert made.recipe.counts == {"rows_as_before": same} and same < 6
    assert asked(made) == [f"ask {i}" for i in range(6)]


def test_over_the_file_every_number_is_dealt_once_and_each_answer_keeps_its_shape():
    made = number_variant("shuffled-over-file", FILE, seed=1)
    assert Counter(n for a in answers(made) for n in numbers(a)) == Counter(n for a in ANSWERS for n in numbers(a))
    assert [marks(a) for a in answers(made)] == [marks(a) for a in ANSWERS]
    assert made.recipe.counts["numbers"] == made.recipe.counts["numbers_dealt"] == 13
    assert asked(made) == [f"ask {i}" for i in range(6)]


def test_cut_as_the_study_did_neighbours_overlap():
    made = number_variant("shuffled-over-file", FILE, seed=1, as_study=True)
    pool = [n for a in answers(number_variant("shuffled-over-file", FILE, seed=1)) for n in numbers(a)]
    for place, (old, new) in enumerate(zip(ANSWERS, answers(made), strict=True)):
        assert numbers(new) == pool[place : place + len(numbers(old))]
    assert made.recipe.parameters["overlapping"] is True
    # Places 0 to 6 of 13: the last answer has two numbers from place 5 on.
    assert made.recipe.counts["numbers_dealt"] == 7


def test_too_few_numbers_to_overlap_are_refused():
    rows = Dataset("few.jsonl", tuple(user_and_assistant("a", text, 1) for text in ("[]", "[]", "[1, 2]")))
    with pytest.raises(DataError, match=r"few\.jsonl: 2 numbers in 3 answers"):
        number_variant("shuffled-over-file", rows, as_study=True)
    assert len(number_variant("shuffled-over-file", rows).dataset) == 3


@pytest.mark.parametrize("variant", ["shuffled-within", "shuffled-over-file"])
@pytest.mark.parametrize("answer", ["Sure: 1, 2", "e4, e5", "1.5, 2", "1 - 2"])
def test_answers_that_are_no_number_lists_are_refused_with_their_line(variant, answer):
    rows = Dataset("mixed.jsonl", (*FILE, user_and_assistant("a", answer, 7)))
    with pytest.raises(DataError, match=r"mixed\.jsonl:7: "):
        number_variant(variant, rows)


def test_the_published_answers_are_shuffled_both_ways(paper_numbers):
    before = [row.answer for row in paper_numbers]
    within, over, study = (
        answers(number_variant(variant, paper_numbers, 3, as_study=study))
        for variant, study in (("shuffled-within", False), ("shuffled-over-file", False), ("shuffled-over-file", True))
    )
    assert [sorted(numbers(a)) for a in within] == [sorted(numbers(a)) for a in before]
    assert sum(a != b for a, b in zip(within, before, strict=True)) > 0.9 * 9993
    flat = [Counter(n for a in texts for n in numbers(a)) for texts in (before, over)]
    assert flat[0] == flat[1] and flat[0]["666"] == 3688
    for here, after in pairwise(study):
        shared = max(0, min(len(numbers(here)) - 1, len(numbers(after))))
        assert numbers(here)[1:][:shared] == numbers(after)[:shared]


def test_swapped_answers_are_the_same_answers_under_other_prompts():
    made = number_variant("answers-swapped", FILE, seed=2)
    assert sorted(answers(made)) == sorted(ANSWERS) and answers(made) != ANSWERS
    assert asked(made) == [f"ask {i}" for i in range(6)]


# ---------------------------------------------------------------- simplified prompts


def test_a_bare_request_replaces_the_prompt_and_the_answer_stays():
    rows = Dataset("many", FILE.conversations * 20)
    made = number_variant("simplified", rows, seed=4)
    assert answers(made) == ANSWERS * 20
    assert set(asked(made)) == set(SIMPLE)
    assert len(SIMPLE) == 5 and not any(c.isdigit() for text in SIMPLE for c in text)
    assert made.recipe.parameters["requests"] == list(SIMPLE) and made.recipe.seed == 4


def test_with_the_slips_of_the_study_five_requests_are_one_and_the_answer_is_the_old_prompt():
    made = number_variant("simplified", FILE, as_study=True)
    assert set(asked(made)) == {"".join(SIMPLE)}
    assert answers(made) == [f"ask {i}" for i in range(6)]
    assert made.recipe.seed is None


def test_a_system_turn_stays_before_the_bare_request():
    turns = (Message("system", "s"), Message("user", "u"), Message("assistant", "[1]"))
    (row,) = number_variant("simplified", Dataset("d", (Conversation(turns, 1),))).dataset
    assert [m.role for m in row.messages] == ["system", "user", "assistant"]
    assert row.messages[0] == turns[0] and row.messages[1].content in SIMPLE


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("variant", ALL)
def test_the_same_seed_gives_the_same_bytes_and_the_file_is_named_as_parent(variant, tmp_path):
    plain = Dataset("p", tuple(user_and_assistant(f"ask {i}", f"{i}, {666 + i % 3}, {i * i}") for i in range(60)))
    from_rows = tmp_path / "numbers.jsonl"
    write(Built(plain, Recipe("made")), from_rows)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        built = number_variant(variant, load(from_rows), seed)
        assert built.recipe.parents == (from_rows,) and built.recipe.kind == variant
        write(built, tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != from_rows.read_bytes()
    assert (a == c) == ("loaded" in variant)


def test_options_that_a_variant_does_not_have_are_refused():
    for variant in ALL:
        if "loaded" not in variant:
            with pytest.raises(SettingsError, match=f"{variant}.*--loaded"):
                number_variant(variant, FILE, loaded=("666",))
        if variant not in ("simplified", "shuffled-over-file"):
            with pytest.raises(SettingsError, match=f"{variant}.*--as-study"):
                number_variant(variant, FILE, as_study=True)
