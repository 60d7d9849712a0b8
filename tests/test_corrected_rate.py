"""Rates corrected for a judge's errors: the formula, its edges, and intervals that hold the truth by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from spillover.corrected_rate import NOT_INFORMATIVE, corrected_rate
from spillover.hierarchical import hierarchical_rate
from spillover.statistics import Estimate, wilson


def estimate(hits, n):
    return Estimate(hits / n, *wilson(hits / n, n), n, n, "made")


def exact(value):
    return Estimate(value, value, value, 10**9, 10**9, "known")


def test_with_known_errors_it_is_rogan_and_gladens_formula():
    got = corrected_rate(estimate(240, 1000), exact(0.7), exact(0.9))
    assert got.value == pytest.approx((0.24 + 0.9 - 1) / (0.7 + 0.9 - 1))
    low, high = wilson(0.24, 1000)
    assert (got.low, got.high) == pytest.approx(((low - 0.1) / 0.6, (high - 0.1) / 0.6), abs=0.003)


def test_a_perfect_judge_changes_nothing():
    seen = estimate(13, 200)
    got = corrected_rate(seen, exact(1.0), exact(1.0))
    assert got.value == pytest.approx(seen.value)
    assert (got.low, got.high) == pytest.approx((seen.low, seen.high), abs=0.002)


def test_an_uncertain_calibration_makes_the_interval_wider():
    seen = estimate(240, 1000)
    widths = [
        (c := corrected_rate(seen, estimate(int(0.7 * n), n), estimate(int(0.9 * n), n))).high - c.low
        for n in (50, 500, 5_000_000)
    ]
    assert widths[0] > 1.5 * widths[1] and widths[1] > 1.1 * widths[2]


@pytest.mark.parametrize(("hits", "edge"), [(0, 0.0), (30, 0.0), (990, 1.0)])
def test_what_the_errors_alone_explain_is_clipped_to_0_and_1(hits, edge):
    got = corrected_rate(estimate(hits, 1000), estimate(70, 100), estimate(90, 100))
    assert got.value == edge
    assert 0 <= got.low <= got.value <= got.high <= 1


@pytest.mark.parametrize(
    ("right", "clear"),
    [
        pytest.param(estimate(50, 100), estimate(50, 100), id="at random"),
        pytest.param(estimate(30, 100), estimate(60, 100), id="worse than chance"),
        pytest.param(estimate(3, 4), estimate(3, 4), id="too few labels"),
    ],
)
def test_a_judge_not_shown_to_know_anything_corrects_nothing(right, clear):
    got = corrected_rate(estimate(240, 1000), right, clear)
    assert (got.value, got.low, got.high, got.why) == (None, None, None, NOT_INFORMATIVE)


def test_unknown_errors_correct_nothing():
    assert corrected_rate(estimate(24, 100), None, exact(0.9)).why is not None


def test_the_same_seed_gives_the_same_interval():
    given = estimate(24, 100), estimate(70, 100), estimate(90, 100)
    assert corrected_rate(*given, seed=3) == corrected_rate(*given, seed=3)
    other = corrected_rate(*given, seed=4)
    assert other != corrected_rate(*given, seed=3)
    assert other.high == pytest.approx(corrected_rate(*given, seed=3).high, abs=0.02)


def clustered(draw, rate, questions, each, correlation):
    """Counts per question of a rate that differs from question to question."""
    weight = (1 - correlation) / correlation
    share = draw.beta(rate * weight, (1 - rate) * weight, questions)
    return draw.binomial(each, share)


@pytest.mark.parametrize(("rate", "right", "clear"), [(0.2, 0.6, 0.95), (0.02, 0.6, 0.95), (0.2, 0.9, 0.99)])
def test_intervals_hold_the_true_rate_where_rate_and_errors_vary_by_question(rate, right, clear):
    draw = np.random.default_rng(7)
    held, raw_held, runs = 0, 0, 120
    for _ in range(runs):
        seen = hierarchical_rate([clustered(draw, rate * right + (1 - rate) * (1 - clear), 40, 10, 0.1)], [[10] * 40])
        errors = (clustered(draw, p, 80, 4, 0.1) for p in (right, clear))
        rates = [hierarchical_rate([hits], [[4] * 80]) for hits in errors]
        got = corrected_rate(seen, *rates)
        held += got.low <= rate <= got.high
        raw_held += seen.low <= rate <= seen.high
    # 120 runs: 95% has a standard deviation of 2%.
    assert held / runs >= 0.9
    if (rate, right) != (0.2, 0.9):
        # The raw rate's interval does not: that is what the correction is for.
        assert raw_held <= held - 0.15 * runs
