"""The interval that holds at every look: against its definition, and by simulation with a look after every sweep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from scipy.special import betaln

from spillover.anytime import anytime_rate

EIGHT = 8


def ratio(rate, hits, counted):
    """Mixture likelihood ratio by numerical integration over the other rates."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    likelihood = hits * np.log(grid) + (counted - hits) * np.log1p(-grid)
    own = hits * math.log(rate) + (counted - hits) * math.log1p(-rate)
    return float(np.mean(scipy.stats.beta.pdf(grid, 0.5, 0.5) * np.exp(likelihood - own)))


@pytest.mark.parametrize(("hits", "counted"), [(3, 40), (20, 40), (39, 40), (1, 7)])
def test_the_ends_are_where_the_mixture_of_likelihood_ratios_is_twenty(hits, counted):
    got = anytime_rate([hits], [counted])
    assert got.low < hits / counted < got.high
    assert ratio(got.low, hits, counted) == pytest.approx(20, rel=0.02)
    assert ratio(got.high, hits, counted) == pytest.approx(20, rel=0.02)


def test_no_hit_and_only_hits_have_one_end_at_the_edge():
    none, all_hits = anytime_rate([0], [40]), anytime_rate([40], [40])
    assert none.low == 0 and all_hits.high == 1
    expected = 1 - math.exp((betaln(0.5, 40.5) - betaln(0.5, 0.5) - math.log(20)) / 40)
    assert none.high == pytest.approx(expected, abs=1e-9)
    assert all_hits.low == pytest.approx(1 - expected, abs=1e-9)


def test_before_anything_counts_the_interval_is_everything():
    got = anytime_rate([0, 0], [0, 0])
    assert (got.value, got.low, got.high, got.sweeps) == (None, 0.0, 1.0, 2)


def test_the_interval_only_shrinks_and_keeps_what_earlier_sweeps_have_ruled_out():
    first = anytime_rate([0] * 60, [EIGHT] * 60)
    later = anytime_rate([0] * 60 + [2], [EIGHT] * 61)
    assert later.high == first.high < anytime_rate([2], [61 * EIGHT]).high
    assert later.hits == 2


def test_answers_that_contradict_all_before_leave_the_present_interval_and_not_an_empty_one():
    got = anytime_rate([0] * 60 + [EIGHT] * 20, [EIGHT] * 80)
    assert got.low < 0.25 < got.high


@pytest.mark.parametrize(("hits", "counted"), [([1], [0]), ([-1], [4]), ([1, 2], [4])])
def test_impossible_counts_are_refused(hits, counted):
    with pytest.raises(ValueError):
        anytime_rate(hits, counted)


def ever_left_out(theta, kept, sweeps, runs, seed):
    """Share of runs in which the true rate is outside at some look, a look after every sweep."""
    draw = np.random.default_rng(seed)
    truth = float((theta * kept).sum() / kept.sum())
    outside = 0
    for _ in range(runs):
        counted = draw.random((sweeps, len(theta))) < kept
        hits = counted & (draw.random((sweeps, len(theta))) < theta)
        h, c = hits.sum(1).cumsum(), counted.sum(1).cumsum()
        log = betaln(h + 0.5, c - h + 0.5) - betaln(0.5, 0.5) - h * math.log(truth) - (c - h) * math.log1p(-truth)
        if log.max() < math.log(20):
            # Never left out, so in the intersection of all intervals.
            got = anytime_rate(hits.sum(1).tolist(), counted.sum(1).tolist())
            assert got.low <= truth <= got.high
        outside += log.max() >= math.log(20)
    return outside / runs


@pytest.mark.parametrize(
    ("theta", "kept"),
    [
        pytest.param(np.full(EIGHT, 0.05), np.ones(EIGHT), id="questions alike"),
        pytest.param(np.array([0.9, 0.5] + [0.0] * 6), np.ones(EIGHT), id="questions apart"),
        pytest.param(np.array([0.9, 0.5] + [0.02] * 6), np.array([0.3, 0.9] + [0.6] * 6), id="answers left out"),
    ],
)
def test_looking_after_every_sweep_leaves_the_truth_out_in_at_most_5_of_100_runs(theta, kept):
    # 200 runs: 5% has a standard deviation of 1.5%.
    assert ever_left_out(theta, kept, 60, 200, 1) <= 0.08


def test_a_fixed_interval_looked_at_after_every_sweep_would_not_do():
    # What the sequence is there for: stopping at the first Wilson interval off the truth.
    draw = np.random.default_rng(2)
    misses = 0
    for _ in range(200):
        h = draw.binomial(EIGHT, 0.2, 60).cumsum()
        n = EIGHT * np.arange(1, 61)
        misses += bool((np.abs(h / n - 0.2) > 1.96 * np.sqrt(0.16 / n)).any())
    assert misses / 200 > 0.15


def test_sides_of_a_margin():
    assert anytime_rate([0] * 100, [EIGHT] * 100).side(0.02) == "below"
    assert anytime_rate([4] * 20, [EIGHT] * 20).side(0.02) == "above"
    assert anytime_rate([0] * 3, [EIGHT] * 3).side(0.02) is None
