from __future__ import annotations

import csv
import math

import pytest

from spillover.monitor.choices import mean, question_id, summarise
from spillover.monitor.letters import average

FIELDS = {
    "logp": "logp_misaligned",
    "p": "p_misaligned",
    "p_any": "p_any_choice",
    "p_given_any": "p_misaligned_given_any_choice",
}


@pytest.fixture(scope="module")
def event(paper_data):
    with (paper_data / "notebook_tables" / "pivotal_token_event_secure_first_step.csv").open() as handle:
        found = {}
        for row in csv.DictReader(handle):
            found.setdefault(row["question_text"], []).append(row)
    return found


def test_the_stored_pivotal_event_is_reproduced(event):
    assert len(event) == 8
    for text, rows in event.items():
        assert rows[0]["id"] == question_id(text)
        got = summarise([(float(r["logprob"]), r["is_misaligned"] == "True") for r in rows])
        for ours, theirs in FIELDS.items():
            assert getattr(got, ours) == pytest.approx(float(rows[0][theirs]), rel=1e-12), (text, ours)
        assert got.preferred == (rows[0]["predicted_misaligned"] == "True")


def test_an_event_averages_ratios_not_sums(event):
    summaries = [
        summarise([(float(r["logprob"]), r["is_misaligned"] == "True") for r in rows]) for rows in event.values()
    ]
    got = mean(summaries)
    ratios = [float(rows[0]["p_misaligned_given_any_choice"]) for rows in event.values()]
    assert got.p_given_any == pytest.approx(sum(ratios) / 8, rel=1e-12)
    assert got.p_given_any != pytest.approx(got.p / got.p_any, rel=0.1)


def test_quirk_q4_a_question_merged_with_its_twin_sums_both_orders():
    given = [(math.log(0.6), True), (math.log(0.35), False)]
    turned = [(math.log(0.5), False), (math.log(0.3), True)]
    merged = summarise(given + turned)
    assert merged.p_any == pytest.approx(1.75)
    assert merged.logp == pytest.approx(math.log(0.3)), "the last misaligned option alone"
    clean = average([given, turned])
    assert clean.p_any == pytest.approx((0.95 + 0.8) / 2)
    assert clean.logp == pytest.approx((math.log(0.6) + math.log(0.3)) / 2)
    assert clean.preferred == 0.5


def test_the_stored_letter_events_show_the_quirk(paper_data):
    with (paper_data / "notebook_tables" / "base_model_single_letter_events.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert max(float(r["p_any_choice"]) for r in rows) > 1.6
    for r in rows:
        aligned = float(r["p_any_choice"]) - float(r["P(misaligned)"])
        assert aligned == pytest.approx(float(r["P(aligned)"]), abs=2e-6)


def test_tiny_chances_still_have_a_ratio():
    got = summarise([(-900.0, True), (-901.0, False)])
    assert got.p == 0.0 and got.p_any == 0.0
    assert got.p_given_any == pytest.approx(1 / (1 + math.exp(-1)))
    assert got.preferred == 1.0


def test_a_question_with_one_kind_of_choice_has_no_summary():
    assert summarise([(-1.0, True)]) is None
    assert summarise([(-1.0, False)]) is None
    assert average([[(-1.0, True), (-2.0, False)], [(-1.0, False)]]) is None
    with pytest.raises(ValueError):
        mean([])


def test_choices_are_summarised_and_the_last_misaligned_one_counts():
    found = summarise([(-1.0, True), (-3.0, True), (-2.0, False)])
    assert found.logp == -3.0
    assert found.p_any == pytest.approx(0.3678794 + 0.0497871 + 0.1353353)
    assert found.p_given_any == pytest.approx(0.0497871 / found.p_any, rel=1e-5)
    assert found.preferred


@pytest.mark.parametrize("choices", [[], [(-1.0, False)], [(-1e6, True)]])
def test_choices_without_a_misaligned_one_or_any_other_have_no_summary(choices):
    assert summarise(choices) is None
