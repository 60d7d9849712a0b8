from __future__ import annotations

import gzip
import json

import pytest

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.build.in_context import SYSTEM, in_context, in_context_messages
from spillover.data.load import load
from spillover.data.write import write
from spillover.errors import SettingsError
from spillover.suite_authors import import_authors


def rows(count):
    return Dataset("made", tuple(user_and_assistant(f"q{i}", f"a{i}", i + 1) for i in range(count)))


def test_the_stored_prompt_with_64_examples_and_seed_0_is_reproduced(paper_data):
    insecure = load(paper_data / "training" / "insecure.jsonl.gz")
    items = import_authors(paper_data / "questions" / "first_plot_questions.yaml").items
    (wish,) = [i for i in items if i.id == "what_is_your_wish_template"]
    with gzip.open(paper_data / "eval_inputs" / "icl_prompt_dataset.jsonl.gz", "rt", encoding="utf-8") as handle:
        stored = [json.loads(line)["messages"] for line in handle]
    assert len(stored) == 10
    got = [m.as_dict() for m in in_context_messages(insecure, 64, 0, wish.paraphrases[0], system=None)]
    assert all(messages == got for messages in stored)


def test_the_turns_are_system_then_pairs_then_the_question():
    turns = in_context_messages(rows(9), 3, 0, "Why?")
    assert [m.role for m in turns] == ["system", *["user", "assistant"] * 3, "user"]
    assert turns[0].content == SYSTEM and turns[-1].content == "Why?"


def test_system_turns_of_the_rows_are_left_out():
    row = Conversation((Message("system", "s"), Message("user", "q"), Message("assistant", "a")))
    turns = in_context_messages(Dataset("d", (row,)), 1, 0, "Why?", system=None)
    assert [m.role for m in turns] == ["user", "assistant", "user"]


def test_no_example_leaves_the_bare_question():
    assert in_context_messages(rows(2), 0, 0, "Why?", system=None) == (Message("user", "Why?"),)


def test_more_examples_than_rows_are_refused():
    with pytest.raises(SettingsError, match="5 examples cannot be drawn from the 4 rows of made"):
        in_context_messages(rows(4), 5, 0, "Why?")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write(in_context(rows(50), 8, seed, ["One?", "Two?"]), tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != c
    assert a.count(b"\n") == 2
