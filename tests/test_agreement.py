"""Krippendorff's alpha against published examples and by its definition over pairs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.agreement import interval_agreement, nominal_agreement

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C: four observers, twelve units, gaps.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = list(zip(*OBSERVERS, strict=True))


def words(units):
    return [[None if value is None else f"w{value}" for value in unit] for unit in units]


def test_the_published_nominal_example():
    got = nominal_agreement(words(UNITS))
    assert got.alpha == pytest.approx(0.743, abs=5e-4)
    # The last unit has one rating, which cannot agree with anything.
    assert (got.units, got.level) == (11, "nominal")


def test_the_published_interval_example():
    got = interval_agreement(UNITS)
    assert got.alpha == pytest.approx(0.849, abs=5e-4)
    assert (got.units, got.level) == (11, "interval")


def test_two_observers_of_yes_and_no_as_published():
    # Example A of the same paper: ten units, six agreements, alpha 0.095.
    one, two = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    pairs = list(zip(one, two, strict=True))
    assert nominal_agreement(words(pairs)).alpha == pytest.approx(0.095, abs=5e-4)
    # With two values the squared distance is that of words.
    assert interval_agreement(pairs).alpha == pytest.approx(nominal_agreement(words(pairs)).alpha, abs=1e-12)


def by_pairs(units, distance):
    """Observed over expected disagreement, every ordered pair of ratings written out."""
    rows = [[v for v in unit if v is not None] for unit in units]
    rows = [r for r in rows if len(r) > 1]
    values = [v for r in rows for v in r]
    observed = sum(sum(distance(a, b) for a, b in permutations(r, 2)) / (len(r) - 1) for r in rows) / len(values)
    expected = sum(distance(a, b) for a, b in permutations(values, 2)) / (len(values) * (len(values) - 1))
    return None if expected == 0 else 1 - observed / expected


ROWS = st.lists(st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=3, max_size=3), min_size=2, max_size=8)


@given(ROWS)
def test_both_levels_are_the_definition_over_all_pairs(units):
    if sum(sum(v is not None for v in unit) > 1 for unit in units) == 0:
        return
    for found, expected in (
        (nominal_agreement(words(units)).alpha, by_pairs(units, lambda a, b: a != b)),
        (interval_agreement(units).alpha, by_pairs(units, lambda a, b: (a - b) ** 2)),
    ):
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_the_package_of_that_name_agrees_where_it_is_installed():
    package = pytest.importorskip("krippendorff", reason="GPL-3, so never installed with spillover")
    data = np.array([[np.nan if v is None else v for v in row] for row in OBSERVERS], dtype=float)
    for level, found in (("nominal", nominal_agreement(words(UNITS))), ("interval", interval_agreement(UNITS))):
        assert found.alpha == pytest.approx(package.alpha(data, level_of_measurement=level), abs=1e-12)


@pytest.mark.parametrize(
    "units", [[], [["a", None]], [["a", "a"], ["a", "a"]]], ids=["none", "one rating", "all equal"]
)
def test_without_two_ratings_or_any_variation_there_is_no_alpha(units):
    assert nominal_agreement(units).alpha is None
    numbers = [[None if v is None else 50.0 for v in unit] for unit in units]
    assert interval_agreement(numbers).alpha is None


def test_scores_of_thousands_of_answers_need_no_table_of_values():
    draw = np.random.default_rng(0)
    truth = draw.uniform(0, 100, 20_000)
    units = np.stack([truth + draw.normal(0, 10, 20_000), truth + draw.normal(0, 10, 20_000)], axis=1)
    # Error variance over total variance: 100 / (100 + 100^2 / 12).
    assert interval_agreement(units.tolist()).alpha == pytest.approx(1 - 100 / (100 + 10_000 / 12), abs=0.01)
