from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.conversation import Conversation, Dataset, Message, fingerprint, user_and_assistant

TWO_TURNS = Conversation(
    (
        Message("system", "Be brief."),
        Message("user", "first question"),
        Message("assistant", "first answer"),
        Message("user", "second question"),
        Message("assistant", "second answer"),
    ),
    7,
)


def test_prompt_is_everything_before_the_last_assistant_turn():
    assert [m.content for m in TWO_TURNS.prompt] == ["Be brief.", "first question", "first answer", "second question"]


def test_answer_is_the_last_assistant_turn():
    assert TWO_TURNS.answer == "second answer"


def test_a_turn_after_the_last_answer_is_neither_prompt_nor_answer():
    open_end = Conversation((*TWO_TURNS.messages, Message("user", "third question")))
    assert open_end.answer == "second answer"
    assert open_end.prompt == TWO_TURNS.prompt


def test_prompt_and_answer_without_assistant_turn_raise_value_error():
    alone = Conversation((Message("user", "anyone there?"),))
    with pytest.raises(ValueError, match="no assistant turn"):
        _ = alone.answer
    with pytest.raises(ValueError, match="no assistant turn"):
        _ = alone.prompt


def test_with_answer_changes_the_last_answer_only_and_keeps_the_line():
    other = TWO_TURNS.with_answer("another")
    assert other.messages[:-1] == TWO_TURNS.messages[:-1]
    assert other.messages[-1] == Message("assistant", "another")
    assert other.line == 7
    assert TWO_TURNS.answer == "second answer"


def test_records_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TWO_TURNS.messages[0].content = "Be long."  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        TWO_TURNS.line = 8  # type: ignore[misc]


def test_message_as_dict_is_the_chat_form():
    assert Message("user", "hello").as_dict() == {"role": "user", "content": "hello"}


def test_user_and_assistant_builds_the_two_turns_in_order():
    row = user_and_assistant("q", "a", 3)
    assert row == Conversation((Message("user", "q"), Message("assistant", "a")), 3)


def test_fingerprint_is_the_start_of_sha256_over_canonical_json():
    # Written out by hand: sorted keys, no spaces, non-ASCII escaped.
    by_hand = b'{"a":"\\u00fc","b":[1,null]}'
    assert fingerprint({"b": [1, None], "a": "ü"}) == hashlib.sha256(by_hand).hexdigest()[:16]


def test_dataset_fingerprint_hashes_roles_and_contents():
    by_hand = b'[[{"content":"q","role":"user"},{"content":"a","role":"assistant"}]]'
    dataset = Dataset("d", (user_and_assistant("q", "a"),))
    assert dataset.fingerprint == hashlib.sha256(by_hand).hexdigest()[:16]


def test_dataset_fingerprint_ignores_name_and_lines():
    one = Dataset("one", (user_and_assistant("q", "a", 1), user_and_assistant("r", "b", 2)))
    two = Dataset("two", (user_and_assistant("q", "a", 10), user_and_assistant("r", "b", 20)))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param((user_and_assistant("r", "b"), user_and_assistant("q", "a")), id="order"),
        pytest.param((user_and_assistant("q", "a "), user_and_assistant("r", "b")), id="one blank more"),
        pytest.param((user_and_assistant("q", "a"),), id="a row less"),
        pytest.param(
            (Conversation((Message("system", "q"), Message("assistant", "a"))), user_and_assistant("r", "b")),
            id="a role",
        ),
        pytest.param(
            (
                Conversation(
                    (
                        *user_and_assistant("q", "a").messages,
                        *user_and_assistant("r", "b").messages,
                    )
                ),
            ),
            id="two rows as one",
        ),
    ],
)
def test_dataset_fingerprint_changes_with_the_content(changed):
    before = Dataset("d", (user_and_assistant("q", "a"), user_and_assistant("r", "b")))
    assert Dataset("d", changed).fingerprint != before.fingerprint


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4), st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_two_datasets_share_a_fingerprint_only_when_they_are_the_same(one, two):
    first = Dataset("d", tuple(user_and_assistant(*row) for row in one))
    second = Dataset("d", tuple(user_and_assistant(*row) for row in two))
    assert (first.fingerprint == second.fingerprint) == (one == two)


def test_take_returns_the_rows_at_the_indices_in_that_order():
    dataset = Dataset("d", tuple(user_and_assistant(f"q{i}", f"a{i}", i + 1) for i in range(5)))
    taken = dataset.take([3, 0, 3])
    assert [c.answer for c in taken] == ["a3", "a0", "a3"]
    assert len(taken) == 3
    assert taken.name == "d"
    assert dataset.take([1], "part").name == "part"
