"""StrongREJECT past Inspect's loop: the same keys, scores and logs; failures have reasons, nothing is asked twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict

import pytest
from benchmark_rows import write_benchmarks
from fake_openai import FakeOpenAI

from spillover.broad import one_turn
from spillover.broad import run as run_module
from spillover.broad.benchmarks import presets_named
from spillover.broad.run import How, open_benchmark_run, run_benchmarks
from spillover.broad.strong_reject import is_silence

NAMES = ["strong_reject"]
MODELS = {"base": "openai/subject"}
GRADER = "openai/grader"


class Server(FakeOpenAI):
    """A grader that finds word 0 refused and 1 and 2 ever more harmful, and words from 3 on too hard to grade."""

    def text(self, request, key):
        prompt = request["messages"][-1]["content"]
        if request["model"] != "grader":
            return "Here it is."
        if "kill process" in prompt:
            return "GRADE: C" if "process 0" in prompt else "GRADE: I"
        n = int(prompt.partition('rude word "')[2].partition('"')[0])
        return f"#scores\n1.b {int(n == 0)}\n2.b 5\n3.b {n + 1}" if n < 3 else "It depends."


def found(folder, models, names, how):
    run = open_benchmark_run(folder, how.seed, {})
    try:
        return run_benchmarks(run, models, presets_named(names), how)
    finally:
        run.close()


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("inspect_evals", reason="pip install 'spillover[benchmarks]'")
    with Server(latency=0.001) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
        yield served


@pytest.fixture
def rows(tmp_path):
    return write_benchmarks(tmp_path / "data")


def word(request):
    return request["messages"][-1]["content"].partition('rude word "')[2][:1]


def test_what_inspects_own_loop_has_kept_is_not_asked_again_and_gives_the_same(tmp_path, server, rows, monkeypatch):
    from inspect_ai.log import read_eval_log

    monkeypatch.setattr(run_module, "ONE_TURN", frozenset())
    looped = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER))
    (before,) = map(read_eval_log, looped.logs)
    assert len(server.requests) == 8
    monkeypatch.setattr(run_module, "ONE_TURN", one_turn.ONE_TURN)
    straight = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER))
    assert len(server.requests) == 8
    assert [asdict(r) for r in straight.results] == [asdict(r) for r in looped.results]
    (after,) = map(read_eval_log, straight.logs)
    assert after.status == "success" and after.eval.scorers == before.eval.scorers and after.plan == before.plan

    def told(log):
        (score,) = log.results.scores
        metrics = {name: pytest.approx(metric.value) for name, metric in score.metrics.items()}
        return score.name, score.scored_samples, score.unscored_samples, metrics

    assert told(after) == told(before)
    both = [{s.id: s for s in log.samples} for log in (before, after)]
    for name, theirs in both[0].items():
        ours = both[1][name]
        assert (ours.input, ours.target, ours.metadata) == (theirs.input, theirs.target, theirs.metadata)
        assert [(m.role, m.text) for m in ours.messages] == [(m.role, m.text) for m in theirs.messages]
        assert [str(s.value) for s in ours.scores.values()] == [str(s.value) for s in theirs.scores.values()]
        assert ours.model_usage == theirs.model_usage


def test_no_more_requests_are_under_way_than_connections_and_judging_begins_before_all_is_answered(
    tmp_path, server, rows, monkeypatch
):
    levels, most, order = Counter(), Counter(), []
    answer = FakeOpenAI._answer

    async def counted(self, request, *rest):
        model = request["model"]
        levels[model] += 1
        most[model] = max(most[model], levels[model])
        order.append(model)
        try:
            await asyncio.sleep(0.05)
            return await answer(self, request, *rest)
        finally:
            levels[model] -= 1

    monkeypatch.setattr(FakeOpenAI, "_answer", counted)
    found(tmp_path / "run", MODELS, NAMES, How(write_benchmarks(tmp_path / "more", 8), GRADER, connections=2))
    assert most == {"subject": 2, "grader": 2}
    assert order.index("grader") < len(order) - 1 - order[::-1].index("subject")


def test_failed_answers_and_judgements_are_missing_with_their_reasons_and_passing_failures_are_tried_again(
    tmp_path, server, rows
):
    seen = Counter()

    def force(request):
        key = request["model"], word(request)
        seen[key] += 1
        if key[0] == "grader":
            return "html" if key[1] == "1" else "429" if key[1] == "2" and seen[key] == 1 else None
        return "html" if key[1] == "0" else None

    server.force = force
    look = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER))
    result = look.of("strong_reject", "base")
    assert result.missing == {"malformed reply": 2, "judge reply without the three scores": 1}
    assert result.estimate.n == 1 and result.estimate.value == 0.75
    assert sum(n for (model, _), n in seen.items() if model == "subject") == 4
    server.force = lambda request: None
    before = len(server.requests)
    again = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER)).of("strong_reject", "base")
    # The failed answer and its judgement, and the failed judgement.
    assert again.estimate.n == 3 and len(server.requests) == before + 3


def test_after_ctrl_c_only_what_had_not_come_is_asked(tmp_path, server, rows, monkeypatch):
    score, judged = one_turn.score_answer, []

    async def interrupted(ask, request, output):
        judged.append(await score(ask, request, output))
        if len(judged) == 2:
            raise KeyboardInterrupt
        return judged[-1]

    monkeypatch.setattr(one_turn, "score_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER, connections=1))
    before = len(server.requests)
    assert before < 8
    monkeypatch.setattr(one_turn, "score_answer", score)
    look = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER, connections=1))
    # One that was under way at the time may be asked twice, per model.
    assert 8 <= len(server.requests) <= 10 and len(look.results) == 1
    kept = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER, connections=1))
    assert kept.results == look.results and len(server.requests) <= 10


def test_with_a_wrong_key_the_rest_is_not_sent_and_the_reason_is_clear(tmp_path, server):
    server.force = lambda request: "401"
    rows = write_benchmarks(tmp_path / "more", 40)
    look = found(tmp_path / "run", MODELS, NAMES, How(rows, GRADER, connections=2))
    assert look.results == () and "HTTP 401: check the key" in look.not_run[0].reason
    assert len(server.requests) < 15


def test_silence_counts_as_the_benchmarks_themselves_count_it_and_is_told(tmp_path, server, rows):
    from inspect_ai.log import read_eval_log

    def force(request):
        silent = request["model"] == "subject" and ('rude word "2' in str(request) or "kill process 0" in str(request))
        return "empty" if silent else None

    server.force = force
    look = found(tmp_path / "run", MODELS, ["strong_reject", "xstest"], How(rows, GRADER))
    harm, refusal = (look.of(name, "base") for name in ("strong_reject", "xstest"))
    assert harm.missing == {"judge reply without the three scores": 1}
    assert harm.estimate.value == pytest.approx((0 + 5 / 8 + 0) / 3)
    assert harm.note == "1 empty answer, counted as harmless (0)"
    # By its grader request 0 was complied with, 1 and 3 refused in part or whole.
    assert refusal.estimate.value == 1.0 and refusal.missing == {}
    assert refusal.note == "1 empty answer, counted as refused (1)"
    assert not [r for r in server.requests if r["model"] == "grader" and 'rude word "2' in str(r)]
    log = next(log for log in map(read_eval_log, look.logs) if log.eval.task == "strong_reject")
    (score,) = [s for sample in log.samples if '"2"' in str(sample.input) for s in sample.scores.values()]
    assert score.value == 0.0 and score.reason == "no_response"


def test_an_answer_cut_off_before_its_first_word_is_no_silence():
    pytest.importorskip("inspect_ai", reason="pip install 'spillover[api]'")
    from inspect_ai.model import ModelOutput

    assert is_silence(ModelOutput.from_content("m", " \n"))
    assert not is_silence(ModelOutput.from_content("m", "", stop_reason="max_tokens"))
    assert not is_silence(ModelOutput.from_content("m", "", stop_reason="content_filter"))
    assert not is_silence(ModelOutput.from_content("m", "No."))
    assert not is_silence(ModelOutput(model="m"))
