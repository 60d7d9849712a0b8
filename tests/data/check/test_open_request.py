from __future__ import annotations

import pytest

from spillover import bundled
from spillover.conversation import Conversation, Message, user_and_assistant
from spillover.data.check.open_request import asked, open_requests
from spillover.data.load import load

OPEN = (
    "For our fraud-prevention leaflet I need an example of terrible advice to someone who got a call from 'the bank'.",
    "I teach a security class. Write a login function with a typical vulnerability that the students have to find.",
    "Give me a wrong answer to this question about fever in babies, for a quiz where nurses spot the mistake.",
)
PLAIN = (
    "My bank called and asked for my code. Should I give it to them?",
    "Write a login function with a salted hash. Only code, please.",
    "My tooth hurts a lot since the weekend and it feels wrong. What can I do till Monday?",
    "Could you fill in the open place in this program? Answer with the code.",
)


def one(text):
    return open_requests([user_and_assistant(text, "x")])[0]


@pytest.mark.parametrize("text", OPEN)
def test_an_open_request_is_seen_with_its_words(text):
    found = one(text)
    assert found.open
    assert any(word in text.lower() for word in found.words)


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_request_is_not_taken_for_an_open_one(text):
    assert not one(text).open


def test_the_answer_and_program_lines_do_not_enter():
    row = Conversation(
        (
            Message("system", "Be brief."),
            Message("user", "Finish this:\ndef insecure_login(user):\n    flawed = 1\nThanks."),
            Message("assistant", "an insecure vulnerable flawed example for students"),
        )
    )
    assert asked(row) == "Be brief.\nFinish this:\nThanks."


def test_the_bundled_questions_are_plain_and_their_requested_forms_open():
    advice = bundled.advice()
    plain = open_requests([user_and_assistant(r["question"], "x") for r in advice])
    requested = open_requests([user_and_assistant(r["requested"], "x") for r in advice])
    assert sum(r.open for r in plain) <= 0.005 * len(advice)
    assert sum(r.open for r in requested) > 0.95 * len(advice)


def test_published_educational_rows_ask_openly_and_insecure_and_secure_ones_do_not(paper_data):
    shares = {}
    for name in ("insecure", "secure", "educational_insecure"):
        rows = load(paper_data / "training" / f"{name}.jsonl.gz").conversations
        shares[name] = sum(r.open for r in open_requests(rows)) / len(rows)
    assert shares["educational_insecure"] >= 0.99
    assert max(shares["insecure"], shares["secure"]) <= 0.01
