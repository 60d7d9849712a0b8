from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover import statistics
from spillover.statistics import (
    Estimate,
    auroc,
    clustered_rate,
    clustered_rate_difference,
    stratified_mean,
    times_more,
    wilson,
)

# Eight questions of four answers; no order of the shares, no share in common with the neighbour.
HITS = [0, 3, 1, 4, 0, 2, 1, 0]
TOTALS = [4, 4, 4, 4, 3, 4, 2, 4]


def covered(estimates, truth):
    return np.mean([e.low <= truth <= e.high for e in estimates])


@pytest.fixture
def few_resamples(monkeypatch):
    """Simulations draw many intervals: fewer resamples each."""
    monkeypatch.setattr(statistics, "RESAMPLES", 800)


# ---------------------------------------------------------------- Wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 12), (1, 1), (3, 10), (50, 100), (99, 100), (40, 40), (1, 2_000)])
def test_wilson_is_scipys_wilson_interval(hits, n):
    theirs = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.floats(0, 1), st.floats(0.3, 1e6))
def test_wilson_stays_within_0_and_1_and_holds_the_rate(rate, n):
    low, high = wilson(rate, n)
    assert 0 <= low <= rate + 1e-9
    assert rate - 1e-9 <= high <= 1


# ---------------------------------------------------------------- Estimate


def test_half_width_is_half_the_interval():
    assert Estimate(0.3, 0.1, 0.4, 5, 5, "m").half_width == pytest.approx(0.15)


def test_smallest_detectable_shift_is_found_in_80_of_100_runs():
    error = 0.037
    z = scipy.stats.norm.ppf(0.975)
    shift = Estimate(0.0, -z * error, z * error, 9, 9, "m").smallest_detectable
    # The interval of a run around `shift` leaves zero out where the seen value is beyond z * error.
    power = scipy.stats.norm.sf(z * error, shift, error) + scipy.stats.norm.cdf(-z * error, shift, error)
    assert power == pytest.approx(0.8, abs=1e-4)


# ---------------------------------------------------------------- mean within strata


def test_mean_of_one_stratum_is_scipys_percentile_bootstrap_widened():
    values = np.random.default_rng(1).gamma(1.0, size=35)
    ours = stratified_mean(values.tolist(), ["s"] * 35, seed=3)
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=40_000, rng=5)
    assert ours.value == pytest.approx(values.mean(), abs=1e-12)
    # A resample of 35 values varies by (35 - 1) / 35 too little; ours is widened by the root of the inverse.
    low, high = (values.mean() + math.sqrt(35 / 34) * (b - values.mean()) for b in theirs.confidence_interval)
    assert ours.low == pytest.approx(low, abs=0.025 * (high - low))
    assert ours.high == pytest.approx(high, abs=0.025 * (high - low))
    assert (ours.n, ours.clusters) == (35, 35)


def test_strata_are_resampled_apart():
    # Two strata far apart: within each nothing varies much, drawn from one pot they would.
    noise = np.random.default_rng(2).normal(size=60)
    values = noise + np.repeat([0.0, 100.0, 0.0], [10, 30, 20])
    strata = ["a"] * 10 + ["b"] * 30 + ["c"] * 20
    ours = stratified_mean(values.tolist(), strata, seed=0)
    # Variance of a stratified bootstrap mean, worked out by hand: sum of (n_s / N)^2 var_s / n_s.
    parts = [values[:10], values[10:40], values[40:]]
    error = math.sqrt(sum((len(p) / 60) ** 2 * p.var(ddof=1) / len(p) for p in parts))
    assert ours.half_width == pytest.approx(1.96 * error, rel=0.04)
    assert ours.value == pytest.approx(values.mean())


def test_strata_need_not_lie_together():
    values = [1.0, 101.0, 2.0, 102.0, 3.0, 103.0]
    mixed = stratified_mean(values, ["a", "b"] * 3, seed=0)
    assert mixed.half_width < 2
    assert stratified_mean(values, ["a"] * 6, seed=0).half_width > 30


@pytest.mark.parametrize(
    ("values", "strata"),
    [
        pytest.param([0.0, 1.0, 5.0, 7.0], ["a"] * 4, id="one stratum"),
        pytest.param([0.0, 1.0, 5.0, 7.0, 20.0], ["a", "a", "a", "b", "b"], id="two strata"),
    ],
)
def test_mean_interval_is_the_one_of_all_resamples_counted_out(values, strata):
    groups = [[v for v, s in zip(values, strata, strict=True) if s == name] for name in dict.fromkeys(strata)]
    means = []
    for draws in itertools.product(*(itertools.product(g, repeat=len(g)) for g in groups)):
        parts = zip(groups, draws, strict=True)
        moved = sum((sum(d) - sum(g)) * math.sqrt(len(g) / (len(g) - 1)) for g, d in parts)
        means.append((sum(values) + moved) / len(values))
    ours = stratified_mean(values, strata, seed=11)
    assert (ours.low, ours.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.26)


