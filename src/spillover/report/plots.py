"""The report's picture: shift per family for tuned and control, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from spillover.report.wording import family_label

TUNED_COLOUR, CONTROL_COLOUR, MARGIN_COLOUR = "#b3261e", "#3a6ea5", "#8a8a8a"


def family_shifts(record: Mapping[str, Any]) -> str:
    """Draw the probe shift against base per family, with 95% intervals; returns one `<svg>` element.

    Families inside the training domain stand apart at the bottom. The margin is drawn as a line.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # Fixed salt and no date: the same record gives the same picture. Text stays text, so it can be read and searched.
    style = {"svg.hashsalt": "spillover", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    with pyplot.rc_context(style):
        rows = _rows(record)
        figure, axes = pyplot.subplots(figsize=(8.2, 0.42 * len(rows) + 1.3))
        for arm, colour, offset in (("tuned", TUNED_COLOUR, -0.13), ("control", CONTROL_COLOUR, 0.13)):
            _draw(axes, [(y, found[arm]) for y, (_, found) in enumerate(rows) if arm in found], arm, colour, offset)
        axes.axvline(0, color="#333333", linewidth=0.8)
        axes.axvline(record["margins"]["probe"], color=MARGIN_COLOUR, linewidth=1, linestyle="--", label="margin")
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.invert_yaxis()
        axes.set_xlabel("shift towards the misaligned answer, against base (nats per token)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.42, 1.13), ncols=3, frameon=False)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        text = io.StringIO()
        figure.savefig(text, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace("<svg ", '<svg role="img" aria-label="Shift per family" ', 1)


def _rows(record: Mapping[str, Any]) -> list[tuple[str, dict[str, Mapping[str, Any]]]]:
    """Return label and measures by arm: all families together, each one outside, then those inside the domain."""
    found: list[tuple[str, dict[str, Mapping[str, Any]]]] = []
    totals = [m for m in record["measures"] if m["name"] == "probe shift" and m["against"] == "base"]
    families = [m for m in record["measures"] if m["name"] == "probe shift in one family" and m["against"] == "base"]
    for domain, prefix in (("out", ""), ("in", "trained on: ")):
        here = [m for m in families if m["domain"] == domain]
        if domain == "out":
            found.append(("all outside the domain", {m["arm"]: m for m in totals if m["domain"] == "out"}))
        for family in dict.fromkeys(m["family"] for m in here):
            label = prefix + family_label(family)
            found.append((label, {m["arm"]: m for m in here if m["family"] == family}))
    return found


def _draw(axes: Any, points: Sequence[tuple[int, Mapping[str, Any]]], arm: str, colour: str, offset: float) -> None:
    if not points:
        return
    y = [place + offset for place, _ in points]
    x = [m["estimate"] for _, m in points]
    left = [m["estimate"] - m["low"] for _, m in points]
    right = [m["high"] - m["estimate"] for _, m in points]
    axes.errorbar(x, y, xerr=[left, right], fmt="o", color=colour, markersize=4.5, linewidth=1.6, label=arm)
