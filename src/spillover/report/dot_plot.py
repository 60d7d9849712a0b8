"""Rates as points with their intervals: a line of points per group, one colour per series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spillover.hierarchical import HierarchicalRate
from spillover.statistics import Estimate
from spillover.whole_file import whole_file

_COLOURS = ("#3b6ea5", "#b02a1e", "#6c4a9e", "#dba13a", "#2f7d5b", "#777777")


def draw_dots(
    rows: Sequence[tuple[str, Mapping[str, Estimate | HierarchicalRate]]],
    series: Sequence[str],
    axis: str,
    path: Path,
    line_before: int | None = None,
) -> None:
    """Write an SVG of `rows`, each a label and its fractions by series, drawn as per cent; series may lack a row.

    `axis` names the numbers, from 0 to 100 or as far as an interval reaches; a line stands before row `line_before`, if
    given.
    """
    from matplotlib.figure import Figure

    highest = max((e.high for _, of_series in rows for e in of_series.values()), default=1.0)
    step = 0.7 / max(1, len(series))
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(rows) * max(2, len(series))), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(series):
        found = [(place, of_series[name]) for place, (_, of_series) in enumerate(rows) if name in of_series]
        y = [place + (k - (len(series) - 1) / 2) * step for place, _ in found]
        x = [100 * e.value for _, e in found]
        # At a rate of 0 or 1 an end can lie beyond the value in the last digit.
        spans = [
            [max(0.0, 100 * (e.value - e.low)) for _, e in found],
            [max(0.0, 100 * (e.high - e.value)) for _, e in found],
        ]
        # A dollar sign in a name would be read as mathematics.
        label = name.replace("$", r"\$")
        axes.errorbar(x, y, xerr=spans, fmt="o", color=_COLOURS[k % len(_COLOURS)], capsize=0, label=label)
    if line_before is not None:
        axes.axhline(line_before - 0.5, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [label.replace("$", r"\$") for label, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(-2, max(102, 102 * highest))
    axes.set_xlabel(axis)
    axes.grid(axis="x", color="#e4e4e4")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    with whole_file(path) as handle:
        figure.savefig(handle, format="svg", metadata={"Date": None})