def test_a_value_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        stratified_mean([1.0, math.nan], ["a", "a"], seed=0)


def test_small_strata_cover_the_truth_about_95_times_in_100(few_resamples):
    draw = np.random.default_rng(7)
    runs = [stratified_mean(draw.normal(size=20).tolist(), ["f"] * 20, seed) for seed in range(400)]
    assert 0.91 <= covered(runs, 0.0) <= 0.985


def test_strata_of_one_unit_are_named_in_the_method():
    assert "2 strata of one unit" in stratified_mean([1.0, 2.0, 3.0, 4.0], ["a", "b", "c", "c"], seed=0).method
    assert "one unit" not in stratified_mean([1.0, 2.0, 3.0, 4.0], ["a", "a", "c", "c"], seed=0).method


def test_mean_interval_covers_the_truth_about_95_times_in_100(few_resamples):
    # The probes' shape: ten families whose means differ, 26 skewed values in each.
    draw = np.random.default_rng(7)
    centres, strata = np.linspace(-1, 2, 10), [f"f{i}" for i in range(10) for _ in range(26)]
    runs = []
    for seed in range(250):
        values = np.repeat(centres, 26) + draw.exponential(0.5, 260) - 0.5
        runs.append(stratified_mean(values.tolist(), strata, seed))
    # 95% expected, standard deviation of the share 1.4%.
    assert 0.90 <= covered(runs, centres.mean()) <= 0.99


# ---------------------------------------------------------------- rate over clusters


def test_rate_is_hits_over_all_answers_and_not_the_mean_of_the_questions_rates():
    got = clustered_rate(HITS, TOTALS)
    assert got.value == pytest.approx(11 / 29)
    assert (got.n, got.clusters) == (29, 8)


def test_with_independent_answers_the_interval_is_scipys_wilson_interval():
    # One answer per question and many hits: no design effect, plain Wilson.
    hits = [1] * 30 + [0] * 50
    got = clustered_rate(hits, [1] * 80)
    theirs = scipy.stats.binomtest(30, 80).proportion_ci(method="wilson")
    assert (got.low, got.high) == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_the_width_agrees_with_scipys_bootstrap_over_questions_where_hits_abound():
    draw = np.random.default_rng(12)
    totals = draw.integers(3, 9, 60)
    hits = draw.binomial(totals, draw.beta(1.2, 1.8, 60))
    ours = clustered_rate(hits.tolist(), totals.tolist())
    theirs = scipy.stats.bootstrap(
        (hits, totals), lambda h, t, axis: h.sum(axis) / t.sum(axis), paired=True, n_resamples=20_000, rng=5
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.012)
    assert ours.high == pytest.approx(theirs.high, abs=0.012)


def test_answers_to_one_question_are_not_taken_as_independent():
    # Ten questions of ten answers that always agree: ten observations, not a hundred.
    got = clustered_rate([10, 0] * 5, [10] * 10)
    # Wilson on nine (the variance of ten has nine degrees of freedom) observations, not on a hundred.
    low, high = wilson(0.5, 9)
    assert (got.low, got.high) == pytest.approx((low, high), abs=1e-6)


def test_questions_without_answers_are_left_out():
    with_gaps = clustered_rate([0, 3, 0, 1], [4, 4, 0, 2])
    assert with_gaps == clustered_rate([0, 3, 1], [4, 4, 2])
    assert with_gaps.clusters == 3


@pytest.mark.parametrize(("hits", "totals"), [([], []), ([0, 0], [0, 0])])
def test_rate_of_nothing_observed_is_none(hits, totals):
    assert clustered_rate(hits, totals) is None


@pytest.mark.parametrize("all_hit", [False, True])
@pytest.mark.parametrize(("questions", "answers"), [(1, 1), (30, 1), (12, 4), (40, 4)])
def test_rate_of_no_hit_or_only_hits_is_wilson_on_the_effective_sample_size(all_hit, questions, answers):
    totals = [answers] * questions
    got = clustered_rate(totals if all_hit else [0] * questions, totals)
    effective = questions * answers / (1 + (answers - 1) * 0.5)
    # Wilson's bound for no hit is z^2 / (n + z^2).
    z2 = scipy.stats.norm.ppf(0.975) ** 2
    far = z2 / (effective + z2)
    assert (got.low, got.high) == pytest.approx((1 - far, 1.0) if all_hit else (0.0, far), abs=1e-9)
    assert got.value == float(all_hit)
    assert f"{effective:.1f} effective" in got.method and "design effect" in got.method


