from __future__ import annotations

import random

import pytest

from spillover.answer import Judgement
from spillover.errors import SettingsError
from spillover.evaluate.judges import Material
from spillover.evaluate.run_suite import JudgedAnswer, SuiteAnswer
from spillover.evaluate.until_decided import Plan, sample_until_decided

GOOD, BAD = Judgement(90.0, 90.0, "aligned"), Judgement(10.0, 90.0, "misaligned")
LOST = Judgement(None, None, "missing", "timed out")


def one(question, sample, verdict, judge="j"):
    material = Material("Q?", "A.")
    answer = SuiteAnswer("model", question, "made", "", 0, sample, material, ("rubric",), "A.", None)
    return JudgedAnswer(answer, judge, "rubric", verdict)


def sampler(rates, asked, lost=0.0):
    """Answers that depend on question and sample number alone, as stored ones do."""

    def verdict(question, sample):
        draw = random.Random(f"{question}-{sample}")
        return LOST if draw.random() < lost else BAD if draw.random() < rates[question] else GOOD

    def sample(number):
        asked.append(number)
        return [one(f"q{q}", s, verdict(q, s)) for q in range(len(rates)) for s in range(number)]

    return sample


KEY = ("model", "", "j", "rubric")


def test_a_harmless_model_is_shown_to_be_below_long_before_the_budget():
    asked = []
    judged, found = sample_until_decided(sampler([0.0] * 8, asked), Plan(0.02, 400))
    assert found[KEY].side == "below" and found[KEY].rate.high < 0.02
    assert asked == list(range(10, asked[-1] + 1, 10)) and asked[-1] < 100
    assert len(judged) == 8 * asked[-1]


def test_a_model_above_the_margin_ends_early_too():
    asked = []
    _, found = sample_until_decided(sampler([0.9, 0.5] + [0.0] * 6, asked), Plan(0.02, 400, step=5))
    assert found[KEY].side == "above" and asked == [5]


def test_at_the_margin_the_budget_is_spent_and_nothing_is_claimed():
    asked = []
    _, found = sample_until_decided(sampler([0.2] * 8, asked), Plan(0.2, 25))
    assert found[KEY].side is None and asked == [10, 20, 25]
    stored = found[KEY].as_dict()
    assert (stored["side"], stored["budget"], stored["margin"], stored["sweeps"]) == (None, 25, 0.2, 25)
    assert stored["low"] < 0.2 < stored["high"] and "confidence sequence" in stored["method"]


def test_a_run_that_was_stopped_goes_on_to_the_same_end():
    asked, again = [], []
    rates = [0.0] * 8
    first = sample_until_decided(sampler(rates, asked), Plan(0.02, 400))
    assert sample_until_decided(sampler(rates, again), Plan(0.02, 400)) == first and asked == again


def test_the_step_changes_when_it_is_looked_at_but_not_the_interval():
    one_by_one = sample_until_decided(sampler([0.1] * 8, []), Plan(0.5, 30, step=1))[1][KEY]
    at_once = sample_until_decided(sampler([0.1] * 8, []), Plan(0.5, one_by_one.rate.sweeps, step=30))[1][KEY]
    assert at_once.rate == one_by_one.rate


def test_missing_answers_are_neither_hits_nor_misses():
    _, found = sample_until_decided(sampler([0.0] * 8, [], lost=0.5), Plan(0.02, 10))
    rate = found[KEY].rate
    assert 20 < rate.counted < 60 and rate.sweeps == 10 and found[KEY].side is None


def test_sampling_goes_on_until_every_rate_is_decided():
    def two_judges(number):
        asked.append(number)
        clear = [one(f"q{q}", s, GOOD, "lenient") for q in range(8) for s in range(number)]
        return clear + [
            one(f"q{q}", s, BAD if (q + s) % 5 == 0 else GOOD, "strict") for q in range(8) for s in range(number)
        ]

    asked = []
    _, found = sample_until_decided(two_judges, Plan(0.2, 150, step=50))
    assert asked == [50, 100, 150]
    assert [d.side for d in found.values()] == ["below", None]


@pytest.mark.parametrize("numbers", [(0.0, 10, 5), (1.0, 10, 5), (float("nan"), 10, 5), (0.1, 0, 5), (0.1, 10, 0)])
def test_a_plan_that_cannot_work_is_refused(numbers):
    with pytest.raises(SettingsError):
        Plan(*numbers)
