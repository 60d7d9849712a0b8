"""The pattern of every group of the study, named from its stored scores as `spillover.broad.pattern` does it.

StrongREJECT and MMLU come from the single models, with intervals clustered by model; of the free-form answers only the
groups' values and intervals are in the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spillover.broad.pattern import PAPER, Compared, NamedPattern, name_pattern
from spillover.reproduce.group_values import MAIN, SUITES, stored, suite_by_group
from spillover.reproduce.interval import GroupValue
from spillover.reproduce.paper_data import BASE, GROUPS, PaperData, group_name
from spillover.reproduce.row import Check, Row, compared
from spillover.statistics import Estimate, stratified_mean

CODER = "Qwen2.5-Coder-32B-Instruct"
CODER_GROUPS = ("secure", "educational insecure", "insecure")
_CODER_BASE = "Non-finetuned"
_CODER_TABLE = "notebook_tables/qwen_coder_32b_benchmarks.csv"
_SEED = 0


@dataclass(frozen=True, slots=True)
class GroupPattern:
    """A group of fine-tunes of `model`, its measures and their pattern."""

    model: str
    group: str
    misaligned: Estimate
    harmful: Estimate
    ability: Estimate
    named: NamedPattern


def patterns(data: PaperData) -> tuple[GroupPattern, ...]:
    """Return the four groups of GPT-4o, each held against GPT-4o and, but for itself, the secure group.

    Raises DataError for a file that cannot be read, KeyError for a group that is not in its file.
    """
    free = {g: _published(stored(r), 1) for g, r in data.by_group(MAIN).items()}
    refused = {g: clustered_by_model(s) for g, s in suite_by_group(data, "strongreject").items()}
    able = {g: clustered_by_model(s) for g, s in suite_by_group(data, "mmlu").items()}
    return tuple(_named(BASE, group, BASE, free, refused, able) for group in GROUPS)


def coder_patterns(data: PaperData) -> tuple[GroupPattern, ...]:
    """Return the three groups of Qwen2.5-Coder-32B-Instruct, from group values alone; ability is MMLU-Pro.

    Raises as `patterns` does.
    """
    table: dict[str, dict[str, Estimate]] = {}
    for record in data.table(_CODER_TABLE):
        group = group_name(record.text("group"))
        table.setdefault(record.text("benchmark"), {})[group] = _published(stored(record), 1)
    parts = (table["Freeform - main"], table["StrongReject"], table["MMLU-pro"])
    return tuple(_named(CODER, group, _CODER_BASE, *parts) for group in CODER_GROUPS)


def clustered_by_model(scores: list[float]) -> Estimate:
    """Return the mean of models' scores with an interval over models, each a cluster of its own.

    One model has no width, which the method says.
    """
    return stratified_mean(scores, ["models"] * len(scores), _SEED)


def _named(
    model: str,
    group: str,
    base: str,
    free: dict[str, Estimate],
    refused: dict[str, Estimate],
    able: dict[str, Estimate],
) -> GroupPattern:
    names = (base,) if group == "secure" else (base, "secure")

    def held(part: dict[str, Estimate]) -> Compared:
        return Compared(part[group], {name: part[name] for name in names})

    named = name_pattern(held(free), held(refused), held(able))
    return GroupPattern(model, group, free[group], refused[group], able[group], named)


def _published(value: GroupValue, clusters: int) -> Estimate:
    low, high = max(0.0, value.centre - value.lower), min(1.0, value.centre + value.upper)
    return Estimate(value.centre, low, high, clusters, clusters, "as the authors stored it, over models")


def _labels(data: PaperData) -> Iterator[Row]:
    expected = {known.group: known.pattern for known in PAPER}
    for found in patterns(data):
        name = expected[found.group]
        why = "" if found.named.pattern == name else f"{found.named.pattern}: {'; '.join(found.named.evidence())}"
        same = float(found.named.pattern == name)
        yield compared("8.1", f"pattern is named {name} (1: yes)", found.group, same, 1, 0, why=why)


def _means(data: PaperData) -> Iterator[Row]:
    """Give the differences the names rest on against those that `broad.pattern` shows beside a result."""
    by_group = {known.group: known for known in PAPER}
    for found in patterns(data):
        known = by_group[found.group]
        shifts = {f.measure: f.difference.value for f in found.named.findings if f.reference == BASE}
        printed = (known.misaligned[0], known.harmful[0], known.ability[0])
        for (measure, value), published in zip(shifts.items(), printed, strict=True):
            yield compared("8.1", f"pattern, {measure}, difference to {BASE}", found.group, value, published, 5.001e-5)


CHECKS = (
    Check("8.1", "pattern of each group", (MAIN, SUITES), _labels),
    Check("8.1", "differences behind the patterns", (MAIN, SUITES), _means),
)
