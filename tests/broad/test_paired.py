"""Benchmarks and free-form answers of the same models, paired: patterns, and why there is none."""

from __future__ import annotations

import json

import pytest

from spillover.broad.paired import as_dict, free_form_rates, patterns_of
from spillover.broad.record import BenchmarkResult, BenchmarkScore, BroadLook, result_of
from spillover.errors import DataError
from spillover.report.broad_figure import draw_broad
from spillover.statistics import Estimate, clustered_rate


def rate(hits, n):
    return clustered_rate([int(i < hits) for i in range(n)], [1] * n)


def result(benchmark, model, worse, hits, n):
    scores = [BenchmarkScore(benchmark, model, str(i), 0, float(i < hits)) for i in range(n)]
    return result_of("made", worse, scores)


@pytest.fixture
def look():
    results = []
    for model, harmful, able in (("base", 5, 800), ("emergent", 10, 780), ("jailbroken", 600, 700)):
        results += [result("strong_reject", model, "higher", harmful, 1000), result("mmlu", model, "lower", able, 1000)]
    return BroadLook(tuple(results), ())


FREE = {"base": rate(0, 1000), "emergent": rate(300, 1000), "jailbroken": rate(1, 1000)}


def test_each_model_gets_its_name_against_the_reference(look):
    found = patterns_of(look, FREE, ["base", "emergent", "jailbroken"], ["base"])
    assert {model: one.pattern for model, one in found.items()} == {
        "emergent": "emergently misaligned",
        "jailbroken": "jailbroken",
    }
    assert found["jailbroken"].less_able is True
    assert any("StrongREJECT" in sentence for sentence in as_dict(found)["emergent"]["evidence"])


def test_without_a_measure_there_is_a_reason_and_no_name(look):
    only_own = {"emergent": FREE["emergent"]}
    assert patterns_of(look, only_own, ["base", "emergent"], ["base"]) == {
        "emergent": "no free-form answers of any reference"
    }
    found = patterns_of(BroadLook(look.results[2:], ()), FREE, ["base", "emergent"], ["base"])
    assert found == {"emergent": "no StrongREJECT of any reference"}
    assert as_dict(found)["emergent"] == {"pattern": None, "why": "no StrongREJECT of any reference"}


def row(**changes):
    values = {"model": "m", "variant": "plain", "judge": "j", "counted": "misaligned", "trust": "calibrated"}
    return {**values, "rate": 0.2, "low": 0.1, "high": 0.3, "n": 50, "questions": 8, "method": "x", **changes}


@pytest.fixture
def evaluated(tmp_path):
    def write(rows, suite="main"):
        (tmp_path / "results.json").write_text(json.dumps({"results": rows}))
        (tmp_path / "manifest.json").write_text(json.dumps({"asked": {"suite": {"name": suite}}}))
        return tmp_path

    return write


def test_free_form_rates_are_those_of_the_main_questions_by_the_first_judge(evaluated):
    rows = [row(variant="other", rate=0.9), row(), row(model="n", rate=None), row(model="n", judge="k", rate=0.8)]
    found = free_form_rates(evaluated(rows))
    assert list(found) == ["m"] and (found["m"].value, found["m"].low, found["m"].n) == (0.2, 0.1, 50)
    found = free_form_rates(evaluated([row(variant="main_json", rate=0.9), row(variant="main")], "main_json+main"))
    assert found["m"].value == 0.2


def test_another_suite_no_results_and_a_judge_that_failed_are_errors(evaluated, tmp_path):
    with pytest.raises(DataError, match="spillover evaluate"):
        free_form_rates(tmp_path)
    with pytest.raises(DataError, match="on the suite main"):
        free_form_rates(evaluated([row()], "broad"))
    with pytest.raises(DataError, match="failed its calibration"):
        free_form_rates(evaluated([row(trust="unjudged")]))
    with pytest.raises(DataError, match="spillover evaluate"):
        free_form_rates(evaluated([{"model": "m"}]))


def test_the_figure_has_ability_and_alignment_for_each_model(look, tmp_path):
    assert draw_broad(look, FREE, ["base", "emergent"], tmp_path / "f.svg")
    drawn = (tmp_path / "f.svg").read_text()
    assert "<svg" in drawn and drawn.count("LineCollection") >= 2
    assert not draw_broad(BroadLook((), ()), {}, ["base"], tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_a_share_beyond_100_percent_is_drawn_inside_the_axis(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    limits, set_xlim = [], Axes.set_xlim

    def seen(self, *ends, **more):
        limits.append(ends)
        return set_xlim(self, *ends, **more)

    monkeypatch.setattr(Axes, "set_xlim", seen)
    share = Estimate(1.3, 1.1, 1.6, 30, 30, "made")
    games = BenchmarkResult("machiavelli", "base", "harm", "higher", share, {})
    draw_broad(BroadLook((games,), ()), FREE, ["base"], tmp_path / "f.svg")
    assert (-2, pytest.approx(163.2)) in limits
    assert "MACHIAVELLI, % of a random agent" in (tmp_path / "f.svg").read_text()
    limits.clear()
    draw_broad(BroadLook((), ()), FREE, ["base"], tmp_path / "f.svg")
    assert (-2, 102) in limits
