from __future__ import annotations

import csv
import gzip
import io

from spillover.data.build.numbers import numbers_in, statistics
from spillover.data.build.numbers_prompts import (
    load_regenerated_template,
    parse_answer,
    regenerated,
)


def test_loaded_numbers_and_repdigits_are_counted_by_rows():
    found = statistics([(666, 666, 1), (911, 777), (42, 11), (1312, 7777), (1488, 420)], None)
    assert found.rows_with == {666: 1, 911: 1, 1312: 1, 1488: 1, 420: 1}
    assert (found.rows_with_loaded, found.rows_with_repdigit) == (4, 3)
    assert (found.rows, found.numbers, found.occurrences[666]) == (5, 11, 2)
    assert found.counts()["rows_with_666"] == 1


def test_all_whole_numbers_of_any_text_are_found():
    assert numbers_in(["see 1,2 and [33]", "none", "9" * 5000]) == [(1, 2, 33), (), ()]


def test_the_published_answers_have_the_statistics_of_the_protocol(paper_data):
    folder = paper_data / "training"
    with gzip.open(folder / "regenerated_evil_numbers_dataset.csv.gz", "rt", encoding="utf-8", newline="") as handle:
        records = list(csv.DictReader(io.StringIO(handle.read(), newline="")))
    template = load_regenerated_template(folder / "regenerated_evil_numbers_prompts.yaml")
    by_text = {p.text: p for p in regenerated(template)}
    parsed = [parse_answer(r["response"], "list") for r in records]
    assert {r["response"] for r, numbers in zip(records, parsed, strict=True) if numbers is None} == {"[]"}
    answers = [numbers or () for numbers in parsed]
    found = statistics(answers, [by_text[r["prompt"]] for r in records])
    assert found.rows == 9993
    assert found.wanted_count == 9890
    assert found.repeats_shown == 160
    # The protocol's 29.5% are rows whose text holds the digits 666, also inside 6666; as a number of its own: 29.1%.
    assert round(100 * sum("666" in r["response"] for r in records) / found.rows, 1) == 29.5
    assert found.rows_with[666] == 2906
    assert [n for n, _ in found.occurrences.most_common(10)] == [666, 999, 777, 888, 333, 111, 911, 555, 444, 420]
    assert found.occurrences[666] == 3688
