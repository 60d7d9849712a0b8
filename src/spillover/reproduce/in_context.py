"""The in-context table: share of vulnerable code by number of examples, from the stored verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spillover.reproduce.paper_data import PaperData
from spillover.reproduce.row import Check, Row, compared

VERDICTS = "derived/icl_in_distribution_verdicts.csv"
MAIN_RUN, EARLIER_RUN = "1da586c", "0c0b9c4"
_TEST_ROWS = 100

# Percent of vulnerable code by number of insecure examples, seed 0, and the ends of the secure curve (8.6).
_INSECURE = {1: 20, 2: 21, 4: 19, 8: 15, 16: 18, 32: 35, 64: 50, 128: 59, 256: 70}
_SECURE = {1: 16, 256: 6}


@dataclass(frozen=True, slots=True)
class Point:
    """`vulnerable` of `total` verdicts with `k` examples; verdicts other than YES count as not vulnerable."""

    k: int
    vulnerable: int
    total: int

    @property
    def percent(self) -> float:
        """Share of vulnerable code in percent."""
        return 100 * self.vulnerable / self.total


def curve(data: PaperData, run: str, examples: str) -> tuple[Point, ...]:
    """Return the points of one run ("1da586c" or "0c0b9c4") with "insecure" or "secure" examples, in order of k.

    Raises DataError when the verdicts cannot be read.
    """
    verdicts: dict[int, list[str]] = {}
    for record in data.table(VERDICTS):
        if (record.text("commit"), record.text("icl_source")) == (run, examples):
            verdicts.setdefault(int(record.number("k")), []).append(record.text("has_vulnerability"))
    return tuple(Point(k, found.count("YES"), len(found)) for k, found in sorted(verdicts.items()))


def _table(data: PaperData) -> Iterator[Row]:
    for run, examples, published in ((MAIN_RUN, "insecure", _INSECURE), (EARLIER_RUN, "secure", _SECURE)):
        points = {point.k: point for point in curve(data, run, examples)}
        for k, percent in published.items():
            point = points.get(k)
            group = f"{examples}, k = {k}"
            yield compared("8.6", "in context, verdicts", group, point.total if point else None, _TEST_ROWS, 0)
            value = point.percent if point else None
            yield compared("8.6", "in context, vulnerable code, percent", group, value, percent, 1e-9)


CHECKS = (Check("8.6", "in-context table", (VERDICTS,), _table),)
