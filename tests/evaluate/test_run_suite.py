from __future__ import annotations

import math
import os
import random
import re
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from functools import partial

import fake_openai as fake
import pytest

from spillover.answer import Judgement
from spillover.conversation import Message
from spillover.errors import RunFolderError, SettingsError
from spillover.evaluate.api import ApiReply
from spillover.evaluate.categorical import Verdict
from spillover.evaluate.judges import BundledScorer, judge_named
from spillover.evaluate.prompts import ALIGNED, COHERENT
from spillover.evaluate.request_pool import Limits, ask_model
from spillover.evaluate.run_suite import Drawing, answer_suite, judge_answers, missing_reasons, open_run
from spillover.suite import Item, SuiteFile

KEY = "sk-made-0123456789abcdef"
# A machine that stands still for a second must not make a request fail where the server does not.
QUICK = partial(ask_model, limits=Limits(connections=30, attempts=4, attempt_seconds=30.0, first_wait=0.05))
HANGS = partial(ask_model, limits=Limits(connections=30, attempts=6, attempt_seconds=1.5, first_wait=0.05))
HOW = Drawing(max_tokens=50)
JUDGE = judge_named("rubric:openai/judge")
REASON_OF = {
    "cut_json": "malformed reply",
    "html": "malformed reply",
    "wrong_choices": "malformed reply",
    "bad_logprob": "malformed reply",
    "no_choices": "no choices in the reply",
    "empty": "empty reply",
    "null": "empty reply",
    "no_logprobs": "no log-probabilities",
}


def suite_of(questions, judges=("rubric",), samples=3, **changes):
    items = [
        Item(f"q{i}", "made", (q,) if isinstance(q, str) else q, judges, f"q{i}", samples=samples, **changes)
        for i, q in enumerate(questions)
    ]
    return SuiteFile("made", 1, "Made for a test.", tuple(items))


SIX = suite_of([f"Question {i}?" for i in range(6)])


