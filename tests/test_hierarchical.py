"""Rates over models, questions and answers: edges, agreement with simpler cases, and coverage by simulation."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from spillover.hierarchical import hierarchical_rate, rate_bounds
from spillover.statistics import wilson


def load_benchmark():
    path = Path(__file__).resolve().parent.parent / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


coverage = load_benchmark()


def test_the_value_is_the_share_of_all_answers():
    got = hierarchical_rate([[1, 0, 3], [0, 2, 2]], [[4, 4, 4], [5, 2, 4]])
    assert got.value == pytest.approx(8 / 23)
    assert (got.n, got.models, got.clusters) == (23, 2, 3)
    assert 0 < got.low < got.value < got.high < 1


def test_one_model_is_its_questions_alone():
    hits, totals = [3, 0, 1, 4, 2, 0], [4, 4, 3, 5, 4, 4]
    got = hierarchical_rate([hits], [totals])
    h, t = np.array([[hits]], dtype=float), np.array([totals], dtype=float)
    assert (got.low, got.high) == pytest.approx([float(x[0]) for x in rate_bounds(h, t)[1:]])
    assert got.models == 1


def test_models_and_questions_change_places_without_changing_the_interval():
    draw = np.random.default_rng(3)
    hits, totals = draw.binomial(9, draw.beta(1, 3, (5, 7))), np.full((5, 7), 9)
    one, two = hierarchical_rate(hits.tolist(), totals.tolist()), hierarchical_rate(hits.T.tolist(), totals.T.tolist())
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-12)


def test_many_even_questions_give_nearly_the_interval_of_independent_answers():
    got = hierarchical_rate([[20] * 60], [[100] * 60])
    low, high = wilson(0.2, 6000)
    assert got.low == pytest.approx(low, abs=0.002) and got.high == pytest.approx(high, abs=0.002)
    assert got.effective == pytest.approx(6000, rel=0.15)


def test_questions_that_are_all_or_nothing_are_worth_one_answer_each():
    got = hierarchical_rate([[100, 0] * 30], [[100] * 60])
    low, high = wilson(0.5, 60)
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.03)
    assert 40 < got.effective < 75


@pytest.mark.parametrize("all_hits", [False, True])
def test_nothing_seen_is_bounded_by_what_so_few_questions_can_say(all_hits):
    totals = [[100] * 8]
    got = hierarchical_rate(totals if all_hits else [[0] * 8], totals)
    near, far = (got.low, got.high) if not all_hits else (1 - got.high, 1 - got.low)
    assert near == 0 and got.value == float(all_hits)
    # Eight questions that all said no: exactly binomial, the bound of eight would be 1 - 0.025^(1/8) = 0.37.
    assert 0.15 < far < 0.45
    # A hundred questions say far more.
    wide = [[8] * 100]
    more = hierarchical_rate(wide if all_hits else [[0] * 100], wide)
    assert (1 - more.low if all_hits else more.high) < 0.06


def test_the_likelihood_without_correlation_is_the_binomial_one():
    # One answer per question: no correlation can show, so the interval is the binomial likelihood's.
    hits, n = 30, 80
    got = hierarchical_rate([[1] * hits + [0] * (n - hits)], [[1] * n])
    limit = scipy.stats.norm.ppf(0.975) ** 2 / 2

    def fit(p):
        return hits * math.log(p) + (n - hits) * math.log(1 - p)

    for end in (got.low, got.high):
        assert fit(hits / n) - fit(end) == pytest.approx(limit, rel=0.02)


def test_models_and_questions_without_answers_are_left_out():
    full = hierarchical_rate([[1, 2], [0, 3]], [[4, 4], [4, 4]])
    assert hierarchical_rate([[1, 0, 2], [0, 0, 3], [0, 0, 0]], [[4, 0, 4], [4, 0, 4], [0, 0, 0]]) == full


@pytest.mark.parametrize("tables", [([[]], [[]]), ([[0, 0]], [[0, 0]])])
def test_nothing_observed_is_none(tables):
    assert hierarchical_rate(*tables) is None


@pytest.mark.parametrize("tables", [([[1, 2]], [[4]]), ([[5]], [[4]]), ([[-1]], [[4]]), ([1], [4])])
def test_impossible_counts_are_refused(tables):
    with pytest.raises(ValueError):
        hierarchical_rate(*tables)


def test_the_effective_answers_give_a_wilson_interval_as_wide():
    got = hierarchical_rate([[9, 0, 2, 5, 1, 0]], [[10] * 6])
    low, high = wilson(got.value, got.effective)
    assert high - low == pytest.approx(got.high - got.low, rel=1e-6)
    assert got.effective < 60


def test_the_smallest_detectable_shift_goes_with_the_interval():
    got = hierarchical_rate([[9, 0, 2, 5, 1, 0]], [[10] * 6])
    assert got.smallest_detectable == pytest.approx(got.half_width * (1.959964 + 0.841621) / 1.959964, rel=1e-5)


# ---------------------------------------------------------------- coverage, a small version of the benchmark


@pytest.mark.parametrize(
    ("rate", "correlation", "alike"),
    [
        (0.001, 0.0, "question"),
        (0.001, 0.5, "both"),
        (0.01, 0.1, "question"),
        (0.2, 0.1, "model"),
        (0.2, 0.5, "both"),
        (0.2, 0.9, "question"),
        (0.2, 0.9, "cell"),
    ],
)
def test_the_interval_holds_the_truth(rate, correlation, alike):
    found = coverage.row(np.random.default_rng(11), 200, rate, correlation, alike)
    # 200 data sets: 95% has a standard deviation of 1.5%.
    assert found["ours_covers"] >= 0.91, found
    if correlation == 0.9 and alike == "question":
        # What the authors' interval was not made for.
        assert found["authors_covers"] < 0.5


def test_the_benchmarks_authors_interval_is_that_of_the_reproduction():
    from spillover.reproduce.interval import interval

    hits = coverage.draw(np.random.default_rng(5), 3, 0.2, 0.5, "model")
    low, high = coverage.authors_bounds(hits)
    for k in range(3):
        theirs = interval((hits[k].sum(axis=1) / 800).tolist())
        assert (low[k], high[k]) == pytest.approx(
            (theirs.centre - theirs.lower, theirs.centre + theirs.upper), abs=1e-12
        )


@pytest.mark.parametrize("alike", ["question", "model", "both", "cell"])
def test_the_benchmark_draws_rates_and_correlations_as_it_says(alike):
    rate, correlation = 0.2, 0.5
    hits = coverage.draw(np.random.default_rng(6), 4000, rate, correlation, alike)
    cells = hits / coverage.ANSWERS
    assert cells.mean() == pytest.approx(rate, abs=0.015)
    # Variance of a cell's rate: correlation x rate x (1 - rate), and a little from drawing answers.
    expected = rate * (1 - rate) * (correlation + (1 - correlation) / coverage.ANSWERS)
    assert cells.var() == pytest.approx(expected, rel=0.06)
