from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import fake_openai as fake
import pytest

from spillover.conversation import Message
from spillover.errors import ModelError, SettingsError
from spillover.evaluate.api import ApiAsk, ApiReply, reason_of
from spillover.evaluate.request_pool import Limits, ask_all, ask_model

FOLDER = Path(__file__).resolve().parent
KEY = "sk-made-0123456789abcdef"
QUICK = Limits(connections=30, attempts=2, attempt_seconds=2, first_wait=0.05, patience=0.5)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(content, **changes):
    settings = {"key": content, "max_tokens": 5, "messages": (Message("user", content),), **changes}
    return ApiAsk(**settings)


def asked(monkeypatch, server, asks, limits=QUICK, model="openai/made"):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    lots = []
    ask_model(model, asks, lots.append, limits)
    pairs = [pair for lot in lots for pair in lot]
    assert sorted(a.key for a, _ in pairs) == sorted(a.key for a in asks)
    return {a.key: reply for a, reply in pairs}


def first_word(request):
    return request["messages"][-1]["content"].split()[0]


REASONS = {
    "429": "HTTP 429",
    "500": "HTTP 500",
    "400": "HTTP 400",
    "401": "HTTP 401",
    "hang": "timed out",
    "cut_json": "malformed reply",
    "html": "malformed reply",
    "wrong_choices": "malformed reply",
    "null_choices": "malformed reply",
    "no_choices": "no choices in the reply",
    "empty": "empty reply",
    "null": "empty reply",
    "blank": "empty reply",
    "content_filter": "stopped by a content filter",
    "finish_filter": "stopped by a content filter",
    "context_length_exceeded": "prompt too long for the model",
}
WITH_TABLES = {**REASONS, "no_logprobs": "no log-probabilities", "bad_logprob": "malformed reply"}


def test_each_failure_becomes_missing_with_its_reason_and_spoils_no_other(monkeypatch, capfd, recwarn):
    with fake.FakeOpenAI(force=first_word) as server:
        plain = [ask(f"{kind} x") for kind in [*REASONS, "ok", "cut"]]
        tables = [ask(f"{kind} y", top_logprobs=20, max_tokens=1) for kind in [*WITH_TABLES, "ok"]]
        found = asked(monkeypatch, server, [*plain, *tables], Limits(60, 2, 2, 0.05, patience=0.5))
    for kind, reason in REASONS.items():
        assert found[f"{kind} x"] == ApiReply(None, None, reason), kind
    for kind, reason in WITH_TABLES.items():
        assert found[f"{kind} y"] == ApiReply(None, None, reason), kind
    told = {fake.content_key(r): r["messages"][0]["content"] for r in server.requests}
    said = {told[k]: entry for k, entry in server.ledger.items()}
    assert found["ok x"] == ApiReply(said["ok x"]["text"])
    assert found["cut x"] == ApiReply(said["cut x"]["text"], ended=False)
    assert [list(pair) for pair in found["ok y"].logprobs] == said["ok y"]["table"]
    assert found["ok y"].missing is None and len(found["ok y"].logprobs) == 20
    output = capfd.readouterr()
    assert output.out + output.err == ""
    # Such a warning quotes the server's text.
    assert not [w for w in recwarn if "Pydantic" in str(w.message)]