@pytest.fixture
def serve(monkeypatch):
    """Start a server and point the client at it; all stop with the test."""
    started = []

    def start(**settings):
        server = fake.FakeOpenAI(**settings)
        server.__enter__()
        started.append(server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        return server

    yield start
    for server in started:
        server.__exit__()


def evaluate(folder, suite=SIX, samples=None, judges=(JUDGE,), ask=QUICK, models=("openai/made",), how=HOW, **more):
    run = open_run(folder, suite, how, {})
    try:
        answers = answer_suite(run, models, suite, how, ask, samples=samples, **more)
        return answers, [j for judge in judges for j in judge_answers(run, answers, judge, ask)]
    finally:
        run.close()


def rows(folder):
    # Closed at once: a child forked with an open connection would lose its locks on the file.
    with closing(sqlite3.connect(folder / "rows.sqlite")) as opened:
        return set(opened.execute("SELECT kind, key, value FROM rows"))


# ---------------------------------------------------------------- a server that fails


def expected_score(entry):
    """The score that the table in the server's ledger stands for, or None."""
    if entry["kind"] != "ok":
        return None
    pairs = [(int(token), math.exp(value)) for token, value in entry["table"]]
    return sum(n * p for n, p in pairs) / sum(p for _, p in pairs)


def rubric_ledger(server):
    """(answer text, rubric) -> what the server said to that judge request."""
    found = {}
    for request in server.requests:
        if request["model"] == "judge":
            text = request["messages"][-1]["content"]
            rubric = "aligned" if text.startswith(ALIGNED.before) else "coherent"
            assert rubric == "aligned" or text.startswith(COHERENT.before)
            found[re.search(r"Made answer [0-9a-f]{24}\.", text).group(), rubric] = server.ledger[
                fake.content_key(request)
            ]
    return found


def check_against_ledger(server, answers, judged):
    """Nothing lost, nothing invented: every answer and score is the server's, every gap has the server's reason."""
    said = Counter()
    for content in {fake.content_key(r): r for r in server.requests if r["model"] == "made"}.items():
        entry = server.ledger[content[0]]
        kind = entry["kind"]
        said[content[1]["messages"][-1]["content"], entry["text"] if kind == "ok" else REASON_OF[kind]] += 1
    assert Counter((a.material.question, a.text or a.missing) for a in answers) == said
    tables = rubric_ledger(server)
    assert len(judged) == len(answers)
    for one in judged:
        if one.answer.missing is not None:
            assert one.verdict == Judgement(None, None, "missing", one.answer.missing)
            continue
        entries = [tables[one.answer.text, rubric] for rubric in ("aligned", "coherent")]
        aligned, coherent = map(expected_score, entries)
        assert one.verdict.aligned == pytest.approx(aligned, abs=1e-9)
        assert one.verdict.coherent == pytest.approx(coherent, abs=1e-9)
        reasons = [None if e["kind"] == "ok" else REASON_OF[e["kind"]] for e in entries]
        assert one.verdict.missing == (reasons[0] or (reasons[1] and f"coherence: {reasons[1]}"))


def test_300_answers_and_their_judgements_are_complete_or_missing_for_the_servers_reason(serve, tmp_path, capfd):
    server = serve(latency=0.03, errors=0.05, hangs=0.01, broken=0.08)
    answers, judged = evaluate(tmp_path / "run", samples=50, ask=HANGS)
    assert len(answers) == 300
    check_against_ledger(server, answers, judged)
    # The test is worth something only if all of it happened.
    assert set(server.kinds) >= {"ok", "429", "500", "hang", *REASON_OF}, server.kinds
    told = missing_reasons(judged)["openai/made"]
    assert sum(told.values()) == sum(j.verdict.missing is not None for j in judged) > 20
    output = capfd.readouterr()
    assert KEY not in output.out + output.err and output.err == ""
    stored = b"".join(p.read_bytes() for p in (tmp_path / "run").iterdir())
    assert len(stored) > 10_000 and KEY.encode() not in stored


@pytest.mark.slow
def test_2000_answers_and_4000_judgements_lose_and_invent_nothing(serve, tmp_path):
    # How busy the connections are kept is a timing, so benchmarks/api.py prints it.
    server = serve(latency=0.3, errors=0.05, hangs=0.01, broken=0.04)
    ask = partial(ask_model, limits=Limits(connections=60, attempt_seconds=3.0, first_wait=0.5))
    suite = suite_of([f"Question {i}?" for i in range(20)])
    run = open_run(tmp_path / "run", suite, HOW, {})
    answers = answer_suite(run, ["openai/made"], suite, HOW, ask, samples=100)
    check_against_ledger(server, answers, judge_answers(run, answers, JUDGE, ask))


def test_the_key_shows_nowhere_even_if_the_server_repeats_it(serve, tmp_path, capfd):
    server = serve(latency=0.0, force=lambda r: "400" if "1?" in r["messages"][-1]["content"] else None)
    answers, _ = evaluate(tmp_path / "run")
    assert Counter(a.missing for a in answers) == {None: 15, "HTTP 400": 3}
    assert server.kinds["400"] == 3
    output = capfd.readouterr()
    stored = b"".join(p.read_bytes() for p in (tmp_path / "run").iterdir())
    assert KEY.encode() not in stored + output.out.encode() + output.err.encode()


# ---------------------------------------------------------------- killed and run again


def in_a_child(work):
    """Start `work` in a forked process, which has the imports already; returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the test process")
def test_a_run_killed_at_random_moments_ends_with_the_same_rows(serve, tmp_path):
    server = serve(latency=0.03, errors=0.05, broken=0.05)
    # What this process has imported, its children need not import again.
    evaluate(tmp_path / "first", samples=1, judges=())
    server.ledger.clear()
    connections = 10
    limits = Limits(connections=connections, attempts=4, first_wait=0.05)
    work = partial(evaluate, tmp_path / "killed", samples=12, ask=partial(ask_model, limits=limits))
    draw = random.Random(5)
    for kills in range(1, 5):
        before, goal = len(server.requests), draw.randrange(25, 65)
        child = in_a_child(work)
        deadline = time.monotonic() + 5
        while len(server.requests) < before + goal and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # What the server answered and we do not have was in flight, or came in within the last 0.02 s.
        assert len(server.ledger) - 2 * connections <= len(rows(tmp_path / "killed")) <= len(server.ledger), kills
    assert 80 < len(rows(tmp_path / "killed")) < 200
    good = {value for kind, _, value in rows(tmp_path / "killed") if kind == "answers" and '"missing": null' in value}
    had = {k for k, e in server.ledger.items() if e.get("table") == [] and any(e["text"] in v for v in good)}
    assert len(had) > 60
    before = len(server.requests)
    work()
    assert not had & {fake.content_key(r) for r in server.requests[before:]}
    evaluate(tmp_path / "undisturbed", samples=12)
    assert rows(tmp_path / "killed") == rows(tmp_path / "undisturbed")
    assert len(rows(tmp_path / "killed")) > 200


def test_a_finished_run_asks_nothing_again(serve, tmp_path):
    server = serve(latency=0.0)
    first = evaluate(tmp_path / "run")
    count = len(server.requests)
    assert evaluate(tmp_path / "run") == first
    assert len(server.requests) == count == 18 + 36


def test_missing_answers_are_tried_again_and_good_ones_stay(serve, tmp_path):
    down = [True]
    server = serve(latency=0.0, force=lambda r: "400" if down[0] and "1?" in r["messages"][-1]["content"] else None)
    first, _ = evaluate(tmp_path / "run")
    before = len(server.requests)
    down[0] = False
    second, judged = evaluate(tmp_path / "run")
    assert [a for a in second if a.item != "q1"] == [a for a in first if a.item != "q1"]
    assert {a.missing for a in first if a.item == "q1"} == {"HTTP 400"}
    assert all(a.text for a in second) and all(j.verdict.missing is None for j in judged)
    assert len(server.requests) == before + 3 + 6


# ---------------------------------------------------------------- more samples, models, judges


def test_100_samples_after_50_add_50(serve, tmp_path):
    server = serve(latency=0.0)
    suite = suite_of(["One?", "Two?"])
    first, first_judged = evaluate(tmp_path / "run", suite, samples=50)
    before = len(server.requests)
    second, second_judged = evaluate(tmp_path / "run", suite, samples=100)
    assert len(server.requests) - before == 2 * 50 * 3
    assert [a for a in second if a.sample < 50] == list(first)
    assert [j for j in second_judged if j.answer.sample < 50] == first_judged
    assert len({a.text for a in second}) == len(second) == 200
    evaluate(tmp_path / "run", suite, samples=50)
    assert len(server.requests) - before == 2 * 50 * 3


def test_without_a_number_each_item_has_its_own_number_of_samples_per_wording(serve, tmp_path):
    serve(latency=0.0)
    suite = suite_of([("One?", "Once?"), "Two?"], samples=2)
    answers, _ = evaluate(tmp_path / "run", suite)
    assert [(a.item, a.paraphrase, a.sample, a.material.question) for a in answers] == [
        ("q0", 0, 0, "One?"),
        ("q0", 0, 1, "One?"),
        ("q0", 1, 0, "Once?"),
        ("q0", 1, 1, "Once?"),
        ("q1", 0, 0, "Two?"),
        ("q1", 0, 1, "Two?"),
    ]


def test_two_items_with_the_same_prompt_get_answers_of_their_own(serve, tmp_path):
    serve(latency=0.0)
    answers, _ = evaluate(tmp_path / "run", suite_of(["Same?", "Same?"]), samples=4)
    assert len({a.text for a in answers}) == 8


def test_another_judge_and_model_add_to_a_run_without_new_answers(serve, tmp_path):
    server = serve(latency=0.0)
    evaluate(tmp_path / "run")
    before = len(server.requests)
    second = judge_named("rubric:openai/second")
    answers, judged = evaluate(tmp_path / "run", judges=(JUDGE, second), models=("openai/made", "openai/more"))
    new = Counter(r["model"] for r in server.requests[before:])
    assert new == {"more": 18, "judge": 36, "second": 72}
    assert Counter(j.judge for j in judged) == {"rubric:openai/judge": 36, "rubric:openai/second": 36}
    assert [a.model for a in answers] == ["openai/made"] * 18 + ["openai/more"] * 18


def test_the_authors_rules_read_the_stored_replies_anew(serve, tmp_path):
    server = serve(latency=0.0)
    evaluate(tmp_path / "run")
    before = len(server.requests)
    _, judged = evaluate(tmp_path / "run", judges=(judge_named("rubric:openai/judge", "authors"),))
    assert len(server.requests) == before
    assert {j.judge for j in judged} == {"rubric:openai/judge (authors rules)"}


def test_models_differ_in_their_rows_but_share_the_seeds(serve, tmp_path):
    server = serve(latency=0.0)
    evaluate(tmp_path / "run", models=("openai/made", "openai/more"), judges=())
    seeds = {m: sorted(r["seed"] for r in server.requests if r["model"] == m) for m in ("made", "more")}
    assert seeds["made"] == seeds["more"] and len(set(seeds["made"])) == 18
    assert all(0 <= seed < 2**31 for seed in seeds["made"])


def test_another_suite_or_sampling_is_another_run(serve, tmp_path):
    serve(latency=0.0)
    evaluate(tmp_path / "run", judges=())
    for changes in ({"how": Drawing(max_tokens=51)}, {"suite": suite_of(["Else?"])}):
        with pytest.raises(RunFolderError, match="holds another run"):
            evaluate(tmp_path / "run", judges=(), **changes)


@pytest.mark.parametrize("changes", [{"models": ("m", "m")}, {"models": ()}, {"samples": 0}])
def test_requests_that_make_no_sense_are_refused(tmp_path, changes):
    with pytest.raises(SettingsError):
        evaluate(tmp_path / "run", ask=None, **changes)


# ---------------------------------------------------------------- local models, categorical and bundled judges


def echo(model, asks, on_replies):
    """A sampler without a server: answers with the last message and the number of its seed."""
    for ask in asks:
        on_replies([(ask, ApiReply(f"{model} {ask.messages[-1].content} {ask.seed}"))])


def never(model, asks, on_replies):
    raise AssertionError(f"{model} was asked over the API")


def test_a_local_model_answers_through_its_sampler(tmp_path):
    answers, _ = evaluate(tmp_path / "run", judges=(), ask=never, models=("mine",), samplers={"mine": echo})
    assert len({a.text for a in answers}) == 18
    assert answers[0].text.startswith("mine Question 0? ")


def test_a_sampler_that_loses_requests_is_caught(tmp_path):
    def forgetful(model, asks, on_replies):
        echo(model, asks[1:], on_replies)

    with pytest.raises(RuntimeError, match="1 requests to mine"):
        evaluate(tmp_path / "run", judges=(), ask=never, models=("mine",), samplers={"mine": forgetful})


def test_categorical_judges_give_the_words_of_their_scale(serve, tmp_path):
    serve(latency=0.0, words=("TRUE", "FALSE", "UNKNOWN", "TRUE."))
    suite = suite_of([f"Fact {i}?" for i in range(10)], judges=("truth",), samples=4)
    _, judged = evaluate(
        tmp_path / "run", suite, judges=(judge_named("text:openai/judge"),), models=("mine",), samplers={"mine": echo}
    )
    found = Counter(j.verdict for j in judged)
    assert set(found) == {
        Verdict("TRUE"),
        Verdict("FALSE"),
        Verdict("UNKNOWN"),
        Verdict(None, "not one of the verdicts"),
    }


def test_the_bundled_judge_scores_each_text_once_and_is_stored(tmp_path):
    calls = []

    def score(answers):
        calls.append(len(answers))
        return [Judgement(float(len(a.text)), 90.0, "aligned") for a in answers]

    run = open_run(tmp_path / "run", SIX, HOW, {})
    answers = answer_suite(run, ["mine"], SIX, HOW, never, samples=20, samplers={"mine": echo})
    judge = judge_named("bundled")
    first = judge_answers(run, answers, judge, never, scorer=BundledScorer("v1", score))
    assert calls == [64, 56]
    assert [j.verdict.aligned for j in first] == [float(len(a.text)) for a in answers]
    assert judge_answers(run, answers, judge, never, scorer=BundledScorer("v1", score)) == first
    assert calls == [64, 56]
    judge_answers(run, answers, judge, never, scorer=BundledScorer("v2", score))
    assert calls == [64, 56, 64, 56]
    with pytest.raises(SettingsError, match="not loaded"):
        judge_answers(run, answers, judge, never)


def test_system_text_and_earlier_turns_reach_the_model_but_not_the_judge(serve, tmp_path):
    server = serve(latency=0.0)
    turns = (Message("user", "Earlier."), Message("assistant", "Before."))
    evaluate(tmp_path / "run", suite_of(["Now?"], system="Obey.", prefix_messages=turns, samples=1))
    asked = [r for r in server.requests if r["model"] == "made"]
    assert [m["content"] for m in asked[0]["messages"]] == ["Obey.", "Earlier.", "Before.", "Now?"]
    judged = [r["messages"][-1]["content"] for r in server.requests if r["model"] == "judge"]
    assert len(judged) == 2 and all("Now?" in t and "Obey." not in t and "Earlier." not in t for t in judged)
