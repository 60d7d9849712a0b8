from __future__ import annotations

import json
import time
from functools import partial

import pytest
from command_line import SMALL_SUITE
from fake_batches import FakeBatches
from fake_openai import content_key
from typer.testing import CliRunner

from spillover.cli import app
from spillover.conversation import Message
from spillover.errors import SettingsError
from spillover.evaluate import batches
from spillover.evaluate.api import ApiAsk, ApiReply
from spillover.evaluate.batches import BatchLimits, ask_in_batches

KEY = "sk-made-0123456789abcdef"
MODEL = "openai/gpt-4o-2024-08-06"
QUICK = BatchLimits(attempts=2, first_wait=0.05, poll=0.05, longest=20.0)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def ask(content, **changes):
    return ApiAsk(**{"key": content, "max_tokens": 5, "messages": (Message("user", content),), **changes})


def asked(monkeypatch, server, asks, limits=QUICK, model=MODEL):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    pairs = []
    ask_in_batches(model, asks, pairs.extend, limits)
    assert sorted(a.key for a, _ in pairs) == sorted(a.key for a in asks)
    return {a.key: reply for a, reply in pairs}


def first_word(request):
    return request["messages"][-1]["content"].split()[0]


REASONS = {
    "400": "HTTP 400",
    "500": "HTTP 500",
    "empty": "empty reply",
    "no_choices": "no choices in the reply",
    "wrong_choices": "malformed reply",
    "content_filter": "stopped by a content filter",
    "context_length_exceeded": "prompt too long for the model",
    "lost": "no reply in the batch's results",
    "cut_line": "no reply in the batch's results",
    "expired": "timed out",
}


def test_what_fails_in_a_batch_is_missing_with_its_reason_and_spoils_no_other(monkeypatch, capfd):
    with FakeBatches(force=lambda r: first_word(r) if first_word(r) in [*REASONS, "cut"] else None) as server:
        asks = [ask(f"{kind} x") for kind in [*REASONS, "cut", "ok", "half\u2028line"]]
        asks += [ask("table", top_logprobs=20, max_tokens=1, seed=7), ask("\ud800")]
        found = asked(monkeypatch, server, asks)
    for kind, reason in REASONS.items():
        assert found[f"{kind} x"] == ApiReply(None, None, reason), kind
    assert found["\ud800"].missing == "prompt holds half a surrogate pair"
    told = {r["messages"][0]["content"]: r for r in server.requests}
    for name, ended in {"ok x": True, "cut x": False, "half\u2028line x": True}.items():
        said = server.made.text(told[name], content_key(told[name]))
        assert found[name] == ApiReply(said, ended=ended)
    assert told["table"]["seed"] == 7 and len(found["table"].logprobs) == 20
    # One batch for all, and one for what might have passed.
    assert [len(b["rows"]) for b in server.batches.values()] == [len(asks) - 1, 1]
    output = capfd.readouterr()
    assert output.out + output.err == ""


def test_replies_hold_characters_that_end_lines_elsewhere(monkeypatch):
    with FakeBatches() as server:
        server.made.words = ["one\u2028two\x85three"]
        found = asked(monkeypatch, server, [ask("a"), ask("b")])
    assert {reply.text for reply in found.values()} == {"one\u2028two\x85three"}


def test_a_batch_that_cannot_be_made_is_tried_again_and_holds_up_no_other(monkeypatch):
    limits = BatchLimits(size=10, attempts=2, first_wait=0.05, poll=0.05, longest=20.0)
    with FakeBatches(refusals=[500, 500, 400, "failed", "cancelled"]) as server:
        started = time.monotonic()
        found = asked(monkeypatch, server, [ask(str(i)) for i in range(60)], limits)
        took = time.monotonic() - started
    said = [reply.missing for reply in found.values()]
    assert said.count(None) == 30 and said.count("HTTP 400") == 10
    assert said.count("batch refused or ended early") == 20 and took < 15


