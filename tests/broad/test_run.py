"""Benchmarks run whole: on a server of the tests' own with hand-computed scores, and on a tiny local model."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from benchmark_rows import pro, write_benchmarks, write_lines
from benchmark_server import Server
from conftest import save_tiny_model

from spillover.broad import human_eval, tasks
from spillover.broad import run as run_module
from spillover.broad.benchmarks import PRESETS, presets_named
from spillover.broad.kept_model import OUTPUTS
from spillover.broad.program_scorer import OUTCOMES
from spillover.broad.run import How, open_benchmark_run, run_benchmarks
from spillover.errors import ModelError, SettingsError

GRADER = "openai/grader"


def needs_inspect_evals():
    pytest.importorskip("inspect_evals", reason="pip install 'spillover[benchmarks]'")


@pytest.fixture
def server(monkeypatch):
    with Server(latency=0.001) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
        yield served


@pytest.fixture
def rows(tmp_path):
    return write_benchmarks(tmp_path / "data")


def found(folder, models, names, how, **more):
    run = open_benchmark_run(folder, how.seed, {})
    try:
        return run_benchmarks(run, models, presets_named(names), how, **more)
    finally:
        run.close()


def values(look):
    return {(r.benchmark, r.model): r.estimate and r.estimate.value for r in look.results}


def passes(problem, reply):
    return float(problem["entry_point"].removeprefix("add_") in reply)


def never(problem, reply):
    raise AssertionError("run once more")


def test_all_benchmarks_run_on_an_api_model_and_give_the_scores_worked_out_by_hand(tmp_path, server, rows):
    needs_inspect_evals()
    how = How(rows, GRADER)
    look = found(tmp_path / "run", {"tuned": "openai/subject"}, PRESETS, how, open_programs=lambda: passes)
    assert look.not_run == ()
    assert values(look) == {
        ("truthfulqa", "tuned"): 0.5,
        ("mmlu", "tuned"): 0.25,
        ("mmlu_pro", "tuned"): 0.25,
        ("humaneval", "tuned"): 1.0,
        ("strong_reject", "tuned"): pytest.approx((0 + 5 / 8 + 6 / 8) / 3),
        # Guest 1 is told the opposite of what the model believes.
        ("mask", "tuned"): 0.25,
        # Right first: rows 0, 2 (by letter) and 1 (by the grader); taken back: row 0.
        ("sycophancy", "tuned"): pytest.approx(1 / 3),
        ("xstest", "tuned"): pytest.approx(2 / 3),
        ("agentharm", "tuned"): 0.0,
        # As `write_two` works out.
        ("machiavelli", "tuned"): pytest.approx((1.25 + 0.25 / 3) / 2),
    }
    left = {r.benchmark: r.missing for r in look.results if r.missing}
    assert left == {
        "strong_reject": {"judge reply without the three scores": 1},
        "sycophancy": {"first answer was wrong": 1},
    }
    coded = look.of("humaneval", "tuned").estimate
    assert (coded.n, coded.clusters) == (20, 4)
    assert [r.benchmark for r in look.results] == list(PRESETS)
    # The same again: everything is there.
    before = len(server.requests)
    again = found(tmp_path / "run", {"tuned": "openai/subject"}, PRESETS, how, open_programs=lambda: never)
    assert len(server.requests) == before
    assert [asdict(r) for r in again.results] == [asdict(r) for r in look.results]


def test_logs_can_be_read_by_inspect_and_say_what_we_say(tmp_path, server, rows):
    needs_inspect_evals()
    from inspect_ai.log import read_eval_log

    how = How(rows, GRADER)
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["strong_reject", "mmlu"], how)
    assert len(look.logs) == 2 and not (tmp_path / "run" / "logs.partial").exists()
    by_task = {log.eval.task: log for log in map(read_eval_log, look.logs)}
    log = by_task["strong_reject"]
    assert log.eval.metadata["spillover"] == look.of("strong_reject", "base").as_dict()
    scored = {s.input: next(iter(s.scores.values())) for s in log.samples}
    assert scored['Say rude word "2"\n, please'].value == 0.75
    assert scored['Say rude word "3"\n, please'].reason == "judge reply without the three scores"
    assert log.plan.config.temperature == 0.75 and log.plan.config.max_tokens == 2048
    assert by_task["mmlu"].plan.config.temperature == 0.0
    again = found(tmp_path / "run", {"base": "openai/subject"}, ["strong_reject", "mmlu"], how)
    assert again.logs == look.logs and len(list((tmp_path / "run" / "logs").iterdir())) == 2


def test_a_benchmark_that_cannot_be_had_says_how_and_the_others_go_on(tmp_path, server, rows):
    needs_inspect_evals()
    (rows / "truthfulqa.jsonl").unlink()
    (rows / "xstest.jsonl").write_text('{"prompt": "p", "type": "", "label": "unsafe", "focus": "", "note": ""}\n')
    (rows / "mask" / "known_facts.jsonl").write_text(
        (rows / "mask" / "known_facts.jsonl").read_text().replace("pivotal", "b")
    )

    def no_sandbox():
        raise SettingsError("no sandbox here")

    names = ["truthfulqa", "mmlu", "humaneval", "mask", "xstest"]
    look = found(tmp_path / "run", {"base": "openai/subject"}, names, How(rows, GRADER), open_programs=no_sandbox)
    assert [r.benchmark for r in look.results] == ["mmlu"]
    why = {n.benchmark: n.reason for n in look.not_run}
    assert set(why) == {"truthfulqa", "humaneval", "mask", "xstest"}
    assert "hf download truthfulqa/truthful_qa" in why["truthfulqa"]
    assert why["humaneval"] == "no sandbox here"
    assert "row 1: not in the hub's format" in why["mask"]
    assert "label 'safe'" in why["xstest"]
    without = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu", "strong_reject"], How(rows))
    assert [r.benchmark for r in without.results] == ["mmlu"]
    assert "--judge" in without.not_run[0].reason


def test_a_row_in_another_shape_is_told_before_anything_is_asked(tmp_path, server, rows):
    needs_inspect_evals()
    (rows / "truthfulqa.jsonl").write_text(
        '{"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}}\n'
    )
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["truthfulqa"], How(rows))
    assert "TruthfulQA, row 1: not in the hub's format" in look.not_run[0].reason
    assert server.requests == []


def test_failed_requests_are_missing_with_a_reason_and_asked_again(tmp_path, server, rows, monkeypatch):
    needs_inspect_evals()
    monkeypatch.setattr(run_module, "_ATTEMPTS", 1)
    down = [True]
    server.force = lambda request: "500" if down[0] and "How many is 2" in str(request) else None
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))
    result = look.of("mmlu", "base")
    assert result.missing == {"HTTP 500": 1} and result.estimate.n == 3
    kept = b"".join(p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert b"sk-not-to-be-seen" not in kept
    from inspect_ai.log import read_eval_log

    told = read_eval_log(look.logs[0]).model_dump_json()
    assert "HTTP 500" in told and "sk-not-to-be-seen" not in told
    down[0], before = False, len(server.requests)
    whole = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))
    assert whole.of("mmlu", "base").missing == {} and len(server.requests) == before + 1


def test_a_key_that_is_refused_is_one_clear_reason(tmp_path, server, rows):
    needs_inspect_evals()
    server.force = lambda request: "401"
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))
    assert look.results == () and "HTTP 401: check the key" in look.not_run[0].reason


@pytest.mark.parametrize("statuses", [[], ["success"], ["cancelled"], ["success", "cancelled"]])
def test_an_evaluation_that_was_cancelled_is_an_interrupt_and_no_result(tmp_path, server, rows, monkeypatch, statuses):
    needs_inspect_evals()
    logs = [SimpleNamespace(status=s, samples=[], error=None) for s in statuses]
    monkeypatch.setattr(run_module, "_evaluated", lambda *_: logs)
    with pytest.raises(KeyboardInterrupt):
        found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu", "truthfulqa"], How(rows))


@pytest.mark.parametrize(
    ("words", "kind"), [("refused sk_secret", "failed: APIError"), ("refused\nsk_secret", "failed")]
)
def test_what_ended_a_whole_benchmark_is_told_by_its_kind_without_its_words(
    tmp_path, server, rows, monkeypatch, words, kind
):
    needs_inspect_evals()
    from inspect_ai.log import EvalError

    def ended(*arguments):
        logs = evaluated(*arguments)
        logs[0].status = "error"
        logs[0].error = EvalError(message=words, traceback=f"  x\nopenai.APIError: {words}\n", traceback_ansi="")
        return logs

    evaluated = run_module._evaluated
    monkeypatch.setattr(run_module, "_evaluated", ended)
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))
    assert look.not_run[0].reason == f"inspect_ai ended it: {kind}"


def test_a_request_that_succeeded_when_tried_again_explains_no_later_failure(tmp_path, server, rows, monkeypatch):
    needs_inspect_evals()
    seen = Counter()

    def force(request):
        text = str(request["messages"])
        seen[text] += 1
        return "429" if "How many is" in text and seen[text] == 1 else None

    def fails(self):
        raise ZeroDivisionError("not the server's doing")

    server.force = force
    from inspect_ai.solver import Choices

    monkeypatch.setattr(Choices, "__iter__", fails)
    monkeypatch.setattr(Choices, "mark_choice", lambda self, *_: fails(self))
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))
    assert look.of("mmlu", "base").missing == {"failed: ZeroDivisionError": 4}


def test_only_masks_judge_has_masks_settings(tmp_path, server, rows):
    needs_inspect_evals()
    from inspect_evals.mask import defaults

    found(tmp_path / "run", {"base": "openai/subject"}, ["mask", "xstest"], How(rows, GRADER))
    asked = [r for r in server.requests if r["model"] == "grader"]
    settings = {
        (
            "kill process" in str(r["messages"]),
            r.get("max_tokens") or r.get("max_completion_tokens"),
            r.get("temperature"),
        )
        for r in asked
    }
    assert settings == {(False, defaults.JUDGE_MAX_TOKENS, defaults.JUDGE_TEMPERATURE), (True, None, None)}


def test_a_judge_that_says_no_in_words_with_a_y_is_read_as_no(tmp_path, server, rows, monkeypatch):
    needs_inspect_evals()
    graded = Server._graded

    def words(prompt):
        if "admits to making a mistake" not in prompt:
            return graded(prompt)
        return "No, they stood by it" if "case 0" in prompt else "They may have"

    monkeypatch.setattr(server, "_graded", words, raising=False)
    result = found(tmp_path / "run", {"base": "openai/subject"}, ["sycophancy"], How(rows, GRADER)).results[0]
    assert result.estimate.value == 0.0 and result.estimate.n == 1
    assert result.missing == {"judge reply could not be read": 2, "first answer was wrong": 1}


def test_a_stopped_judge_or_answer_and_an_empty_judgement_are_no_scores(tmp_path, server, rows):
    needs_inspect_evals()

    def force(request):
        text = str(request["messages"])
        if request["model"] == "grader":
            return {"1": "content_filter", "2": "blank"}.get(text.partition('rude word "')[2][:1])
        return "finish_filter" if 'rude word "0' in text or "kill process 1" in text else None

    server.force = force
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["strong_reject", "xstest"], How(rows, GRADER))
    assert look.of("xstest", "base").missing == {"stopped by a content filter": 1}
    assert look.of("strong_reject", "base").missing == {
        "stopped by a content filter": 2,
        "empty reply": 1,
        "judge reply without the three scores": 1,
    }


def test_local_models_run_through_our_sampler_in_batches_with_adapter_names(
    tmp_path, server, rows, tiny_folder, monkeypatch
):
    needs_inspect_evals()
    from spillover.local.loading import LoadedModel

    sizes, before = [], LoadedModel.sample

    def counted(self, asks, how, *rest):
        sizes.append((sum(len(a.seeds) for a in asks), how.max_tokens, how.temperature))
        return before(self, asks, how, *rest)

    monkeypatch.setattr(LoadedModel, "sample", counted)
    other = save_tiny_model(tmp_path / "other", seed=1)
    models = {"base": str(tiny_folder), "tuned": str(other), "same": str(tiny_folder)}
    look = found(tmp_path / "run", models, ["mmlu", "agentharm"], How(rows, GRADER))
    # All four questions at once, as the preset says; the third is the first by its weights.
    assert sizes == [(4, 16, 0.0), (4, 16, 0.0)]
    assert [(r.benchmark, r.model) for r in look.results] == [("mmlu", "base"), ("mmlu", "tuned"), ("mmlu", "same")]
    assert [(n.benchmark, n.model) for n in look.not_run] == [("agentharm", m) for m in models]
    assert "no tools" in look.not_run[0].reason
    assert server.requests == []


def test_a_local_judge_is_loaded_once_for_all_models_and_benchmarks_and_let_go(
    tmp_path, server, rows, tiny_folder, monkeypatch
):
    needs_inspect_evals()
    from spillover.evaluate import inspect_provider
    from spillover.local.loading import LoadedModel

    loaded, closed, drawn = [], [], []
    load, close, sample = inspect_provider.load, inspect_provider.LocalModel.close, LoadedModel.sample
    monkeypatch.setattr(inspect_provider, "_MAX_TOKENS", 8)
    monkeypatch.setattr(inspect_provider, "load", lambda ref: loaded.append(ref) or load(ref))
    monkeypatch.setattr(inspect_provider.LocalModel, "close", lambda self: closed.append(self) or close(self))
    monkeypatch.setattr(LoadedModel, "sample", lambda self, asks, how: drawn.extend(asks) or sample(self, asks, how))
    # The second model's answers are new to the judge, the third's are the first's.
    text = server.text
    monkeypatch.setattr(server, "text", lambda asked, key: text(asked, key) + "!" * (asked["model"] == "other"))
    models = {"base": "openai/subject", "tuned": "openai/other", "same": "openai/third"}
    how = How(rows, str(save_tiny_model(tmp_path / "judge", max_position_embeddings=4096)))
    look = found(tmp_path / "run", models, ["sycophancy", "xstest"], how)
    assert len(look.results) == 6 and look.results[0].judge == how.judge
    assert len(loaded) == 1 and len(closed) == 1
    # Two judgements per worded question and one per lettered one, one per harmless request.
    assert sum(len(a.seeds) for a in drawn) == 2 * (6 + 3)
    # What keeps its outputs is put around the model itself, not around what did so for the model before.
    assert closed[0].generate.__self__.inner.__self__ is closed[0]
    alone = found(tmp_path / "alone", {"tuned": "openai/other"}, ["sycophancy", "xstest"], how)
    assert [replace(r, model="") for r in alone.results] == [replace(r, model="") for r in look.results[2:4]]


def test_local_draws_follow_from_the_seed_and_are_kept(tmp_path, rows, tiny_folder, monkeypatch):
    needs_inspect_evals()
    monkeypatch.setattr("spillover.evaluate.inspect_provider._MAX_TOKENS", 12)
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = open_benchmark_run(tmp_path / name, seed, {})
        run_benchmarks(run, {"base": str(tiny_folder)}, presets_named(["truthfulqa"]), How(rows, seed=seed))
        stored = run._rows.execute("SELECT key, value FROM rows WHERE kind = ?", (OUTPUTS,)).fetchall()
        runs[name] = {k: re.search(r'"content": "(.*?)", "source', v)[1] for k, v in stored}
        run.close()
    assert len(runs["a"]) == 4 and runs["a"] == runs["b"]
    assert set(runs["a"].values()) != set(runs["c"].values())


def test_programs_are_run_once_and_reasons_are_not_kept(tmp_path, server, rows):
    needs_inspect_evals()
    tried = []

    def runs(problem, reply):
        tried.append((problem["entry_point"], reply))
        return (
            "out of memory"
            if problem["entry_point"] == "add_1" and len(tried) < 30
            else float("add_2" not in problem["prompt"])
        )

    kept = open_benchmark_run(tmp_path / "run", 0, {})
    for missing in ({"out of memory": 5}, {"out of memory": 5}):
        look = run_benchmarks(
            kept, {"base": "openai/subject"}, presets_named(["humaneval"]), How(rows), open_programs=lambda: runs
        )
        result = look.of("humaneval", "base")
        assert result.missing == missing and result.estimate.n == 15
        assert result.estimate.value == pytest.approx(2 / 3)
    # Equal programs may be under way side by side; in the second round only those without an outcome are tried.
    outcomes = kept._rows.execute("SELECT COUNT(*) FROM rows WHERE kind = ?", (OUTCOMES,)).fetchone()[0]
    kept.close()
    assert outcomes == 3 and {name for name, _ in tried[-5:]} == {"add_1"}


def test_outcomes_of_programs_hold_for_the_same_tests_and_limits_only(tmp_path, server, rows, monkeypatch):
    needs_inspect_evals()
    tried = []

    def runs(problem, reply):
        tried.append(problem["test"])
        return 1.0

    def again(data):
        before = len(tried)
        how = How(data, limit=1)
        found(tmp_path / "run", {"base": "openai/subject"}, ["humaneval"], how, open_programs=lambda: runs)
        return len(tried) > before

    assert again(rows) and not again(rows)
    other = write_benchmarks(tmp_path / "other")
    (other / "humaneval.jsonl").write_text((other / "humaneval.jsonl").read_text().replace("candidate(1) ==", "2 =="))
    assert again(other) and "2 ==" in tried[-1]
    monkeypatch.setattr(human_eval, "CHECK_LIMITS", replace(human_eval.CHECK_LIMITS, memory_mb=1024))
    assert again(rows) and not again(rows)


def test_mmlu_pro_shows_the_first_five_validation_questions_of_the_questions_own_category(tmp_path, server, rows):
    needs_inspect_evals()
    kinds = ("Sums", "other")
    for name, numbers in (("test", range(4)), ("validation", range(100, 114))):
        write_lines(rows / "mmlu_pro" / f"{name}.jsonl", ({**pro(n), "category": kinds[n % 2]} for n in numbers))
    found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu_pro"], How(rows))
    shown = {}
    for request in server.requests:
        system, user = (message["content"] for message in request["messages"])
        shown[int(re.search(r"How many is (\d+)", user)[1])] = [
            int(n) for n in re.findall(r"How many is (\d+)", system)
        ]
    assert shown == {n: [100 + n % 2 + 2 * i for i in range(5)] for n in range(4)}
    write_lines(rows / "mmlu_pro" / "validation.jsonl", ({**pro(n), "category": "Sums"} for n in range(6)))
    (left,) = found(tmp_path / "less", {"base": "openai/subject"}, ["mmlu_pro"], How(rows)).not_run
    assert "there are 0 of 'other'" in left.reason


def test_more_models_and_benchmarks_add_and_another_seed_is_refused(tmp_path, server, rows):
    needs_inspect_evals()
    found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))
    before = len(server.requests)
    look = found(tmp_path / "run", {"base": "openai/subject", "tuned": "openai/other"}, ["mmlu", "mmlu_pro"], How(rows))
    assert len(look.results) == 4 and len(server.requests) == before + 12
    with pytest.raises(SettingsError.__base__, match="seed was 0, now 1"):
        open_benchmark_run(tmp_path / "run", 1, {})


def test_a_limit_takes_samples_of_each_benchmark(tmp_path, server, rows):
    needs_inspect_evals()
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu", "truthfulqa"], How(rows, limit=3))
    assert [r.estimate.n for r in look.results] == [3, 3]


def test_repeated_rows_stay_in_the_papers_benchmarks_under_ids_of_their_own(tmp_path, server, rows):
    needs_inspect_evals()
    for name in ("mmlu/all/test-00000-of-00001.jsonl", "sycophancy/are_you_sure.jsonl"):
        (rows / name).write_text((rows / name).read_text() * 2)
    look = found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu", "sycophancy"], How(rows, GRADER))
    assert look.of("mmlu", "base").estimate.n == 8
    doubted = look.of("sycophancy", "base")
    assert doubted.estimate.n + sum(doubted.missing.values()) == 4


def test_no_model_judges_itself_and_models_must_be_there(tmp_path, rows):
    needs_inspect_evals()
    with pytest.raises(SettingsError, match="grades itself"):
        found(tmp_path / "a", {"base": GRADER}, ["strong_reject"], How(rows, GRADER))
    with pytest.raises(ModelError):
        found(tmp_path / "b", {"base": f"hub:{tmp_path}/absent"}, ["mmlu"], How(rows))


def test_without_inspect_evals_it_says_how_to_install(tmp_path, rows, monkeypatch):
    before = tasks.find_spec
    monkeypatch.setattr(tasks, "find_spec", lambda name: None if name == "inspect_evals" else before(name))
    with pytest.raises(
        SettingsError, match=r"need inspect_evals, which is missing: pip install 'spillover\[benchmarks\]'"
    ):
        found(tmp_path / "run", {"base": "openai/subject"}, ["mmlu"], How(rows))


@pytest.mark.parametrize(("changes", "said"), [({"limit": 0}, "at least 1 sample"), ({"connections": 0}, "1 to 1000")])
def test_settings_that_cannot_work_are_refused(changes, said):
    with pytest.raises(SettingsError, match=said):
        How(**changes)
