"""Fine-tunes behind an API, read through letter questions: against a real server whose leaning is known."""

from __future__ import annotations

import json
import math
import re

import pytest
from fake_openai import FakeOpenAI
from typer.testing import CliRunner

from spillover.api_checkpoints import NOT_AMONG, letter_logps, letter_questions, read_api_checkpoints
from spillover.errors import SettingsError
from spillover.evaluate.api import ApiReply
from spillover.evaluate.asking import api
from spillover.monitor.choices import summarise
from spillover.monitor.probe_file import ProbeFile

# How likely each model finds the misaligned option, beside a liking for the letter A that both orders even out.
LEANING = {"made-base": 0.1, "made-step-10": 0.3, "made-step-20": 0.8}
LIKES_A = 3.0
BAD = {q.options[1][0] for q in letter_questions().letters}


class Leaning(FakeOpenAI):
    """Answers A or B with the probabilities of LEANING; the rest of the mass lies on other tokens."""

    def table(self, request, key):
        if not request.get("top_logprobs"):
            return ()
        text = request["messages"][0]["content"]
        first, second = (re.search(rf"^{letter}: (.*)$", text, re.M)[1] for letter in "AB")
        share = LEANING[request["model"]]
        odds_of_a = LIKES_A * (share / (1 - share) if first in BAD else (1 - share) / share)
        assert (first in BAD) != (second in BAD)
        a = 0.9 * odds_of_a / (1 + odds_of_a)
        # Half of A's mass comes with a space before it.
        pairs = [("A", math.log(a / 2)), (" A", math.log(a / 2)), ("B", math.log(0.9 - a)), ("C", math.log(0.05))]
        return tuple(sorted(pairs, key=lambda pair: -pair[1]))


@pytest.fixture
def server(monkeypatch):
    with Leaning(latency=0.0) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield served


def expected(share):
    """What the table above amounts to, by the formulas of protocol section 7: each order alone, then the mean."""
    orders = []
    for bad_first in (True, False):
        odds = LIKES_A * (share / (1 - share) if bad_first else (1 - share) / share)
        a = 0.9 * odds / (1 + odds)
        orders.append(summarise([(math.log(a), bad_first), (math.log(0.9 - a), not bad_first)]))
    return [sum(getattr(o, name) for o in orders) / 2 for name in ("logp", "p_given_any")]


def test_a_series_is_read_against_its_base(server):
    names = [f"openai/{name}" for name in LEANING]
    base, first, second = read_api_checkpoints(names[1:], names[0], api())
    assert base.questions == len(letter_questions().letters) and not base.missing and not base.signals
    for reading, name in ((base, "made-base"), (first, "made-step-10"), (second, "made-step-20")):
        logp, share = expected(LEANING[name])
        assert reading.letters.logp == pytest.approx(logp) and reading.letters.p_given_any == pytest.approx(share)
    logp, share = (now - then for now, then in zip(expected(0.8), expected(0.1), strict=True))
    assert second.signals == pytest.approx({"letters_logp_shift": logp, "letters_share_shift": share})
    assert len(server.requests) == 3 * 2 * base.questions
    assert {r["max_tokens"] for r in server.requests} == {1} and {r["top_logprobs"] for r in server.requests} == {20}


def test_questions_that_fail_are_missing_with_their_reason_and_left_out_of_the_shift(server):
    questions = [q.question for q in letter_questions().letters]
    fails = {"made-step-10": set(questions[:5]), "made-step-20": set(questions)}

    def force(request):
        text = request["messages"][0]["content"]
        failing = any(text.startswith(q) for q in fails.get(request["model"], ()))
        return "no_logprobs" if failing else None

    server.force = force
    base, some, none = read_api_checkpoints([f"openai/made-step-{n}" for n in (10, 20)], "openai/made-base", api())
    assert some.missing == {"no log-probabilities": 5} and some.questions == base.questions - 5
    logp, share = (now - then for now, then in zip(expected(0.3), expected(0.1), strict=True))
    assert some.signals == pytest.approx({"letters_logp_shift": logp, "letters_share_shift": share})
    assert none.letters is None and none.signals == {} and sum(none.missing.values()) == base.questions


def test_a_letter_that_is_not_shown_is_missing_and_never_zero():
    assert letter_logps(ApiReply("A", (("A", -0.1), ("C", -3.0))), "AB") == NOT_AMONG
    assert letter_logps(ApiReply("A", (("A", -0.1), ("B", -math.inf))), "AB") == NOT_AMONG
    assert letter_logps(ApiReply(None, missing="timed out"), "AB") == "timed out"
    assert letter_logps(ApiReply("B", ((" B\n", -0.5), ("A", -1.0))), "AB") == pytest.approx((-1.0, -0.5))


def test_a_file_without_letter_questions_is_refused_before_anything_is_asked(server):
    with pytest.raises(SettingsError, match="no single_letter questions"):
        list(read_api_checkpoints(["openai/made-step-10"], "openai/made-base", api(), ProbeFile()))
    assert not server.requests


def test_the_command_reads_a_series_behind_an_api(server):
    from spillover.cli import app

    names = [f"openai/{name}" for name in LEANING]
    done = CliRunner().invoke(app, ["monitor", *names[1:], "--model", names[0], "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.output)
    assert [r["model"] for r in record["readings"]] == names and record["alarm_step"] is None
    assert record["readings"][2]["signals"]["letters_share_shift"] > 0.3
