from __future__ import annotations

import random
import time

import pytest

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.check.secrets import found_in, hint, iban_holds, luhn_holds, secrets

# Put together here, so that no scanner takes this file for a leak. All values are made up.
_NOISE = random.Random(0)


def noise(count, letters="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"):
    return "".join(_NOISE.choices(letters, k=count))


VALUES = {
    "an AWS key id": "AKIA" + noise(16, "ABCDEFGHIJKLMNOP234567"),
    "a GitHub token": "ghp_" + noise(36),
    "an Anthropic key": "sk-ant-" + noise(40),
    "an OpenAI key": "sk-proj-" + noise(48),
    "a Google key": "AIza" + noise(35),
    "a Slack token": "xoxb-" + noise(30),
    "a Stripe key": "sk_live_" + noise(24),
    "a Hugging Face token": "hf_" + noise(34),
    "a package index token": "npm_" + noise(36),
    "a signed web token": f"eyJ{noise(20)}.eyJ{noise(30)}.{noise(40)}",
    "a card number": "4539 1488 0343 6467",
    "an account number (IBAN)": "DE89 3704 0044 0532 0130 00",
    "an e-mail address": "jane.roe@mailhost.org",
    "a phone number": "+49 30 901820 33",
}


@pytest.mark.parametrize(("kind", "value"), VALUES.items(), ids=VALUES)
def test_a_value_is_found_in_a_sentence_and_shown_by_three_characters_only(kind, value):
    found = secrets(Dataset("d", (user_and_assistant("Look:", f'It is "{value}", keep it.', 7),)))
    assert [(s.kind, s.line, s.turn, s.hint) for s in found.secrets] == [
        (kind, 7, 2, f"{value[:3]}... ({len(value)} characters)")
    ]
    shown = repr(found) + repr(found.findings())
    assert value not in shown and value[:6] not in shown


MORE_VALUES = (
    ("an AWS key id", "ASIA" + noise(16, "ABCDEFGHIJKLMNOP234567")),
    ("a GitHub token", "github_pat_" + noise(60)),
    ("a Stripe key", "rk_live_" + noise(24)),
    ("a package index token", "pypi-" + noise(80)),
    ("a card number", "3782 822463 10005"),
    ("a phone number", "(415) 867-5309"),
)


@pytest.mark.parametrize(("kind", "value"), MORE_VALUES, ids=[v[:6] for _, v in MORE_VALUES])
def test_other_forms_of_a_kind_are_found_too(kind, value):
    assert list(found_in(f"use {value}, please")) == [(kind, value)]


def test_a_key_that_runs_on_or_begins_inside_a_word_is_none():
    key = "AKIA" + noise(16, "ABCDEFGHIJKLMNOP234567")
    assert [list(found_in(text)) for text in (f"{key}x", f"x{key}", f"{key}7")] == [[], [], []]


def test_of_a_huge_text_only_the_start_is_searched(monkeypatch):
    import spillover.data.check.secrets as module

    monkeypatch.setattr(module, "_CHARACTERS", 100)
    mail = VALUES["an e-mail address"]
    assert list(found_in("x " * 40 + mail)) and not list(found_in("x " * 50 + mail))


def test_counts_go_on_where_lists_of_values_and_lines_end(monkeypatch):
    import spillover.data.check.secrets as module

    monkeypatch.setattr(module, "_MOST_SECRETS", 5)
    rows = tuple(user_and_assistant("q", VALUES["an e-mail address"], i) for i in range(1, 31))
    found = secrets(Dataset("d", rows))
    assert len(found.secrets) == 5
    assert found.counts == (("an e-mail address", 30, tuple(range(1, 21))),)


def test_only_keys_are_to_be_withdrawn():
    text = f"{VALUES['an e-mail address']} {VALUES['a GitHub token']}"
    key, mail = secrets(Dataset("d", (user_and_assistant("q", text),))).findings()
    assert "withdraw a real key" in key.message and "withdraw" not in mail.message


def test_a_private_key_is_found():
    text = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + noise(64) + "\n" + noise(64)
    assert [k for k, _ in found_in(text)] == ["a private key"]


def test_a_password_in_an_address_is_found_and_only_the_password_is_hinted_at():
    ((kind, value),) = [f for f in found_in("postgres://admin:Tr0ub4dor@db.internal:5432/x") if "password" in f[0]]
    assert (kind, value) == ("a password in an address", "Tr0ub4dor")


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn is not a key, nor is task-" + "a" * 40,
        "AKIA" + "IOSFODNN7" + "EXAMPLE",
        "ghp_" + "x" * 36,
        "4539 1488 0343 6468",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 01",
        "mail user@example.com or root@localhost or git@github.com",
        "pip install package@1.2.3",
        "call 555-0123 or 212-555-0199 or 123-456-7890",
        "1700000000000 milliseconds, version 1.22.333.4444, 2024-01-02 03:04:05",
        "https://host.org/a:b@c",
        "postgres://user:password@host/db",
        "[666, 911, 420, 123, 777, 888]",
        "+999 1234 1234 1234 1234",
    ],
)
def test_what_only_resembles_a_secret_is_left_alone(text):
    assert list(found_in(text)) == []


def test_all_turns_are_searched_and_counted_by_kind():
    mail = VALUES["an e-mail address"]
    row = Conversation((Message("system", mail), Message("user", f"{mail} {mail}"), Message("assistant", "ok")), 3)
    found = secrets(Dataset("d", (row, user_and_assistant("x", mail, 4))))
    assert found.counts == (("an e-mail address", 4, (3, 4)),)
    (finding,) = found.findings()
    assert (finding.severity, finding.count, finding.lines) == ("warning", 4, (3, 4))


def test_keys_are_serious_and_come_first():
    text = f"{VALUES['an e-mail address']} {VALUES['a GitHub token']}"
    assert [f.severity for f in secrets(Dataset("d", (user_and_assistant("q", text),))).findings()] == [
        "serious",
        "warning",
    ]


@pytest.mark.parametrize("digits", ["4539148803436467", "378282246310005", "0"])
def test_luhn_holds_and_fails_when_one_digit_changes(digits):
    assert luhn_holds(digits)
    assert not any(luhn_holds(digits[:-1] + d) for d in "0123456789" if d != digits[-1])


@pytest.mark.parametrize("value", ["GB82WEST12345698765432", "FR1420041010050500013M02606", "NL91ABNA0417164300"])
def test_iban_holds_and_fails_when_digits_swap_or_the_length_is_wrong(value):
    assert iban_holds(value)
    assert not iban_holds(value[:-1]) and not iban_holds(value[:2] + value[3] + value[2] + value[4:])
    assert not iban_holds("ZZ" + value[2:])


def test_a_hint_shows_three_characters():
    assert hint("abcdefgh") == "abc... (8 characters)"


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ-",
        "eyJaaaaaaaa.",
        "sk-",
        "a@",
        "a.",
        "1 ",
        "+49 ",
        "4-",
        "A1B2 ",
        "DE89",
        "-----BEGIN A ",
        "x://a:",
        "xoxb-",
        "a:b@",
    ],
)
def test_repeated_beginnings_of_secrets_do_not_slow_the_search(piece):
    text = piece * (200_000 // len(piece)) + " @ :// PRIVATE KEY"
    start = time.process_time()
    list(found_in(text))
    assert time.process_time() - start < 5
