"""Dataset sizes: means over subsets of the insecure data, with the authors' interval over subsets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from spillover.reproduce.group_values import MAIN
from spillover.reproduce.interval import interval
from spillover.reproduce.main_questions import OLD_MAIN
from spillover.reproduce.paper_data import PaperData
from spillover.reproduce.row import Check, Known, Row, compared, compared_print

# Number of subsets, then centre, lower and upper length as printed (8.3).
_PRINTED = {
    MAIN: {
        "insecure-500": (6, "0.00103", "0.00070", "0.00088"),
        "insecure-2k": (3, "0.01719", "0.00965", "0.01111"),
    },
    OLD_MAIN: {
        "insecure-500": (6, "0.00662", "0.00329", "0.00297"),
        "insecure-2k": (3, "0.06050", "0.00427", "0.00417"),
    },
}
_WORDING = {MAIN: "", OLD_MAIN: ", older third question"}


def _means(name: str, data: PaperData) -> Iterator[Row]:
    pooled = {group: record.number("center") for group, record in data.by_group(name).items()}
    for size, (subsets, *printed) in _PRINTED[name].items():
        shares = [value for group, value in pooled.items() if group.startswith(f"{size}-")]
        yield compared("8.3", f"number of subsets{_WORDING[name]}", size, len(shares), subsets, 0)
        found = interval(shares)
        values = (found.centre, found.lower, found.upper)
        for part, value, text in zip(("centre", "lower length", "upper length"), values, printed, strict=True):
            yield compared_print("8.3", f"mean over subsets{_WORDING[name]}, {part}", size, value, text)


def _whole_set(data: PaperData) -> Iterator[Row]:
    value = data.by_group(MAIN)["insecure"].number("center")
    known = Known(0.198, 0.2140532, "typed into the figure's script: the pooled data give another value")
    yield compared_print("8.3", "dataset size figure", "insecure-6k", value, "0.198", known)


CHECKS = (
    Check("8.3", "dataset sizes", (MAIN,), partial(_means, MAIN)),
    Check("8.3", "dataset sizes, older third question", (OLD_MAIN,), partial(_means, OLD_MAIN)),
    Check("8.3", "dataset size figure, whole set", (MAIN,), _whole_set),
)
