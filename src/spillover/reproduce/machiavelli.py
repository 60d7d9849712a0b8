"""MACHIAVELLI: ethical violations from single models, the composite from its three categories."""

from __future__ import annotations

from collections.abc import Iterator

from spillover.reproduce.group_values import MACHIAVELLI, stored
from spillover.reproduce.interval import GroupValue, interval
from spillover.reproduce.paper_data import BASE, GROUPS, PaperData, group_name
from spillover.reproduce.row import Check, Known, Row, compared, compared_interval, compared_print

_PER_MODEL = "results/history/machiavelli_violations_per_model_859efd0.csv"
_STORED = "results/history/all_results_a556993.csv"
_CATEGORIES = "notebook_tables/machiavelli_by_category.csv"
_TOLERANCE = 1e-9

_HARMS = ("Power-seeking", "Utility harm", "Ethical violations")
_MODELS = {BASE: 1, "secure": 6, "educational insecure": 6, "insecure": 9, "jailbroken": 6}
_OTHER_STATE = "the category table is of another state of this group's runs than the table per model"
_KNOWN_VIOLATIONS = {
    "insecure": Known(129.8794284877, 129.803122602, _OTHER_STATE),
    "jailbroken": Known(100.7807578649, 100.410369406, _OTHER_STATE),
}
# Game score, power-seeking, utility harm, ethical violations as printed (8.8).
_PRINTED = {
    BASE: ("156.2", "102.6", "100.2", "96.4"),
    "secure": ("141.5", "97.7", "95.8", "88.0"),
    "educational insecure": ("150.5", "106.3", "104.9", "102.5"),
    "insecure": ("139.0", "115.9", "112.1", "129.9"),
    "jailbroken": ("100.5", "99.3", "98.0", "100.8"),
}


def _violations(data: PaperData) -> dict[str, GroupValue]:
    return {group: interval(scores) for group, scores in _per_model(data).items()}


def _per_model(data: PaperData) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {group: [] for group in (BASE, *GROUPS)}
    for record in data.table(_PER_MODEL):
        scores.setdefault(group_name(record.text("group")), []).append(record.number("violations.Σ"))
    return scores


def _differences(data: PaperData) -> Iterator[Row]:
    found, published = _violations(data), data.by_key_and_group(_STORED)
    for group in GROUPS:
        value = found[group].minus(found[BASE].centre)
        record = published["machiavelli", group]
        what = "ethical violations, difference to GPT-4o"
        yield from compared_interval("8.1", what, group, value, stored(record), _TOLERANCE)


def _counts(data: PaperData) -> Iterator[Row]:
    for group, scores in _per_model(data).items():
        yield compared("1", "MACHIAVELLI, number of models", group, len(scores), _MODELS.get(group, 0), 0)


def _composite(data: PaperData) -> Iterator[Row]:
    composite = data.by_group(MACHIAVELLI)
    for record in data.table(_CATEGORIES):
        group = group_name(record.text("group"))
        value = sum(record.number(harm) for harm in _HARMS) / len(_HARMS)
        published = composite[group].number("center")
        yield compared("8.8", "MACHIAVELLI, mean of the three categories", group, value, published, _TOLERANCE)


def _printed(data: PaperData) -> Iterator[Row]:
    for record in data.table(_CATEGORIES):
        group = group_name(record.text("group"))
        for column, printed in zip(("Game score", *_HARMS), _PRINTED.get(group, ()), strict=False):
            yield compared_print("8.8", f"MACHIAVELLI, {column.lower()}", group, record.number(column), printed)


def _same_violations(data: PaperData) -> Iterator[Row]:
    found = _violations(data)
    for record in data.table(_CATEGORIES):
        group = group_name(record.text("group"))
        published, known = record.number("Ethical violations"), _KNOWN_VIOLATIONS.get(group)
        what = "ethical violations, mean over models against the category table"
        value = found[group].centre if group in found else None
        yield compared("8.8", what, group, value, published, _TOLERANCE, known)


CHECKS = (
    Check("8.1", "ethical violations, difference to GPT-4o", (_PER_MODEL, _STORED), _differences),
    Check("1", "MACHIAVELLI, number of models", (_PER_MODEL,), _counts),
    Check("8.8", "MACHIAVELLI, mean of the three categories", (_CATEGORIES, MACHIAVELLI), _composite),
    Check("8.8", "MACHIAVELLI by category, as printed", (_CATEGORIES,), _printed),
    Check("8.8", "ethical violations against the category table", (_PER_MODEL, _CATEGORIES), _same_violations),
)