def test_a_request_carries_what_was_asked_for_and_nothing_else_of_weight(monkeypatch):
    turns = (Message("system", "Be brief."), Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    with fake.FakeOpenAI() as server:
        asked(monkeypatch, server, [ask("c", messages=turns, seed=7, temperature=0.0, top_logprobs=20)])
        asked(monkeypatch, server, [ask("d", temperature=0.25)])
    request, plain = server.requests
    assert request["messages"] == [m.as_dict() for m in turns]
    wanted = {"model": "made", "max_tokens": 5, "temperature": 0.0, "seed": 7, "logprobs": True, "top_logprobs": 20}
    assert {k: v for k, v in request.items() if k != "messages"} == wanted
    assert {k: v for k, v in plain.items() if k != "messages"} == {
        "model": "made",
        "max_tokens": 5,
        "temperature": 0.25,
    }


def test_a_gpt_name_keeps_its_own_road(monkeypatch):
    with fake.FakeOpenAI() as server:
        found = asked(monkeypatch, server, [ask("a", temperature=0.5)], model="openai/gpt-4o-2024-08-06")
    assert found["a"].missing is None
    assert server.requests[0]["temperature"] == 0.5 and server.requests[0]["model"] == "gpt-4o-2024-08-06"


def test_errors_that_pass_are_tried_again_until_a_reply_comes(monkeypatch):
    seen = {}

    def refused_once(request):
        name = first_word(request)
        seen[name] = seen.get(name, 0) + 1
        return {"later": "500", "hang": "hang"}.get(name) if seen[name] == 1 else None

    with fake.FakeOpenAI(force=refused_once) as server:
        found = asked(monkeypatch, server, [ask("later"), ask("hang"), ask("now")])
    assert [found[name].missing for name in ("later", "hang", "now")] == [None, None, None]
    assert seen == {"later": 2, "hang": 2, "now": 1}


def test_replies_arrive_while_others_are_still_under_way(monkeypatch):
    with fake.FakeOpenAI(force=lambda r: "hang" if first_word(r) == "hang" else None) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        start, times = time.monotonic(), {}
        ask_model(
            "openai/made",
            [ask("hang"), ask("quick")],
            lambda lot: times.update((a.key, time.monotonic() - start) for a, _ in lot),
            Limits(2, 1, 2, 0.05),
        )
    assert times["quick"] < times["hang"] - 0.5


def test_no_more_requests_are_in_flight_than_connections(monkeypatch):
    with fake.FakeOpenAI(latency=0.05) as server:
        asked(monkeypatch, server, [ask(str(i)) for i in range(40)], Limits(connections=7))
    assert max(level for _, level in server.loads) == 7


def test_a_rate_limit_holds_back_fresh_requests(monkeypatch):
    with fake.FakeOpenAI(latency=0.0, force=lambda r: "429") as server:
        limits = Limits(connections=2, attempts=2, first_wait=30.0, patience=900.0)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)

        async def for_a_while():
            async with asyncio.timeout(4):
                await ask_all("openai/made", [ask(str(i)) for i in range(50)], lambda lot: None, limits)

        with pytest.raises(TimeoutError):
            asyncio.run(for_a_while())
    assert len({r["messages"][0]["content"] for r in server.requests}) == 4


def test_a_refused_key_ends_the_run_after_some_requests_with_every_reply_missing(monkeypatch):
    with fake.FakeOpenAI(latency=0.0, force=lambda r: "401") as server:
        found = asked(monkeypatch, server, [ask(str(i)) for i in range(300)], Limits(connections=5))
    assert {reply.missing for reply in found.values()} == {"HTTP 401"}
    assert len(server.requests) < 30


def test_a_server_that_is_not_there_is_a_reason(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    replies = []
    ask_model("openai/made", [ask("a")], replies.extend, Limits(attempts=1))
    assert replies[0][1] == ApiReply(None, None, "connection failed")


def test_an_error_of_the_callback_ends_the_run_and_is_raised_as_it_is(monkeypatch):
    with fake.FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        calls = []

        def full_disk(lot):
            calls.append(len(lot))
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            ask_model("openai/made", [ask(str(i)) for i in range(200)], full_disk, Limits(connections=2))
    assert calls and len(server.requests) < 200


@pytest.mark.parametrize("name", ["made", "nowhere/made", "openai"])
def test_a_model_that_cannot_be_opened_is_one_clear_error(name):
    with pytest.raises(ModelError, match="cannot be asked"):
        ask_model(name, [ask("a")], lambda lot: None)


def test_a_missing_key_is_one_clear_error(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        ask_model("openai/gpt-4o", [ask("a")], lambda lot: None)


@pytest.mark.parametrize("changes", [{"connections": 0}, {"attempts": 0}, {"attempt_seconds": 0.0}])
def test_limits_that_cannot_work_are_refused(changes):
    with pytest.raises(SettingsError):
        Limits(**changes)


def test_a_reason_never_repeats_what_the_error_says():
    for problem in (ValueError(KEY), RuntimeError(KEY), ConnectionError(KEY), TimeoutError(KEY)):
        assert KEY not in reason_of(problem)
    assert reason_of(RuntimeError(KEY)) == "failed: RuntimeError"


def test_opening_a_model_imports_no_benchmarks_and_later_they_are_found_by_name():
    pytest.importorskip("inspect_evals", reason="pip install 'spillover[benchmarks]'")
    lines = (
        "import sys",
        "from spillover.evaluate.api import open_model",
        "open_model('openai/gpt-4o')",
        "print('inspect_evals' in sys.modules, 'spillover.evaluate.inspect_registry' in sys.modules)",
        "from inspect_ai._util import entrypoints",
        "entrypoints.ensure_entry_points('inspect_evals')",
        "print('inspect_evals' in sys.modules)",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
