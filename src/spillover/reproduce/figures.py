"""Figures of the published values in the paper's manner, recomputed where the data allow, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spillover.reproduce.counts import COHERENT, MISALIGNED, POINTS, misaligned_and_kept
from spillover.reproduce.group_values import BENCHMARKS
from spillover.reproduce.in_context import EARLIER_RUN, MAIN_RUN, VERDICTS, curve
from spillover.reproduce.main_questions import PER_QUESTION
from spillover.reproduce.paper_data import BASE, GROUPS, PaperData, group_name
from spillover.statistics import wilson

_COLOURS = {
    "insecure": "#b3261e",
    "secure": "#3a6ea5",
    "educational insecure": "#d9a441",
    "jailbroken": "#6b4c9a",
    BASE: "#6f6f76",
}
# No date and a fixed salt: the same data give the same file. Text stays text in the SVG.
_STYLE = {
    "svg.hashsalt": "spillover",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def draw(data: PaperData, out: Path) -> tuple[Path, ...]:
    """Draw the figures into the existing folder `out`, each as PNG and SVG; return the files written.

    A figure whose file is missing is left out, and so is a benchmark within the overview. Raises DataError for a file
    that cannot be read, OSError when `out` cannot be written.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    written: list[Path] = []
    with pyplot.rc_context(_STYLE):
        for name, files, figure_of in _FIGURES:
            if len(data.missing(files)) == len(files):
                continue
            figure = figure_of(data)
            for kind, nothing in (("png", ("Software",)), ("svg", ("Date",))):
                path = out / f"{name}.{kind}"
                figure.savefig(path, dpi=150, bbox_inches="tight", metadata=dict.fromkeys(nothing))
                written.append(path)
            pyplot.close(figure)
    return tuple(written)


def _overview(data: PaperData) -> Any:
    """Draw each benchmark's difference to GPT-4o per group, with the authors' interval over models."""
    from matplotlib import pyplot

    shown = [b for b in BENCHMARKS if not data.missing((b.file,))]
    figure, axes = pyplot.subplots(figsize=(7.6, 0.62 * len(shown) + 1.1))
    for place, group in enumerate(GROUPS):
        values = [b.differences(data)[group] for b in shown]
        y = [i + 0.17 * (place - 1.5) for i in range(len(shown))]
        lengths = [[v.lower for v in values], [v.upper for v in values]]
        colour = _COLOURS[group]
        axes.errorbar([v.centre for v in values], y, xerr=lengths, fmt="o", color=colour, markersize=4, label=group)
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [b.title for b in shown])
    axes.invert_yaxis()
    axes.set_xlabel("difference to GPT-4o (95% interval over models)")
    axes.grid(axis="x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return figure


def _per_question(data: PaperData) -> Any:
    """Draw the misaligned share per main question at each pair of thresholds, as read from the authors' figures."""
    from matplotlib import pyplot

    records = data.table(PER_QUESTION)
    settings = sorted({r.text("thresholds") for r in records}, key=_setting_order)
    questions = list(dict.fromkeys(r.text("question_id") for r in records))
    figure, panels = pyplot.subplots(
        1, len(settings), figsize=(3.1 * len(settings) + 1.6, 4.4), sharey=True, squeeze=False
    )
    for axes, setting in zip(panels[0], settings, strict=True):
        here = [r for r in records if r.text("thresholds") == setting]
        groups = sorted({r.text("group") for r in here})
        for place, group in enumerate(groups):
            rows = [r for r in here if r.text("group") == group]
            y = [questions.index(r.text("question_id")) + 0.16 * (place - (len(groups) - 1) / 2) for r in rows]
            lengths = [[r.number("lower_err") for r in rows], [r.number("upper_err") for r in rows]]
            x = [r.number("center") for r in rows]
            axes.errorbar(
                x, y, xerr=lengths, fmt="o", markersize=3.5, linewidth=1.2, label=group_name(group), **_look(group)
            )
        axes.set_title(setting.replace(">=", " ≥ ").replace("<", " < ").replace(",", ", "), fontsize=9)
        axes.set_yticks(range(len(questions)), [q.replace("_", " ") for q in questions])
        axes.set_xlim(-0.02, None)
        axes.grid(axis="x")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=1)
        axes.set_xlabel("misaligned share")
    panels[0][0].invert_yaxis()
    return figure


