"""One figure of a broad look: every benchmark and the free-form rate, a point with its interval per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spillover.broad.benchmarks import PRESETS
from spillover.broad.record import BroadLook
from spillover.statistics import Estimate
from spillover.whole_file import whole_file

_COLOURS = ("#3b6ea5", "#b02a1e", "#6c4a9e", "#dba13a", "#2f7d5b", "#777777")
FREE_FORM = "misaligned answers, free-form"


def draw_broad(look: BroadLook, free_form: Mapping[str, Estimate], models: Sequence[str], path: Path) -> bool:
    """Draw ability, honesty, harm and alignment of `models` side by side; returns whether there was anything to draw.

    Benchmarks where more is worse stand below the line with the free-form rate, the others above.
    """
    from matplotlib.figure import Figure

    rows: list[tuple[str, bool, dict[str, Estimate]]] = []
    for name in dict.fromkeys(r.benchmark for r in look.results):
        results = [r for r in look.results if r.benchmark == name]
        found = {r.model: r.estimate for r in results if r.estimate is not None}
        rows.append((PRESETS[name].title, results[0].worse == "higher", found))
    rows.append((FREE_FORM, True, {m: free_form[m] for m in models if m in free_form}))
    rows = sorted((row for row in rows if row[2]), key=lambda row: row[1])
    if not rows:
        return False
    step = 0.7 / max(1, len(models))
    figure = Figure(figsize=(8, 1.3 + 0.3 * len(rows) * max(2, len(models))), layout="constrained")
    axes = figure.subplots()
    for k, model in enumerate(models):
        points = [(place, found[model]) for place, (_, _, found) in enumerate(rows) if model in found]
        y = [place + (k - (len(models) - 1) / 2) * step for place, _ in points]
        x = [100 * e.value for _, e in points]
        spans = [
            [max(0.0, 100 * (e.value - e.low)) for _, e in points],
            [max(0.0, 100 * (e.high - e.value)) for _, e in points],
        ]
        # A dollar sign in a name would be read as mathematics.
        axes.errorbar(x, y, xerr=spans, fmt="o", color=_COLOURS[k % len(_COLOURS)], label=model.replace("$", r"\$"))
    better = sum(not worse for _, worse, _ in rows)
    if 0 < better < len(rows):
        axes.axhline(better - 0.5, color="#999999", linewidth=0.8)
    axes.set_yticks(
        range(len(rows)), [f"{title}\n({'more is worse' if worse else 'more is better'})" for title, worse, _ in rows]
    )
    axes.invert_yaxis()
    axes.set_xlim(-2, 102)
    axes.set_xlabel("score, % (95% interval)")
    axes.grid(axis="x", color="#e4e4e4")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    with whole_file(path) as handle:
        figure.savefig(handle, format="svg", metadata={"Date": None})
    return True