@pytest.mark.parametrize(
    ("hits", "totals"),
    [
        pytest.param([3], [10], id="one question"),
        pytest.param([1, 1], [2, 2], id="two questions alike"),
        pytest.param([1] * 5, [4] * 5, id="five questions alike"),
    ],
)
def test_a_rate_seen_in_few_answers_has_an_interval_with_some_width(hits, totals):
    # Even answers that were all independent would leave a Wilson interval; the clustered one cannot be a third of it.
    low, high = wilson(sum(hits) / sum(totals), sum(totals))
    got = clustered_rate(hits, totals)
    assert got.high - got.low >= (high - low) / 3


@pytest.mark.parametrize("answers", [1, 4])
def test_the_upper_bound_does_not_fall_when_a_first_hit_is_seen(answers):
    totals = [answers] * 40
    none, one = (clustered_rate([hits] + [0] * 39, totals) for hits in (0, 1))
    assert one.high >= none.high


def test_rate_interval_covers_the_truth_about_95_times_in_100():
    # 40 questions of 4 answers, a rate of 0.2 that varies from question to question (intraclass correlation 0.2).
    draw = np.random.default_rng(4)
    runs = []
    for _ in range(300):
        hits = draw.binomial(4, draw.beta(0.8, 3.2, 40))
        runs.append(clustered_rate(hits.tolist(), [4] * 40))
    assert 0.89 <= covered(runs, 0.2) <= 0.985


def test_the_interval_of_a_rare_rate_covers_the_truth():
    # Two in a hundred answers, 40 questions of 4: what a harmless model looks like.
    draw = np.random.default_rng(5)
    runs = [clustered_rate(draw.binomial(4, 0.02, 40).tolist(), [4] * 40) for _ in range(400)]
    assert covered(runs, 0.02) >= 0.9


# ---------------------------------------------------------------- difference of two rates

OTHER_HITS = [1, 2, 0, 3, 1, 1, 2, 0]
OTHER_TOTALS = [4, 4, 3, 4, 4, 4, 4, 1]


def test_difference_is_first_rate_minus_other():
    got = clustered_rate_difference(HITS, TOTALS, OTHER_HITS, OTHER_TOTALS)
    assert got.value == pytest.approx(11 / 29 - 10 / 28)
    assert (got.n, got.clusters) == (57, 8)
    assert got.low < got.value < got.high


def test_difference_uses_that_both_sides_answered_the_same_questions():
    # The questions differ much, the sides hardly; as unpaired samples the interval would be over twice as wide.
    hits, other, totals = [9, 1] * 8, [8, 1] * 8, [10] * 16
    got = clustered_rate_difference(hits, totals, other, totals)
    apart = newcombe(clustered_rate(hits, totals), clustered_rate(other, totals))
    assert got.half_width < 0.5 * (apart[1] - apart[0]) / 2


