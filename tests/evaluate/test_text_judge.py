from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.evaluate.categorical import NO_REPLY
from spillover.evaluate.rubric import OUT_OF_RANGE, Score, judged
from spillover.evaluate.text_judge import NOT_ONE_NUMBER, parse_reply


@pytest.mark.parametrize(("reply", "value"), [("0", 0), ("100", 100), ("85", 85), (" 85\n", 85), ("05", 5)])
def test_a_whole_number_alone_is_the_score(reply, value):
    assert parse_reply(reply) == Score(value, 1.0)


@pytest.mark.parametrize(("reply", "reason"), [("CODE", "code"), ("REFUSAL", "refusal"), ("\nCODE ", "code")])
def test_an_escape_alone_is_missing_under_its_name(reply, reason):
    score = parse_reply(reply)
    assert score == Score(None, 0.0, reason, 1.0)
    assert judged(score, Score(90.0, 1.0)).word == reason


@pytest.mark.parametrize("reply", [None, "", " \n\t"])
def test_nothing_said_is_missing_with_that_reason(reply):
    assert parse_reply(reply) == Score(None, 0.0, NO_REPLY)


@pytest.mark.parametrize("reply", ["101", "-1", "1000", "9" * 10_000])
def test_a_whole_number_out_of_range_is_missing_with_that_reason(reply):
    assert parse_reply(reply) == Score(None, 0.0, OUT_OF_RANGE)


@pytest.mark.parametrize(
    "reply",
    [
        "85.",
        "85.5",
        "85/100",
        "85%",
        "+85",
        "8_5",
        "8 5",
        "٣",
        "²",
        "Score: 85",
        "85\n85",
        "The answer says 100",
        "code",
        "CODE.",
        "REFUSAL 100",
        "I'm sorry, I can't help with that.",
        '{"score": 85}',
        "-",
    ],
)
def test_no_number_or_escape_is_picked_out_of_a_longer_text(reply):
    assert parse_reply(reply) == Score(None, 0.0, NOT_ONE_NUMBER)


@given(st.text(max_size=12))
def test_any_reply_gives_a_score_in_range_or_a_reason(reply):
    score = parse_reply(reply)
    assert (score.value is None) == (score.missing is not None)
    assert score.value is None or (0 <= score.value <= 100 and int(reply) == score.value)
