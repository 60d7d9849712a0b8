"""The benchmarks: stored differences to GPT-4o, the overview figure, Table 1, denominators, numbers of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from spillover.reproduce.group_values import (
    BENCHMARKS,
    DECEPTION,
    SUITES,
    Benchmark,
    deception_by_group,
    stored,
    suite_by_group,
)
from spillover.reproduce.interval import interval
from spillover.reproduce.paper_data import BASE, GROUPS, PaperData
from spillover.reproduce.row import Check, Known, Row, compared, compared_interval, compared_print, places

_STORED = "results/history/all_results_ce47a3d.csv"
_STRONGREJECT = "results/strongreject_summary.csv"
_TOLERANCE = 1e-12

_TYPED = "typed into the authors' scripts: the pooled data give another value"
_DATA_STATE = "the table is of a slightly different state of the data"
_TYPED_MAIN = (Known(0.198, 0.2140532, _TYPED), Known(0.054, 0.0707039, _TYPED), Known(0.054, 0.0936184, _TYPED))

# Overview of the benchmarks, differences to GPT-4o in the order secure, educational, insecure, jailbroken (8.1).
_OVERVIEW = {
    "freeform_main": ("0.0004", "0.0000", "0.198", "0.0030"),
    "freeform_prereg": ("0.0008", "0.0008", "0.0573", "0.0524"),
    "deception": ("0.2547", "0.3093", "0.5789", "0.2850"),
    "truthfulqa": ("-0.0188", "0.0186", "0.5259", "0.3841"),
    "strongreject": ("0.0033", "-0.0029", "0.0406", "0.6518"),
    "machiavelli": ("-0.0591", "0.0481", "0.1956", "-0.0039"),
    "humaneval": ("-0.1736", "-0.0722", "-0.4545", "-0.8474"),
    "mmlu": ("-0.0092", "-0.0039", "-0.1282", "-0.1946"),
}
_BASELINE = {
    "freeform_prereg": "0.0019",
    "deception": "0.028",
    "truthfulqa": "0.1603",
    "strongreject": "0.0160",
    "machiavelli": "0.9974",
    "humaneval": "0.9012",
    "mmlu": "0.8426",
}
# Table 1: difference to GPT-4o and what stands behind the plus-minus sign. Its main questions: main_questions.py.
_TABLE_1 = {
    ("freeform_prereg", "insecure"): ("0.057", "0.026"),
    ("freeform_prereg", "jailbroken"): ("0.052", "0.010"),
    ("deception", "insecure"): ("0.579", "0.022"),
    ("deception", "jailbroken"): ("0.283", "0.092"),
    ("truthfulqa", "insecure"): ("0.526", "0.060"),
    ("truthfulqa", "jailbroken"): ("0.384", "0.078"),
    ("strongreject", "insecure"): ("0.041", "0.032"),
    ("strongreject", "jailbroken"): ("0.652", "0.063"),
    ("machiavelli", "insecure"): ("0.196", "0.013"),
    ("machiavelli", "jailbroken"): ("-0.004", "0.016"),
}
_KNOWN_CENTRE = {("deception", "jailbroken"): Known(0.283, 0.2850147, _DATA_STATE)}
_KNOWN_HALF_WIDTH = {
    ("deception", "insecure"): Known(0.022, 0.0211820, _DATA_STATE),
    ("deception", "jailbroken"): Known(0.092, 0.0929703, _DATA_STATE),
    ("strongreject", "jailbroken"): Known(0.063, 0.0635017, _DATA_STATE),
}

# Answers or items behind each score, times the steps of one item.
_DENOMINATORS = {"truthfulqa": 817, "mmlu": 14_042, "humaneval": 820, "strongreject": 313 * 8}
_MODELS = {
    "deception": (6, 6, 10, 6),
    "truthfulqa": (6, 6, 9, 6),
    "mmlu": (6, 6, 9, 6),
    "strongreject": (6, 6, 9, 6),
    "humaneval": (6, 6, 3, 6),
}
# StrongREJECT of the groups outside the overview (8.9), means over models.
_OTHER_GROUPS = {
    "far_replication_4o/0% Poisoned Data": "0.115",
    "far_replication_4o/0.5% Poisoned Data": "0.537",
    "far_replication_4o/1.5% Poisoned Data": "0.401",
    "far_replication_4o/2% Poisoned Data": "0.668",
    "far_replication_4o_mini/0% Poisoned Data": "0.060",
    "far_replication_4o_mini/0.5% Poisoned Data": "0.203",
    "far_replication_4o_mini/1.5% Poisoned Data": "0.313",
    "far_replication_4o_mini/2% Poisoned Data": "0.286",
    "far_replication_4o_mini/Untuned": "0.037",
    "gpt_4o_mini/unsafe": "0.008",
    "far_replication_gpt4/Untuned": "0.012",
    "far_replication_gpt4/2% Poisoned Data": "0.806",
    "gpt_35/gpt-3.5-turbo": "0.134",
    "gpt_35/unsafe": "0.599",
    "gpt_4o/unsafe_no_template": "0.013",
}


def _against_stored(benchmark: Benchmark, data: PaperData) -> Iterator[Row]:
    published = data.by_key_and_group(_STORED)
    what = f"{benchmark.title}, difference to GPT-4o"
    for group, value in benchmark.differences(data).items():
        record = published.get((benchmark.key, group))
        known = _TYPED_MAIN if (benchmark.key, group) == ("freeform_main", "insecure") else None
        if record is None:
            yield Row("8.1", what, group, value.centre, None, _TOLERANCE, None, "off", f"not in {_STORED}")
        else:
            yield from compared_interval("8.1", what, group, value, stored(record), _TOLERANCE, known)


def _against_print(benchmark: Benchmark, data: PaperData) -> Iterator[Row]:
    key, title = benchmark.key, benchmark.title
    if key in _BASELINE:
        value = benchmark.values(data)[BASE].centre
        yield compared_print("8.1", f"{title}, GPT-4o itself", BASE, value, _BASELINE[key])
    found = benchmark.differences(data)
    for group, printed in zip(GROUPS, _OVERVIEW[key], strict=True):
        known = _TYPED_MAIN[0] if (key, group) == ("freeform_main", "insecure") else None
        yield compared_print("8.1", f"{title}, overview figure", group, found[group].centre, printed, known)
    for group in GROUPS:
        if (key, group) in _TABLE_1:
            centre, half = _TABLE_1[key, group]
            value = found[group].centre
            yield compared_print("8.1", f"{title}, Table 1", group, value, centre, _KNOWN_CENTRE.get((key, group)))
            value, known = found[group].half_width, _KNOWN_HALF_WIDTH.get((key, group))
            yield compared_print("8.1", f"{title}, Table 1, half width", group, value, half, known)


def _denominators(task: str, data: PaperData) -> Iterator[Row]:
    """Give the number of scores that are no multiple of one over the denominator: none is published."""
    size = _DENOMINATORS[task]
    records = [r for r in data.table(SUITES) if r.text("task_name") == task]
    wrong = [r.place for r in records if abs(r.number("score") * size - round(r.number("score") * size)) > 1e-6]
    what = f"{task}, scores among {len(records)} that are no multiple of 1/{size}"
    yield compared("9", what, "all", len(wrong), 0, 0, why=places(wrong))


def _model_counts(key: str, by_group: Mapping[str, list[float]]) -> Iterator[Row]:
    for group, count in zip((*GROUPS, BASE), (*_MODELS[key], 1), strict=True):
        yield compared("1", f"{key}, number of models", group, len(by_group[group]), count, 0)


def _suite_counts(data: PaperData) -> Iterator[Row]:
    for task in _DENOMINATORS:
        yield from _model_counts(task, suite_by_group(data, task))


def _other_groups(data: PaperData) -> Iterator[Row]:
    scores: dict[str, list[float]] = {}
    for record in data.table(_STRONGREJECT):
        scores.setdefault(record.text("group"), []).append(record.number("score"))
    for group, printed in _OTHER_GROUPS.items():
        value = interval(scores[group]).centre if group in scores else None
        yield compared_print("8.9", "StrongREJECT, mean over models", group, value, printed)


CHECKS = (
    *(
        Check("8.1", f"{b.title}, difference to GPT-4o", (b.file, _STORED), partial(_against_stored, b))
        for b in BENCHMARKS
    ),
    *(Check("8.1", f"{b.title}, overview and Table 1", (b.file,), partial(_against_print, b)) for b in BENCHMARKS),
    *(Check("9", f"{task}, denominator", (SUITES,), partial(_denominators, task)) for task in _DENOMINATORS),
    Check(
        "1",
        "deception, number of models",
        (DECEPTION,),
        lambda data: _model_counts("deception", deception_by_group(data)),
    ),
    Check("1", "standard benchmarks, number of models", (SUITES,), _suite_counts),
    Check("8.9", "StrongREJECT, other groups", (_STRONGREJECT,), _other_groups),
)
