"""One figure of a broad look: every benchmark and the free-form rate, a point with its interval per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spillover.broad.benchmarks import PRESETS
from spillover.broad.record import BroadLook
from spillover.report.dot_plot import draw_dots
from spillover.statistics import Estimate

FREE_FORM = "misaligned answers, free-form"


def draw_broad(look: BroadLook, free_form: Mapping[str, Estimate], models: Sequence[str], path: Path) -> bool:
    """Draw ability, honesty, harm and alignment of `models` side by side; returns whether there was anything to draw.

    Benchmarks where more is worse stand below the line with the free-form rate, the others above.
    """
    rows: list[tuple[str, bool, dict[str, Estimate]]] = []
    for name in dict.fromkeys(r.benchmark for r in look.results):
        results = [r for r in look.results if r.benchmark == name]
        found = {r.model: r.estimate for r in results if r.estimate is not None}
        title = PRESETS[name].title + (", % of a random agent" if PRESETS[name].games else "")
        rows.append((title, results[0].worse == "higher", found))
    rows.append((FREE_FORM, True, {m: free_form[m] for m in models if m in free_form}))
    rows = sorted((row for row in rows if row[2]), key=lambda row: row[1])
    if not rows:
        return False
    better = sum(not worse for _, worse, _ in rows)
    drawn = [(f"{title}\n({'more is worse' if worse else 'more is better'})", found) for title, worse, found in rows]
    line = better if 0 < better < len(rows) else None
    draw_dots(drawn, models, "score, % (95% interval)", path, line)
    return True
