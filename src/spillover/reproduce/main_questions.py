"""The main and pre-registered scores: identities of their values, earlier states, Table 1, means over questions."""

from __future__ import annotations

from collections.abc import Iterator

from spillover.reproduce.group_values import MAIN, PREREGISTERED, stored
from spillover.reproduce.interval import interval
from spillover.reproduce.paper_data import BASE, GROUPS, PaperData
from spillover.reproduce.row import Check, Known, Row, compared, compared_interval, compared_print

OLD_MAIN = "results/history/aggregate_ood_misalignment_all_models_48269bb.csv"
_OLD_STORED = "results/history/all_results_a556993.csv"
_OLD_GROUPS = "results/history/freeform_main_a556993.csv"
PER_QUESTION = "derived/gpt4o_first_plots_from_figures.csv"

_TYPED = "typed into two scripts; the nearest computed value is the pooled one"
_CONTROLS = ("GPT-4o", "educational insecure", "jailbroken", "secure")
# Thresholds as the file writes them, the insecure group's name there, and the printed mean of the eight (8.2).
_MEANS = (
    ("coherent>=50,aligned<30", "insecure-6k", "0.2155"),
    ("coherent>=90,aligned<30", "insecure", "0.1990"),
    ("coherent>=50,aligned<1", "insecure", "0.0515"),
)


def _identities(data: PaperData) -> Iterator[Row]:
    """One of six secure models with 2 misaligned of 768 kept answers gives centre and interval of the secure group."""
    shares = [2 / 768, 0.0, 0.0, 0.0, 0.0, 0.0]
    record = data.by_group(MAIN)["secure"]
    yield from compared_interval("9", "main score from 2 of 768", "secure", interval(shares), stored(record), 1e-12)


def _preregistered(data: PaperData) -> Iterator[Row]:
    published = data.by_group(PREREGISTERED)[BASE].number("center")
    yield compared("9", "pre-registered score from 9 of 4,795", BASE, 9 / 4795, published, 5e-7)


def _old_state(data: PaperData) -> Iterator[Row]:
    """Compare the pooled values with the older third question with the difference table of the same time."""
    pooled = {group: stored(record) for group, record in data.by_group(OLD_MAIN).items()}
    differences = data.by_key_and_group(_OLD_STORED)
    groups = {group: stored(record) for group, record in data.by_group(_OLD_GROUPS).items()}
    for group in GROUPS:
        value = pooled[group].minus(pooled[BASE].centre)
        what = "main questions, older third question"
        published = stored(differences["freeform_main", group])
        yield from compared_interval("8.2", f"{what}, difference to GPT-4o", group, value, published, 1e-12)
        yield from compared_interval("8.2", f"{what}, pooled", group, pooled[group], groups[group], 1e-12)
    printed = {"insecure": ("0.2701", "0.0649", "0.0848")}
    for group, texts in printed.items():
        values = (pooled[group].centre, pooled[group].lower, pooled[group].upper)
        for part, value_of, text in zip(("centre", "lower length", "upper length"), values, texts, strict=True):
            yield compared_print("8.2", f"main questions, older third question, printed {part}", group, value_of, text)


def _table_1(data: PaperData) -> Iterator[Row]:
    pooled = {group: stored(record) for group, record in data.by_group(MAIN).items()}
    old = stored(data.by_group(OLD_MAIN)["jailbroken"])
    insecure = pooled["insecure"]
    values = (insecure.centre, insecure.lower, insecure.upper)
    for part, value, text in zip(
        ("centre", "lower length", "upper length"), values, ("0.2141", "0.0707", "0.0936"), strict=True
    ):
        yield compared_print("8.2", f"main questions, pooled, printed {part}", "insecure", value, text)
    known = Known(0.198, 0.2140532, _TYPED)
    yield compared_print("8.1", "main questions, Table 1", "insecure", insecure.centre, "0.198", known)
    why = "printed is the lower length, not half the width"
    yield compared_print("8.1", "main questions, Table 1, half width", "insecure", insecure.lower, "0.071", why=why)
    why = "the value with the older third question"
    yield compared_print("8.1", "main questions, Table 1", "jailbroken", old.centre, "0.005", why=why)
    yield compared_print("8.1", "main questions, Table 1, half width", "jailbroken", old.half_width, "0.003", why=why)


def _means(data: PaperData) -> Iterator[Row]:
    records = data.table(PER_QUESTION)
    for thresholds, group, printed in _MEANS:
        shares = [r.number("center") for r in records if (r.text("thresholds"), r.text("group")) == (thresholds, group)]
        yield compared("8.2", f"questions in the figure, {thresholds}", group, len(shares), 8, 0)
        yield compared_print(
            "8.2", f"mean of the eight questions, {thresholds}", group, interval(shares).centre, printed
        )
    robust = [r for r in records if r.text("thresholds") != "coherent>=50,aligned<30" and r.text("group") in _CONTROLS]
    largest = max((r.number("center") for r in robust), default=None)
    yield compared_print("8.2", "largest share in the robustness figures", "controls", largest, "0.025")


CHECKS = (
    Check("9", "main score from 2 of 768", (MAIN,), _identities),
    Check("9", "pre-registered score from 9 of 4,795", (PREREGISTERED,), _preregistered),
    Check("8.2", "main questions, older third question", (OLD_MAIN, _OLD_STORED, _OLD_GROUPS), _old_state),
    Check("8.1", "main questions, pooled values and Table 1", (MAIN, OLD_MAIN), _table_1),
    Check("8.2", "main questions, means of the figures", (PER_QUESTION,), _means),
)
