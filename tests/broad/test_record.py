"""Scores of samples into results: means, intervals clustered by sample, what is missing and why."""

from __future__ import annotations

import json
import math

import pytest

from spillover.broad.record import BenchmarkScore, BroadLook, NotRun, result_of
from spillover.errors import DataError
from spillover.statistics import clustered_rate


def scores(values, benchmark="mmlu", model="base"):
    """`values` per sample: its epochs' values, or reasons."""
    return [
        BenchmarkScore(benchmark, model, f"s{n}", epoch, *((None, v) if isinstance(v, str) else (v,)))
        for n, epochs in enumerate(values)
        for epoch, v in enumerate(epochs, 1)
    ]


def test_the_mean_is_over_values_and_the_interval_over_samples():
    found = result_of("right", "lower", scores([[1, 1, 1], [0, 0, 0]] * 10)).estimate
    assert (found.value, found.n, found.clusters) == (0.5, 60, 20)
    alone = result_of("right", "lower", scores([[1], [0]] * 30)).estimate
    # Epochs that repeat their sample say nothing new: as wide as 20 answers, not as 60.
    assert found.half_width > 1.6 * alone.half_width
    assert found == clustered_rate([3, 0] * 10, [3] * 20)


def test_missing_scores_are_counted_by_reason_and_enter_no_mean():
    found = result_of("right", "lower", scores([[1], ["HTTP 500"], [0], ["empty reply"], ["HTTP 500"]]))
    assert found.estimate.value == 0.5 and found.estimate.n == 2
    assert found.missing == {"HTTP 500": 2, "empty reply": 1}
    assert list(found.missing) == ["HTTP 500", "empty reply"]
    nothing = result_of("right", "lower", scores([["timed out"]]))
    assert nothing.estimate is None and nothing.as_dict()["score"] is None and nothing.as_dict()["n"] == 0


def test_values_between_hits_and_misses_have_an_interval_that_holds_them():
    found = result_of("harm", "higher", scores([[0.125], [0.875], [0.5], [0.0]])).estimate
    assert found.value == 0.375 and found.low < 0.2 and found.high > 0.6
    flat = result_of("harm", "higher", scores([[0.5]] * 8)).estimate
    assert flat.low < 0.4 and flat.high > 0.6
    none = result_of("harm", "higher", scores([[0.0]] * 300)).estimate
    assert none.low == 0 and 0.005 < none.high < 0.02


@pytest.mark.parametrize(
    ("value", "missing"), [(None, None), (0.5, "late"), (1.5, None), (-0.1, None), (math.nan, None)]
)
def test_a_score_is_a_share_or_a_reason(value, missing):
    with pytest.raises(DataError):
        BenchmarkScore("mmlu", "base", "s", 1, value, missing)


def test_a_result_is_of_one_model_and_each_sample_comes_once():
    with pytest.raises(DataError, match="not of 2"):
        result_of("right", "lower", scores([[1]]) + scores([[1]], model="tuned"))
    with pytest.raises(DataError, match="s0 comes 2 times in epoch 1"):
        result_of("right", "lower", scores([[1]]) * 2)


def test_everything_is_json_and_can_be_looked_up():
    one = result_of("right", "lower", scores([[1], [0]]), "folder")
    look = BroadLook((one,), (NotRun("mask", None, "no data"),), ("a.eval",))
    assert look.of("mmlu", "base") is one and look.of("mmlu", "tuned") is None
    told = json.loads(json.dumps(look.as_dict(), allow_nan=False))
    assert told["results"][0]["score"] == 0.5 and told["results"][0]["data"] == "folder"
    assert told["not_run"] == [{"benchmark": "mask", "model": None, "reason": "no data"}]
