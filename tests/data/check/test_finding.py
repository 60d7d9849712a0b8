from __future__ import annotations

from spillover.data.check.finding import MOST_LINES, Finding, FindingCollector, worst_first


def test_the_first_message_is_kept_with_its_place_and_all_are_counted():
    problems = FindingCollector("data.jsonl")
    problems.add("a", "warning", 3, "first: mend it")
    problems.add("a", "warning", 9, "second: mend it")
    assert problems.findings() == (Finding("a", "warning", "data.jsonl:3: first: mend it", (3, 9), 2),)


def test_lines_stop_at_the_limit_but_the_count_goes_on():
    problems = FindingCollector("f")
    for line in range(1, 1001):
        problems.add("a", "note", line, "x")
    (found,) = problems.findings()
    assert found.lines == tuple(range(1, MOST_LINES + 1))
    assert found.count == 1000


def test_a_line_with_the_same_problem_twice_is_listed_once():
    problems = FindingCollector("f")
    problems.add("a", "note", 4, "x")
    problems.add("a", "note", 4, "x")
    assert problems.findings()[0].lines == (4,)
    assert problems.findings()[0].count == 2


def test_a_problem_of_the_whole_file_names_no_line():
    problems = FindingCollector("f")
    problems.add("a", "note", 0, "x")
    assert problems.findings()[0] == Finding("a", "note", "f: x", (), 1)


def test_serious_ones_come_first_then_frequent_ones():
    a, b, c = Finding("a", "note", "", (), 9), Finding("b", "serious", ""), Finding("c", "serious", "", (), 2)
    assert worst_first([a, b, c]) == (c, b, a)
