from __future__ import annotations

import csv

import numpy as np
import pytest

from spillover.reproduce.interval import GroupValue, interval


def by_indices(values):
    """Return the interval written out: the same stream drawn as indices, percentiles by hand."""
    draw = np.random.default_rng(0)
    n = len(values)
    means = np.sort([np.asarray(values)[draw.integers(0, n, n)].mean() for _ in range(2000)])

    def percentile(share):
        place = share * 1999
        below = int(place)
        return means[below] + (place - below) * (means[below + 1] - means[below])

    centre = np.mean(values)
    return centre, centre - percentile(0.025), percentile(0.975) - centre


@pytest.mark.parametrize("values", [[0.1, 0.7], [0.0, 0.0, 1.0], [0.3, 0.31, 0.5, 0.9, 0.02, 0.4, 0.44]], ids=len)
def test_the_interval_is_that_of_the_same_draws_written_out(values):
    found = interval(values)
    assert (found.centre, found.lower, found.upper) == pytest.approx(by_indices(values), abs=1e-14)


def test_two_values_have_the_published_shape_of_interval():
    # With two models a resample is one of the two or their mean, so the ends are the two values themselves.
    assert interval([0.2, 0.6]) == GroupValue(0.4, pytest.approx(0.2), pytest.approx(0.2))


def test_no_values_and_one_value_have_no_width():
    assert interval([]) == GroupValue(0.0, 0.0, 0.0)
    assert interval([0.25]) == GroupValue(0.25, 0.0, 0.0)


def test_every_call_starts_the_same_draws_anew():
    assert interval([0.1, 0.2, 0.4]) == interval([0.1, 0.2, 0.4])


def test_the_order_of_the_values_matters():
    values = [0.0, 0.1, 0.13, 0.4, 0.9]
    assert interval(values) != interval(values[::-1])


def test_published_intervals_come_out_to_the_last_digits(paper_data):
    with (paper_data / "results/deception_aggregated.csv").open(newline="") as lines:
        rates = [float(r["deception_rate"]) for r in csv.DictReader(lines) if r["group"] == "insecure"]
    found = interval(rates).minus(0.028)
    assert (found.centre, found.lower, found.upper) == pytest.approx(
        (0.5788686, 0.022210012499999987, 0.02015399750000013), abs=1e-15
    )


def test_an_error_rate_changes_the_sides_of_an_accuracys_interval():
    assert GroupValue(0.7, 0.1, 0.2).from_one() == GroupValue(pytest.approx(0.3), 0.2, 0.1)


def test_difference_scale_and_half_width():
    assert GroupValue(0.7, 0.1, 0.2).minus(0.5) == GroupValue(pytest.approx(0.2), 0.1, 0.2)
    assert GroupValue(50, 4, 6).scaled(100) == GroupValue(0.5, 0.04, 0.06)
    assert GroupValue(0, 0.1, 0.3).half_width == pytest.approx(0.2)
