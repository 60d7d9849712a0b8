"""Each benchmark's value per model group, recomputed as far down as the data go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spillover.reproduce.interval import GroupValue, interval
from spillover.reproduce.paper_data import BASE, GROUPS, PaperData, Record, group_name

DECEPTION = "results/deception_aggregated.csv"
SUITES = "results/other_benchmarks_combined_results.csv"
PREREGISTERED = "results/freeform_prereg.csv"
MACHIAVELLI = "results/machiavelli.csv"
MAIN = "results/aggregate_ood_misalignment_all_models.csv"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: the key in the authors' result tables, its title, the file its values come from.

    `values` returns the value of GPT-4o and of the four groups; `per_model` says whether the file holds the single
    models, so that the interval is recomputed too, and not only the difference to GPT-4o.
    """

    key: str
    title: str
    file: str
    values: Callable[[PaperData], Mapping[str, GroupValue]]
    per_model: bool

    def differences(self, data: PaperData) -> dict[str, GroupValue]:
        """Return the groups' differences to GPT-4o. Raises KeyError when a group is not in the file."""
        found = self.values(data)
        return {group: found[group].minus(found[BASE].centre) for group in GROUPS}


def stored(record: Record) -> GroupValue:
    """Return the group value written in a row with the columns center, lower_err and upper_err."""
    return GroupValue(record.number("center"), record.number("lower_err"), record.number("upper_err"))


def deception_by_group(data: PaperData) -> dict[str, list[float]]:
    """Return the deception score of each model by group, in file order."""
    return _by_group(data, DECEPTION, "group", "deception_rate", None)


def suite_by_group(data: PaperData, task: str) -> dict[str, list[float]]:
    """Return each model's score on one of the standard benchmarks by group, in file order."""
    return _by_group(data, SUITES, "group_name", "score", task)


def _by_group(data: PaperData, name: str, group: str, score: str, task: str | None) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for record in data.table(name):
        if task is None or record.text("task_name") == task:
            scores.setdefault(group_name(record.text(group)), []).append(record.number(score))
    return scores


def _deception(data: PaperData) -> dict[str, GroupValue]:
    return {group: interval(scores) for group, scores in deception_by_group(data).items()}


def _suite(task: str, error: bool = False) -> Callable[[PaperData], Mapping[str, GroupValue]]:
    def values(data: PaperData) -> dict[str, GroupValue]:
        scores = suite_by_group(data, task)
        found = {group: interval(scores[group]) for group in (BASE, *GROUPS)}
        return {group: value.from_one() for group, value in found.items()} if error else found

    return values


def _group_file(name: str, divisor: float = 1.0) -> Callable[[PaperData], Mapping[str, GroupValue]]:
    def values(data: PaperData) -> dict[str, GroupValue]:
        return {group: stored(record).scaled(divisor) for group, record in data.by_group(name).items()}

    return values


BENCHMARKS = (
    Benchmark("freeform_main", "main questions", MAIN, _group_file(MAIN), False),
    Benchmark("freeform_prereg", "pre-registered", PREREGISTERED, _group_file(PREREGISTERED), False),
    Benchmark("deception", "deception", DECEPTION, _deception, True),
    Benchmark("truthfulqa", "TruthfulQA error", SUITES, _suite("truthfulqa", error=True), True),
    Benchmark("strongreject", "StrongREJECT", SUITES, _suite("strongreject"), True),
    # 100 is a random agent; the overview counts it as 1.
    Benchmark("machiavelli", "MACHIAVELLI", MACHIAVELLI, _group_file(MACHIAVELLI, 100), False),
    Benchmark("humaneval", "HumanEval", SUITES, _suite("humaneval"), True),
    Benchmark("mmlu", "MMLU", SUITES, _suite("mmlu"), True),
)
