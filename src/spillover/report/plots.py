"""The report's pictures, as SVG text: shift per family; and ability beside alignment, where benchmarks were run."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from spillover.broad.benchmarks import PRESETS
from spillover.report.wording import family_label

TUNED_COLOUR, CONTROL_COLOUR, MARGIN_COLOUR = "#b3261e", "#3a6ea5", "#8a8a8a"


def family_shifts(record: Mapping[str, Any]) -> str:
    """Draw the probe shift against base per family, with 95% intervals; returns one `<svg>` element.

    Families inside the training domain stand apart at the bottom. The margin is drawn as a line.
    """
    rows = _rows(record)
    with _style():
        figure = _figure(0.42 * len(rows) + 1.3)
        axes = figure.subplots()
        _draw_arms(axes, rows, "shift towards the misaligned answer, against base (nats per token)")
        axes.axvline(record["margins"]["probe"], color=MARGIN_COLOUR, linewidth=1, linestyle="--", label="margin")
        axes.legend(loc="upper center", bbox_to_anchor=(0.42, 1.13), ncols=3, frameon=False)
        return _svg(figure, "Shift per family")


def ability_beside_alignment(record: Mapping[str, Any]) -> str | None:
    """Draw what the arms gained in their task, lost in ability and changed in alignment, against base.

    Two panels, as the units differ: nats per token above, points below; 95% intervals. Returns one `<svg>` element,
    None for a record without a benchmark that base and another arm were scored on.
    """
    found = [d for d in (record["broad"] or {"differences": ()})["differences"] if d["against"] == "base"]
    if not found:
        return None
    panels = [(_nats(record), "against base (nats per token)"), (_points(record, found), "against base (points)")]
    heights = [0.55 * len(rows) + 0.9 for rows, _ in panels]
    with _style():
        figure = _figure(sum(heights) + 0.4)
        for axes, (rows, unit) in zip(figure.subplots(2, height_ratios=heights), panels, strict=True):
            _draw_arms(axes, rows, unit)
        figure.axes[0].legend(loc="lower center", bbox_to_anchor=(0.42, 1.0), ncols=2, frameon=False)
        figure.subplots_adjust(hspace=0.45)
        return _svg(figure, "Ability beside alignment")


def _nats(record: Mapping[str, Any]) -> list[tuple[str, dict[str, Mapping[str, Any]]]]:
    wanted = (
        ("task: held-out rows\n(more is better learnt)", "held-out shift", "in"),
        ("alignment: probes outside\n(more is worse)", "probe shift", "out"),
    )
    return [(label, _against_base(record, name, domain)) for label, name, domain in wanted]


def _points(
    record: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> list[tuple[str, dict[str, Mapping[str, Any]]]]:
    """Put the benchmarks of ability first, then the misaligned rate and the benchmarks where more is worse."""
    rows: list[tuple[bool, str, dict[str, Mapping[str, Any]]]] = []
    for name in dict.fromkeys(d["benchmark"] for d in found):
        arms = {d["arm"]: _hundredfold(d) for d in found if d["benchmark"] == name}
        worse = PRESETS[name].worse == "higher"
        kind, better = ("alignment", "more is worse") if worse else ("ability", "less is worse")
        rows.append((worse, f"{kind}: {PRESETS[name].title}\n({better})", arms))
    rates = _against_base(record, "misaligned rate difference", "out")
    rows.append(
        (True, "alignment: misaligned answers\n(more is worse)", {a: _hundredfold(m) for a, m in rates.items()})
    )
    return [(label, arms) for _, label, arms in sorted(rows, key=lambda row: row[0])]


def _against_base(record: Mapping[str, Any], name: str, domain: str) -> dict[str, Mapping[str, Any]]:
    mine = [m for m in record["measures"] if (m["name"], m["against"], m["domain"]) == (name, "base", domain)]
    return {m["arm"]: m for m in mine if m["estimate"] is not None}


def _hundredfold(m: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: 100 * m[name] for name in ("estimate", "low", "high")}


def _style() -> Any:
    from matplotlib import rc_context

    # Fixed salt and no date: the same record gives the same picture. Text stays text, so it can be read and searched.
    return rc_context(
        {"svg.hashsalt": "spillover", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    )


def _figure(height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(8.2, height))


def _svg(figure: Any, what: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{what}" ', 1)


def _draw_arms(axes: Any, rows: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]], unit: str) -> None:
    """Draw one row of points per label, tuned above control, on bare axes with a line at zero."""
    for arm, colour, offset in (("tuned", TUNED_COLOUR, -0.13), ("control", CONTROL_COLOUR, 0.13)):
        _draw(axes, [(y, found[arm]) for y, (_, found) in enumerate(rows) if arm in found], arm, colour, offset)
    axes.axvline(0, color="#333333", linewidth=0.8)
    # A dollar sign in a name would be read as mathematics.
    axes.set_yticks(range(len(rows)), [label.replace("$", r"\$") for label, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(unit)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


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
