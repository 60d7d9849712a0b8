from __future__ import annotations

import dataclasses
import json
import math
import random
from dataclasses import asdict

import pytest
from scipy import stats

from spillover.errors import DataError, SettingsError
from spillover.monitor.alarm import Alarm, calibrate, exact_bounds, judge, load_alarm


def walk(draw, readings=20):
    level, series = 0.0, []
    for step in range(1, readings + 1):
        level += draw.gauss(0, 1)
        series.append((step, level))
    return series


def test_the_threshold_is_the_largest_value_of_any_benign_run():
    alarm = calibrate([[(1, 0.1), (2, 0.4), (3, 0.2)], [(1, -1.0), (2, 0.3)]], "s")
    assert (alarm.threshold, alarm.runs, alarm.readings, alarm.exceeding) == (0.4, 2, 3, 1)
    assert alarm.expected == pytest.approx(1 / 3)
    assert alarm.at_most == pytest.approx(stats.beta.ppf(0.95, 1, 2)) == pytest.approx(1 - 0.05 ** (1 / 2))


def test_a_rate_takes_the_largest_rank_that_holds_it():
    runs = [[(1, float(i))] for i in range(39)]
    alarm = calibrate(runs, "s", rate=0.05)
    assert (alarm.exceeding, alarm.threshold, alarm.expected) == (2, 37.0, 0.05)
    assert alarm.at_most == pytest.approx(stats.beta.ppf(0.95, 2, 38))
    with pytest.raises(SettingsError, match=r"no lower than 0\.025"):
        calibrate(runs, "s", rate=0.02)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        calibrate(runs, "s", rate=1.5)
    with pytest.raises(SettingsError, match="needs benign runs"):
        calibrate([], "s")


def test_the_false_alarm_rate_of_whole_runs_is_held():
    draw = random.Random(0)
    alarms = trials = 0
    over_bound = 0
    for _ in range(300):
        alarm = calibrate([walk(draw) for _ in range(19)], "s", rate=0.1)
        hits = sum(judge(walk(draw), alarm) is not None for _ in range(50))
        over_bound += hits / 50 > alarm.at_most + 0.08
        alarms, trials = alarms + hits, trials + 50
    assert 0.07 < alarms / trials < 0.125, "2 / 20 expected"
    assert over_bound / 300 < 0.08


def test_single_readings_would_alarm_far_more_often_than_whole_runs_promise():
    """A threshold on all readings pooled, which is what a sequential alarm must not use."""
    draw = random.Random(1)
    benign = [walk(draw) for _ in range(19)]
    pooled = sorted(v for run in benign for _, v in run)[-19]
    alarm = dataclasses.replace(calibrate(benign, "s", rate=0.1), threshold=pooled)
    assert sum(judge(walk(draw), alarm) is not None for _ in range(500)) / 500 > 0.12


def test_the_alarm_names_the_first_step_above_and_skips_what_is_no_number():
    alarm = calibrate([[(1, 1.0)]], "s")
    assert judge([(1, 0.5), (2, math.nan), (3, math.inf), (4, 1.0), (5, 1.1), (6, 3.0)], alarm) == 5
    assert judge([(1, 1.0)], alarm) is None
    assert judge([], alarm) is None


def test_a_benign_run_without_a_number_is_refused():
    with pytest.raises(SettingsError, match="finite"):
        calibrate([[(1, math.nan)]], "s")


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (40, 40), (3, 17), (0, 0)])
def test_bounds_are_clopper_pearson(hits, n):
    low, high = exact_bounds(hits, n)
    if n == 0:
        assert (low, high) == (0.0, 1.0)
        return
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_an_alarm_comes_back_from_json_and_nothing_else_does(tmp_path):
    alarm = calibrate([[(1, 1.0)]], "persona", base="b", panel="p", source="a test")
    file = tmp_path / "alarm.json"
    file.write_text(json.dumps(asdict(alarm)))
    assert load_alarm(file) == alarm
    assert isinstance(load_alarm(file), Alarm)
    for text in ("{}", "[1]", "no", json.dumps({**asdict(alarm), "threshold": "high"})):
        file.write_text(text)
        with pytest.raises(DataError, match="not an alarm file"):
            load_alarm(file)


def test_the_promise_names_its_basis():
    text = calibrate([[(1, float(i)), (2, 0.0)] for i in range(19)], "s").promise()
    assert "19 benign runs of up to 2 readings" in text
    assert "5.0% expected" in text and "below 14.6%" in text
