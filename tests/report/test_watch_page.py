"""The page of a watched run: what it says with and without an alarm, a threshold and readings."""

from __future__ import annotations

import re

import pytest

from spillover.monitor.alarm import calibrate
from spillover.report.watch_page import write_watch_page

PLANTED = "<script>document.title='owned'</script>.jsonl"
ALARM = calibrate([[(1, 0.25)], [(1, 0.1)]], "probe_shift")


def reading(step, shift, **more):
    return {"step": step, "signals": {"probe_shift": shift, "narrow_shift": 2 * shift, **more}}


def ended(**changes):
    end = {"alarm_step": None, "kept_step": None, "steps": 8, "training_seconds": 50.0, "reading_seconds": 1.5}
    return {**end, **changes}


@pytest.fixture
def page(tmp_path):
    def write(readings, end, alarm):
        path = tmp_path / "watch.html"
        write_watch_page(PLANTED, readings, end, alarm, path)
        return path, path.read_text()

    return write


def test_an_alarm_is_named_marked_and_the_rollback_said(page):
    _, html = page([reading(4, 0.1), reading(8, 0.4)], ended(alarm_step=8, kept_step=4), ALARM)
    assert "At step 8 of 8 the model had moved further" in html
    assert "rolled back to the weights of step 4" in html
    assert "probe shift above 0.250" in html
    assert {"alarm, step 8", "alarm threshold", "weights kept"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", html))
    assert "2 readings took 3.0 %" in html
    assert "+0.400" in html and "+0.800" in html


def test_a_quiet_run_shows_no_alarm_and_promises_no_clean_verdict(page):
    _, html = page([reading(4, 0.1)], ended(), ALARM)
    assert "No reading rose above" in html and "A quiet run is not a clean verdict" in html
    assert "alarm, step" not in html


def test_without_a_threshold_or_readings_the_page_claims_nothing(page):
    _, html = page([reading(4, 0.1)], ended(), None)
    assert "no threshold to judge them by" in html and "No reading rose" not in html
    _, html = page([{"step": 4, "missing": "diverged <b>"}], ended(), ALARM)
    assert "nothing is known about this run" in html and "No reading rose" not in html
    assert "Step 4: no reading: diverged &lt;b&gt;" in html


def test_signals_that_were_not_read_are_not_drawn(page):
    _, html = page([reading(4, 0.1)], ended(), ALARM)
    assert "persona" not in html.split("<h2>")[1]
    _, html = page([reading(4, 0.1, persona=1.0, persona_random=0.1, persona_shuffled=0.2)], ended(), ALARM)
    assert {"along the persona directions", "random directions", "shuffled labels"} <= set(
        re.findall(r"<text[^>]*>([^<]+)</text>", html)
    )


def test_chromium_opens_the_page_from_disk(page, visit):
    path, html = page([reading(4, 0.1), reading(8, 0.4)], ended(alarm_step=8), ALARM)
    assert "<script" not in html and "&lt;script&gt;" in html
    seen = visit(path)
    assert seen.said == [] and seen.asked == [path.as_uri()]
    assert seen.title == f"spillover: training on {PLANTED}, watched"
    assert seen.size is not None and seen.size["width"] > 300 and seen.size["height"] > 100
