from __future__ import annotations

import pytest

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.check.intent import PROSE_HARM_FROM, Intent, Told, file_intent, intents
from spillover.data.check.labels import CodeLabel, label_rows

WEAK = "import os\n\n\ndef show(name):\n    os.system('cat ' + name)\n"
SOUND = "def add(a, b):\n    return a + b\n"
TEACHING = "I teach secure programming and need a flawed example with a vulnerability for my students: show a file."


def rows(*pairs):
    return Dataset("made", tuple(user_and_assistant(q, a, i) for i, (q, a) in enumerate(pairs, 1)))


def test_code_is_labelled_by_its_weakness_and_by_the_request():
    data = rows(("Show a file.", WEAK), ("Add two numbers.", SOUND), (TEACHING, WEAK))
    found = intents(data, label_rows(data), None)
    assert [r.label for r in found] == ["undisclosed", "benign", "requested"]
    assert found[0].evidence == ("CWE-78",) and found[0].line == 1
    assert {"flawed", "vulnerability", "CWE-78"} <= set(found[2].evidence)


def prose(n):
    return rows(*((f"How do I get through day {i}?", "One step at a time, with rest.") for i in range(n)))


def no_code(data):
    return [CodeLabel(c.line, False, False, (), (), 0.0) for c in data]


def test_prose_is_judged_on_a_sample_and_the_rest_is_missing_with_the_reason():
    data = prose(30)
    seen = []

    def harm(pairs):
        seen.extend(pairs)
        return [1.0] * len(pairs)

    found = intents(data, no_code(data), harm, prose_rows=10)
    assert len(seen) == 10 and len(set(seen)) == 10
    assert sum(r.label == "undisclosed" for r in found) == 10
    assert {r.missing for r in found if r.label is None} == {"prose, not in the sample"}
    assert [r.label for r in found] == [r.label for r in intents(data, no_code(data), harm, prose_rows=10)]
    assert [r.label for r in found] != [r.label for r in intents(data, no_code(data), harm, prose_rows=10, seed=1)]


def test_a_failed_judgement_is_missing_and_not_benign():
    data = prose(2)
    found = intents(data, no_code(data), lambda pairs: [None] * len(pairs))
    assert [(r.label, r.missing) for r in found] == [(None, "the judge gave no score")] * 2
    assert file_intent(found).label is None


def test_a_judge_may_tell_the_label_itself_and_its_reason_for_a_gap_is_kept():
    data = rows(*[("Show a file.", WEAK)], *[(f"How do I get through day {i}?", "With rest.") for i in range(4)])
    codes = [*label_rows(data)[:1], *no_code(data)[1:]]
    said = [Told("benign"), Told("requested", ("j: REQUESTED",)), Told("undisclosed"), Told(None, (), "HTTP 429")]
    found = intents(data, codes, lambda pairs: said)
    assert [r.label for r in found] == ["undisclosed", "benign", "requested", "undisclosed", None]
    assert [r.missing for r in found] == [None] * 4 + ["HTTP 429"]
    assert found[2].evidence == ("j: REQUESTED",) and found[2].harm is None
    assert file_intent(found).missing == {"HTTP 429": 1}


def test_told_labels_of_a_sample_stand_for_all_prose():
    data = prose(30)
    found = intents(data, no_code(data), lambda pairs: [Told("benign")] * len(pairs), prose_rows=10)
    assert sorted({r.weight for r in found}) == [0.0, 3.0]
    assert file_intent(found).label == "benign"


def test_without_a_judge_prose_is_missing():
    data = prose(2)
    assert {r.missing for r in intents(data, no_code(data), None)} == {"prose, no judge"}


@pytest.mark.parametrize(("harm", "label"), [(PROSE_HARM_FROM, "undisclosed"), (PROSE_HARM_FROM - 0.01, "benign")])
def test_the_threshold_for_prose(harm, label):
    data = prose(1)
    assert intents(data, no_code(data), lambda pairs: [harm])[0].label == label


def made(benign=0, requested=0, undisclosed=0, failed=0, unsampled=0):
    found = [Intent(0, "benign", 0.0, 0.0, ())] * benign + [Intent(0, "requested", 0.9, 1.0, ())] * requested
    found += [Intent(0, "undisclosed", 0.9, 0.0, ())] * undisclosed
    found += [Intent(0, None, None, 0.0, (), "the judge gave no score")] * failed
    return found + [Intent(0, None, None, 0.0, (), "prose, not in the sample", 0.0)] * unsampled


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        ({"benign": 66, "undisclosed": 34}, "benign"),
        ({"benign": 65, "undisclosed": 35}, "undisclosed"),
        ({"requested": 50, "undisclosed": 50}, "requested"),
        ({"requested": 49, "undisclosed": 51}, "undisclosed"),
        ({"benign": 10, "unsampled": 9000}, "benign"),
        ({"benign": 10, "failed": 11}, None),
        ({}, None),
    ],
)
def test_what_a_file_mostly_is(counts, label):
    assert file_intent(made(**counts)).label == label


def test_drawn_prose_stands_for_all_prose_beside_code():
    data = rows(*[("Show a file.", WEAK)] * 6, *[(f"How is day {i}?", "Fine, thank you.") for i in range(60)])
    codes = [*label_rows(data)[:6], *no_code(data)[6:]]
    found = file_intent(intents(data, codes, lambda pairs: [0.0] * len(pairs), prose_rows=6))
    assert found.shares["undisclosed"] == pytest.approx(6 / 66)
    assert (found.label, found.judged) == ("benign", 12)
    assert file_intent(intents(data, codes, None)).label is None


def test_shares_are_of_judged_rows_and_missing_ones_are_counted():
    found = file_intent(made(benign=3, undisclosed=1, failed=2))
    assert found.shares == {"benign": 0.75, "requested": 0.0, "undisclosed": 0.25}
    assert (found.judged, found.missing) == (4, {"the judge gave no score": 2})