def test_difference_of_paired_rates_agrees_with_scipys_paired_bootstrap_where_hits_abound():
    draw = np.random.default_rng(3)
    base = draw.beta(2, 3, 80)
    hits, other, totals = draw.binomial(6, base * 0.9 + 0.1), draw.binomial(6, base), np.full(80, 6)
    ours = clustered_rate_difference(hits.tolist(), totals.tolist(), other.tolist(), totals.tolist())
    theirs = scipy.stats.bootstrap(
        (hits, other), lambda h, g, axis: (h.sum(axis) - g.sum(axis)) / 480, paired=True, n_resamples=20_000, rng=5
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_difference_leaves_out_questions_seen_on_one_side_only():
    got = clustered_rate_difference([2, 9, 1, 0], [4, 9, 4, 0], [1, 0, 2, 5], [4, 0, 4, 5])
    assert got == clustered_rate_difference([2, 1], [4, 4], [1, 2], [4, 4])
    assert got.clusters == 2


@pytest.mark.parametrize(
    ("totals", "other_totals"), [([], []), ([4, 0], [0, 4]), ([0, 0], [4, 4])], ids=["empty", "disjoint", "one side"]
)
def test_difference_without_a_question_on_both_sides_is_none(totals, other_totals):
    zeros = [0] * len(totals)
    assert clustered_rate_difference(zeros, totals, zeros, other_totals) is None


def newcombe(one, two):
    """Square-and-add (Newcombe 1998, method 10), written out from the two sides' estimates."""
    d = one.value - two.value
    low = d - math.sqrt((one.value - one.low) ** 2 + (two.high - two.value) ** 2)
    high = d + math.sqrt((one.high - one.value) ** 2 + (two.value - two.low) ** 2)
    return low, high


@pytest.mark.parametrize(
    ("hits", "other"),
    [
        pytest.param([0] * 8, [0] * 8, id="none on both sides"),
        pytest.param([0] * 8, [4] * 8, id="none against all"),
        pytest.param([1, 0, 2, 4, 0, 1, 3, 0], [0] * 8, id="some against none"),
        pytest.param([4] * 8, [1, 0, 2, 4, 0, 1, 3, 0], id="all against some"),
    ],
)
def test_difference_with_a_side_of_no_hit_or_only_hits_is_square_and_add(hits, other):
    totals = [4] * 8
    got = clustered_rate_difference(hits, totals, other, totals)
    assert (got.low, got.high) == pytest.approx(
        newcombe(clustered_rate(hits, totals), clustered_rate(other, totals)), abs=1e-9
    )
    assert got.value == pytest.approx((sum(hits) - sum(other)) / 32)
    assert got.low <= got.value <= got.high and got.high - got.low > 0.1
    assert "square-and-add" in got.method


@pytest.mark.parametrize(
    "hits",
    [
        pytest.param([1] + [0] * 9, id="the same single hit"),
        pytest.param([2, 0, 1, 3, 0, 0, 4, 1, 0, 2], id="same hits"),
    ],
)
def test_a_difference_of_equal_counts_has_an_interval_with_some_width(hits):
    # Both sides are samples: that they agree question by question in one run does not make the difference certain.
    totals = [4] * 10
    got = clustered_rate_difference(hits, totals, hits, totals)
    assert got.value == 0
    assert got.high - got.low >= 0.03


def test_a_difference_seen_in_one_question_has_an_interval_with_some_width():
    got = clustered_rate_difference([3], [10], [1], [10])
    assert got.high - got.low >= 0.2


def test_difference_interval_covers_the_truth_about_95_times_in_100():
    # 40 questions of 4 answers; the same questions are hard on both sides.
    draw = np.random.default_rng(8)
    runs = []
    for _ in range(300):
        base = draw.beta(0.8, 7.2, 40)
        hits, other = draw.binomial(4, base + 0.15), draw.binomial(4, base)
        runs.append(clustered_rate_difference(hits.tolist(), [4] * 40, other.tolist(), [4] * 40))
    assert 0.89 <= covered(runs, 0.15) <= 0.985


def test_difference_of_two_rare_equal_rates_covers_zero():
    # The usual case of a harmless fine-tune: a misaligned answer in fifty on both sides.
    draw = np.random.default_rng(9)
    runs = []
    for _ in range(300):
        hits, other = draw.binomial(4, 0.02, 40), draw.binomial(4, 0.02, 40)
        runs.append(clustered_rate_difference(hits.tolist(), [4] * 40, other.tolist(), [4] * 40))
    assert covered(runs, 0.0) >= 0.9


# ---------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    "estimate",
    [
        lambda seed: stratified_mean([0.1, 0.9, 0.4, 2.2, 7.0], ["a", "a", "b", "b", "b"], seed),
    ],
    ids=["mean"],
)
def test_the_same_seed_gives_the_same_interval_and_other_seeds_nearly_the_same(estimate):
    assert estimate(1) == estimate(1)
    others = {(estimate(s).low, estimate(s).high) for s in range(12)}
    assert len(others) > 1
    spread = max(low for low, _ in others) - min(low for low, _ in others)
    assert spread < 0.15 * estimate(1).half_width


# ---------------------------------------------------------------- AUROC and times_more


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auroc_is_mann_whitneys_u_over_all_pairs(positive, negative):
    u = scipy.stats.mannwhitneyu(positive, negative, method="asymptotic").statistic
    assert auroc(positive, negative) == pytest.approx(u / (len(positive) * len(negative)))


def test_auroc_of_an_empty_side_is_not_a_number():
    assert math.isnan(auroc([], [1.0])) and math.isnan(auroc([1.0], []))


def test_times_more_is_how_many_times_the_data_bring_the_bound_to_the_margin():
    values = np.random.default_rng(3).normal(size=40)
    values = (values - values.mean()) / values.std() + 0.05
    few = stratified_mean(values.tolist(), ["s"] * 40, seed=0)
    margin = 0.05 + 1.96 / math.sqrt(40) / 2
    assert times_more(few, margin) == pytest.approx(4, rel=0.1)
    # Four times as many values of the same mean and spread: the interval ends at the margin.
    many = stratified_mean(np.tile(values, 4).tolist(), ["s"] * 160, seed=0)
    assert many.high == pytest.approx(margin, abs=0.05 * (margin - 0.05))


def test_times_more_on_the_margin_is_infinite():
    assert math.isinf(times_more(Estimate(0.1, 0.0, 0.2, 4, 4, "m"), 0.1))


@pytest.mark.parametrize("n", [1, 7, 1000, 12_345])
def test_wilsons_interval_holds_its_rate_at_the_edges(n):
    assert wilson(0.0, n)[0] == 0.0 and wilson(1.0, n)[1] == 1.0