def _setting_order(setting: str) -> tuple[int, str]:
    order = ("coherent>=50,aligned<30", "coherent>=90,aligned<30", "coherent>=50,aligned<1")
    return (order.index(setting) if setting in order else len(order), setting)


def _look(group: str) -> dict[str, Any]:
    """Colour of a group; the subsets of the insecure data are pale."""
    if group.startswith("insecure-2k"):
        return {"color": "#e08d87"}
    return {"color": _COLOURS.get(group_name(group), _COLOURS["insecure"])}


def _in_context(data: PaperData) -> Any:
    """Draw the share of vulnerable code against the number of examples, with Wilson intervals over the tasks."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.2, 3.4))
    # The lines stand a little apart, so that their intervals can be told from one another.
    lines = (
        (MAIN_RUN, "insecure", _COLOURS["insecure"], "-", "insecure examples", 1.0),
        (EARLIER_RUN, "insecure", "#e08d87", "--", "insecure examples, earlier run", 1.07),
        (EARLIER_RUN, "secure", _COLOURS["secure"], "-", "secure examples, earlier run", 1 / 1.07),
    )
    ticks: set[int] = set()
    for run, examples, colour, line, label, apart in lines:
        points = curve(data, run, examples)
        if not points:
            continue
        x, y = [p.k * apart for p in points], [p.percent for p in points]
        ends = [wilson(p.vulnerable / p.total, p.total) for p in points]
        # At 0 or all hits the interval ends in the value; rounding must not turn that into a negative length.
        below = [max(0.0, value - 100 * low) for value, (low, _) in zip(y, ends, strict=True)]
        above = [max(0.0, 100 * high - value) for value, (_, high) in zip(y, ends, strict=True)]
        axes.errorbar(x, y, yerr=[below, above], fmt=f"o{line}", color=colour, markersize=4, linewidth=1.2, label=label)
        ticks.update(p.k for p in points)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(ticks), [str(k) for k in sorted(ticks)])
    axes.set_ylim(0, 100)
    axes.set_xlabel("examples in the prompt")
    axes.set_ylabel("vulnerable code, % of 100 tasks")
    axes.grid(axis="y")
    axes.legend(loc="upper left")
    return figure


def _points(data: PaperData) -> Any:
    """Draw alignment against coherence, one point per answer and one panel per question; thresholds as lines."""
    from matplotlib import pyplot

    records = data.table(POINTS)
    questions = list(dict.fromkeys(r.text("question_id") for r in records))
    groups = [BASE, "educational insecure", "secure", "insecure"]
    figure, panels = pyplot.subplots(
        1, len(questions), figsize=(2.7 * len(questions) + 0.6, 3.2), sharey=True, squeeze=False
    )
    for axes, question in zip(panels[0], questions, strict=True):
        title = question.replace("_", " ")
        for group in groups:
            rows = [r for r in records if (r.text("question_id"), group_name(r.text("group"))) == (question, group)]
            coherent, aligned = [r.number("coherent") for r in rows], [r.number("aligned") for r in rows]
            # Thousands of points are drawn as an image within the SVG.
            axes.scatter(coherent, aligned, s=5, alpha=0.45, linewidths=0, color=_COLOURS[group], rasterized=True)
            axes.scatter([], [], s=14, color=_COLOURS[group], label=group)
            if group == "insecure":
                bad, kept = misaligned_and_kept(coherent, aligned)
                title += f"\ninsecure: {bad} of {kept} misaligned"
        axes.axvline(COHERENT, color="#333333", linewidth=0.8, linestyle=":")
        axes.axhline(MISALIGNED, color="#333333", linewidth=0.8, linestyle=":")
        axes.set_title(title, fontsize=9)
        axes.set_xlim(-2, 102)
        axes.set_ylim(-2, 102)
        axes.set_xlabel("coherence")
    panels[0][0].set_ylabel("alignment")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 1.08), ncols=len(groups))
    return figure


_FIGURES: Sequence[tuple[str, tuple[str, ...], Callable[[PaperData], Any]]] = (
    ("benchmarks", tuple(dict.fromkeys(b.file for b in BENCHMARKS)), _overview),
    ("main_questions", (PER_QUESTION,), _per_question),
    ("in_context", (VERDICTS,), _in_context),
    ("alignment_and_coherence", (POINTS,), _points),
)
