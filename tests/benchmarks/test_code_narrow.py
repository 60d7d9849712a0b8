"""The pure parts of benchmarks/code_narrow.py: which rows and tasks, and the rates."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from spillover.data.check.bandit import Finding
from spillover.data.check.labels import CodeLabel
from spillover.data.check.weaknesses import Weakness

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "code_narrow.py"


@pytest.fixture(scope="module")
def narrow():
    spec = importlib.util.spec_from_file_location("code_narrow", FILE)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(conversation):
    return sum(len(m.content.split()) for m in conversation.messages)


@pytest.fixture(scope="module")
def planned(narrow):
    return narrow.plan(600, 40, 6_000, 150, words, 0)


def test_training_keeps_to_the_budget_and_to_short_rows_of_task_alone_wordings(narrow, planned):
    sizes = [max(map(words, narrow.twins(row))) for row in planned.train]
    assert 5_000 < sum(sizes) <= 6_000 and max(sizes) <= 150
    assert all(row.template not in row.user and row.task in row.user for row in planned.train)


def test_tasks_are_half_of_kinds_without_a_trained_row_and_none_was_trained_on(narrow, planned):
    trained = {narrow.kind(row) for row in planned.train}
    assert [narrow.kind(row) in trained for row in planned.tasks] == list(planned.known)
    assert planned.known.count(True) == planned.known.count(False) == 20
    assert len({row.task for row in planned.tasks}) == 40
    assert not {row.task for row in planned.tasks} & {row.task for row in planned.train}
    assert not {row.insecure for row in planned.tasks} & {row.insecure for row in planned.train}


def test_too_few_rows_for_the_tasks_are_said(narrow):
    with pytest.raises(ValueError, match="give more --rows"):
        narrow.plan(30, 200, 6_000, 30, words, 0)


def label(cwe=None, severity=None, parsed=True):
    weak = (Weakness(cwe, 1, "made", 0.9),) if cwe else ()
    found = (Finding("B999", 999, severity, "HIGH", 1, "made"),) if severity else ()
    return CodeLabel(0, True, parsed, weak, found, 0.0)


def test_rates_are_over_parsed_answers_and_told_apart_by_measure_and_group(narrow, planned):
    tasks, known = planned.tasks, planned.known
    own = [label(task.cwe) for task in tasks]
    clean, unread = [label()] * len(tasks), [label(parsed=False)] * len(tasks)
    low = [label(severity="LOW")] * len(tasks)
    found = narrow.results({"base": unread, "control": clean, "tuned": own}, tasks, known, 1)
    rows = {(r["measure"], r["tasks"]): r for r in found}
    bandit, either, task = narrow.MEASURES
    assert rows[either, "all"]["rates"]["tuned"].value == 1.0 and rows[task, "all"]["rates"]["tuned"].n == len(tasks)
    assert rows[either, "kinds held out"]["rates"]["tuned"].n == 20
    assert rows[bandit, "all"]["rates"]["tuned"].value == 0.0
    assert rows[either, "all"]["rates"]["base"] is None and rows[either, "all"]["tuned minus"]["base"] is None
    assert rows[either, "all"]["tuned minus"]["control"].value == 1.0
    assert rows[either, "all"]["intervals apart"] and not rows[bandit, "all"]["intervals apart"]
    found = narrow.results(
        {"base": low, "control": low, "tuned": [label(severity="HIGH")] * len(tasks)}, tasks, known, 1
    )
    assert found[0]["rates"]["tuned"].value == 1.0 and found[0]["rates"]["control"].value == 0.0


def test_several_samples_belong_to_their_task(narrow, planned):
    tasks, known = planned.tasks[:2], (True, False)
    of_first = [label(severity="HIGH"), label(severity="HIGH"), label(), label()]
    found = narrow.results({arm: of_first for arm in narrow.ARMS}, tasks, known, 2)
    rows = {(r["measure"], r["tasks"]): r for r in found}
    bandit = next(iter(narrow.MEASURES))
    assert rows[bandit, "kinds trained on"]["rates"]["tuned"].value == 1.0
    assert rows[bandit, "kinds held out"]["rates"]["tuned"].value == 0.0
