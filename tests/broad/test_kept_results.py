"""Results of several calls on one run folder, put together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spillover.broad.kept_results import RESULTS, comparable, keep_results, labels_of, look_of_all
from spillover.broad.record import BenchmarkScore, BroadLook, NotRun, result_of
from spillover.broad.run import open_benchmark_run


def result(benchmark, model, values=(1, 0), data="folder (abc)", judge=None, limit=None):
    scores = [
        BenchmarkScore(
            benchmark, model, f"s{n}", 1, None if isinstance(v, str) else v, v if isinstance(v, str) else None
        )
        for n, v in enumerate(values)
    ]
    return replace(result_of("made", "higher", scores, data), judge=judge, limit=limit)


@pytest.fixture
def run(tmp_path):
    opened = open_benchmark_run(tmp_path / "run", 0, {})
    yield opened
    opened.close()


def test_results_come_back_as_they_were_put(run):
    before = [
        result("mmlu", "base", (1, 0.25, "timed out"), limit=3),
        result("mask", "base", ("HTTP 500",), judge="openai/judge"),
    ]
    keep_results(run, ["base"], before)
    assert list(look_of_all(run).results) == before


def test_rows_of_an_earlier_version_have_no_parts(run):
    keep_results(run, ["base"], [result("mmlu", "base")])
    (key,) = run.get(RESULTS, "order")
    earlier = {name: value for name, value in run.get(RESULTS, key).items() if name not in ("parts", "note")}
    run.put(RESULTS, [(key, earlier)])
    assert look_of_all(run).results == (result("mmlu", "base"),)


def test_later_calls_add_and_take_the_place_of_the_same_benchmark_and_model(run):
    keep_results(run, ["base", "tuned"], [result("mmlu", "base")])
    keep_results(run, ["base", "tuned"], [result("mmlu", "tuned")])
    keep_results(run, ["other"], [result("mmlu", "other")])
    keep_results(run, ["base"], [result("mask", "base"), result("mmlu", "base", (1, 1, 1), limit=3)])
    latest = BroadLook((), (NotRun("mmlu", "gone", "no"),))
    look = look_of_all(run, latest)
    assert [(r.model, r.benchmark, r.estimate.n) for r in look.results] == [
        ("base", "mmlu", 3),
        ("base", "mask", 2),
        ("tuned", "mmlu", 2),
        ("other", "mmlu", 2),
    ]
    assert look.not_run == latest.not_run


def test_a_model_without_a_result_keeps_its_place_but_is_named_in_its_own_call_only(run):
    keep_results(run, ["base", "tuned"], [result("mmlu", "tuned")])
    assert labels_of(run, ["base", "tuned"]) == ["base", "tuned"]
    assert labels_of(run, ["more"]) == ["tuned", "more"]
    keep_results(run, ["base"], [result("mmlu", "base")])
    assert labels_of(run) == ["base", "tuned"]


def test_what_another_judge_or_other_rows_gave_is_not_compared():
    kept = [
        result("mask", "base", judge="a"),
        result("mask", "same", judge="a", data="the hub (abc)"),
        result("mmlu", "judged", judge="b"),
    ]
    apart = [result("mask", "judged", judge="b"), result("mask", "other rows", judge="a", data="folder (def)")]
    look = comparable(BroadLook((*kept, *apart), ()), "base")
    assert list(look.results) == kept
