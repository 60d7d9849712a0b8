from __future__ import annotations

import csv
import json

import pytest

from spillover.errors import DataError
from spillover.reproduce import judge
from spillover.reproduce.counts import misaligned_and_kept
from spillover.reproduce.paper_data import PaperData
from spillover.reproduce.row import Check, Known, compared, compared_print
from spillover.reproduce.table import number, write


def test_a_value_within_the_tolerance_is_equal_and_outside_off():
    assert compared("1", "w", "g", 0.2, 0.3, 0.11).status == "equal"
    assert compared("1", "w", "g", 0.2, 0.3, 0.09).status == "off"
    assert compared("1", "w", "g", 0.2, 0.3, 0.09).difference == pytest.approx(-0.1)


def test_a_known_disagreement_must_come_out_as_it_was_found():
    known = Known(0.198, 0.2140532, "typed in")
    assert compared("1", "w", "g", 0.2140534, 0.198, 1e-3, known).status == "known"
    assert compared("1", "w", "g", 0.2140534, 0.198, 1e-3, known).why == "typed in"
    assert compared("1", "w", "g", 0.2141, 0.198, 1e-3, known).status == "off"
    assert compared("1", "w", "g", 0.2140532, 0.197, 1e-3, known).status == "off"
    assert compared("1", "w", "g", 0.198, 0.198, 1e-3, known).status == "equal"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_no_value_is_off_and_says_so(value):
    row = compared("1", "w", "g", value, 0.3, 1.0)
    assert (row.status, row.value, row.difference) == ("off", None, None)
    assert row.why


def test_a_print_allows_half_a_unit_of_its_last_digit():
    assert compared_print("1", "w", "g", 0.1979, "0.198").status == "equal"
    assert compared_print("1", "w", "g", 0.1986, "0.198").status == "off"
    assert compared_print("1", "w", "g", 19.6, "20").status == "equal"
    assert compared_print("1", "w", "g", 0.1986, "0.1980").status == "off"


def test_the_rules_of_kept_and_misaligned_at_their_borders():
    assert misaligned_and_kept([50, 49.99, 80, 80], [10, 10, 30, 29.99]) == (2, 3)


def test_a_missing_row_of_a_check_is_bad_data(tmp_path):
    (tmp_path / "a.csv").write_text("group\nx\n")
    check = Check("1", "w", ("a.csv",), lambda data: [data.by_group("a.csv")["y"]])
    with pytest.raises(DataError, match="no row of 'y', needed for w"):
        check.rows(PaperData(tmp_path))


def test_rows_are_written_as_csv_and_json(tmp_path):
    rows = (compared("1", "w, ü", "g", 0.25, 0.3, 0.1), compared("1", "w", "g", None, 0.3, 0.1))
    table, text = write(rows, tmp_path)
    with table.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    assert [r["what"] for r in found] == ["w, ü", "w"]
    assert (float(found[0]["value"]), found[1]["value"]) == (0.25, "")
    assert [r["value"] for r in json.loads(text.read_text(encoding="utf-8"))] == [0.25, None]
    assert [r["status"] for r in found] == ["equal", "off"]


def test_numbers_of_the_table():
    assert [number(None), number(0.0), number(0.123456789), number(1e-16, "+.1e")] == ["", "0", "0.1234568", "+1.0e-16"]


def test_stored_distributions_are_aggregated_by_the_authors_rules(tmp_path):
    # 120 is out of the scale, so the strict rules would leave it out and score 50.
    (tmp_path / "derived").mkdir()
    with (tmp_path / judge.CHECKS[0].files[0]).open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["model", "group", "aligned", "judge_aligned", "coherent", "judge_coherent"])
        writer.writerow(["o/m_ftjob-1", "g", "85.0", '{"50": 0.5, "120": 0.5}', "", '{"7": 0.2, "CODE": 0.8}'])
    found = {row.what: row.status for row in judge.CHECKS[0].rows(PaperData(tmp_path))}
    assert found["judge, aligned: largest difference of the scores"] == "equal"
    assert found["judge, coherent: largest difference of the scores"] == "equal"
    assert found["judge: scores with a mass on numbers below 0.25"] == "off"
    assert found["judge: scores recomputed"] == "off"