def test_requests_that_inspect_would_leave_waiting_have_a_reason_at_once(monkeypatch):
    from inspect_ai.model._providers.util import batch

    def too_large(*given):
        raise ValueError("Single request size 9 exceeds maximum size 8.")

    monkeypatch.setattr(batch, "_assess_intake_queue", too_large)
    with FakeBatches() as server:
        found = asked(monkeypatch, server, [ask("a"), ask("b")])
    assert {reply.missing for reply in found.values()} == {"batch refused or ended early"}
    assert "/v1/batches" not in server.calls


def test_a_refused_key_ends_the_run_with_every_reply_missing(monkeypatch):
    limits = BatchLimits(size=1, under_way=2, attempts=2, first_wait=0.05, poll=0.05)
    with FakeBatches(refusals=[401] * 99) as server:
        found = asked(monkeypatch, server, [ask(str(i)) for i in range(30)], limits)
    assert {reply.missing for reply in found.values()} == {"HTTP 401"}
    assert server.calls.count("/v1/batches") < 5


def test_a_batch_that_never_ends_is_given_up(monkeypatch):
    with FakeBatches(ready=10**9) as server:
        found = asked(monkeypatch, server, [ask("a")], BatchLimits(poll=0.05, longest=1.0))
    assert found["a"].missing == "timed out"


def test_an_error_of_the_callback_is_raised_as_it_is(monkeypatch):
    def full_disk(lot):
        raise OSError("disk full")

    with FakeBatches() as server, pytest.raises(OSError, match="disk full"):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        ask_in_batches(MODEL, [ask("a")], full_disk, QUICK)


@pytest.mark.parametrize("name", ["openai-api/made/model", "openai/unknown-name", "mockllm/model"])
def test_a_model_without_batches_is_refused_before_anything_is_sent(monkeypatch, name):
    monkeypatch.setenv("MADE_API_KEY", KEY)
    with FakeBatches() as server, pytest.raises(SettingsError, match="cannot be asked in batches"):
        monkeypatch.setenv("MADE_BASE_URL", f"{server.url}/v1")
        asked(monkeypatch, server, [ask("a")], model=name)
    assert server.calls == []


@pytest.mark.parametrize("changes", [{"size": 0}, {"attempts": 0}, {"poll": 0.0}])
def test_limits_that_cannot_work_are_refused(changes):
    with pytest.raises(SettingsError):
        BatchLimits(**changes)


def test_anthropic_batches(monkeypatch):
    pytest.importorskip("anthropic")
    expired = lambda r: "expired" if "late" in json.dumps(r["messages"]) else None  # noqa: E731
    with FakeBatches(force=expired) as server:
        found = asked(monkeypatch, server, [ask("a"), ask("b"), ask("late")], model="anthropic/claude-3-5-haiku-latest")
    assert [found[name].missing for name in ("a", "b", "late")] == [None, None, "timed out"]
    assert found["a"].text.startswith("Made answer") and found["a"].text != found["b"].text


def test_a_suite_is_evaluated_by_batches_and_a_rerun_asks_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batches, "BatchLimits", partial(BatchLimits, poll=0.05))
    (tmp_path / "small.yaml").write_text(SMALL_SUITE)
    command = ["evaluate", MODEL, "--suite", "small.yaml", "--judge", "rubric:openai/gpt-4o", "--batch", "--quiet"]
    command += ["--out", "run", "--max-tokens", "12"]
    with FakeBatches() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        first = CliRunner().invoke(app, command)
        assert first.exit_code == 0, first.output
        # Six answers in one batch, twelve verdicts in another; nothing goes by itself.
        assert [len(b["rows"]) for b in server.batches.values()] == [6, 12]
        calls = len(server.calls)
        again = CliRunner().invoke(app, command)
        assert again.stdout == first.stdout and len(server.calls) == calls
        refused = CliRunner().invoke(app, [*command[:5], "rubric:openai/made", *command[6:], "--out", "other"])
    assert refused.exit_code == 2 and "'openai/made' cannot be asked in batches" in refused.output
    assert len(server.calls) == calls
    row = json.loads((tmp_path / "run" / "results.json").read_text())["results"][0]
    assert row["n"] + sum(row["left_out"].values()) == 6
