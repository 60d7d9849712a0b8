"""The map of a data file: how many rows each wording and each sort of repeat has, by what the rows are."""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spillover.data.check.duplicates import Repeats
from spillover.data.check.intent import Label
from spillover.data.check.run import Content
from spillover.report.data_wording import masked, visible

MOST_BARS = 30
_COLOURS: dict[Label | None, tuple[str, str]] = {
    "undisclosed": ("#b3261e", "undisclosed harm"),
    "requested": ("#d9a441", "harm openly asked for"),
    "benign": ("#3a6ea5", "no harm found"),
    None: ("#c9c9cf", "not judged"),
}
_LABEL_WIDTH = 48


def cluster_map(content: Content, repeats: Sequence[Repeats]) -> str | None:
    """Draw rows by wording, most first, then those that repeat another; returns one `<svg>`, None with nothing to draw.

    At most 30 bars: the smaller wordings share one. Colours are the rows' intents.
    """
    label_of = {row.line: row.label for row in content.intents}
    clusters = content.templates.clusters
    tail = [
        (f"{r.part}s that repeat ({len(r.near):,} group{'s' * (len(r.near) != 1)})", _lines(r))
        for r in repeats
        if r.near
    ]
    if not clusters and not tail:
        return None
    room = MOST_BARS - len(tail) - 1
    kept = clusters if len(clusters) <= room else clusters[: room - 1]
    bars = [(_label(f"{i}. {k.wording}"), k.lines) for i, k in enumerate(kept, 1)]
    if rest := clusters[len(kept) :]:
        bars.append((f"{len(rest):,} more wordings", tuple(n for k in rest for n in k.lines)))
    if content.templates.free:
        taken = {n for k in clusters for n in k.lines}
        bars.append(("no shared wording", tuple(n for n in label_of if n not in taken)))
    counted = [(name, Counter(label_of.get(n) for n in lines)) for name, lines in bars + tail]
    return _drawn(counted, len(bars))


def _lines(repeats: Repeats) -> tuple[int, ...]:
    return tuple(n for k in repeats.near for n in k.lines)


def _drawn(bars: Sequence[tuple[str, Mapping[Label | None, int]]], wordings: int) -> str:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # Wordings hold dollar signs, which are no formulas here.
    style = {
        "svg.hashsalt": "spillover",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.parse_math": False,
    }
    with pyplot.rc_context(style), warnings.catch_warnings():
        # Letters that matplotlib's font lacks are drawn by the browser with its own.
        warnings.simplefilter("ignore", UserWarning)
        figure, axes = pyplot.subplots(figsize=(5.4, 0.235 * (len(bars) + 1) + 0.6))
        # Repeats stand apart: their rows are counted among the wordings already.
        places = [i if i < wordings else i + 0.7 for i in range(len(bars))]
        left = [0] * len(bars)
        for label, (colour, name) in _COLOURS.items():
            counts = [found.get(label, 0) for _, found in bars]
            if any(counts):
                axes.barh(places, counts, left=left, color=colour, height=0.72, label=name)
            left = [a + b for a, b in zip(left, counts, strict=True)]
        for place, total in zip(places, left, strict=True):
            axes.annotate(f"{total:,}", (total, place), (3, 0), textcoords="offset points", va="center")
        axes.set_yticks(places, [name for name, _ in bars])
        axes.invert_yaxis()
        axes.margins(x=0.1, y=0.02)
        axes.set_xlabel("rows")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, handlelength=1)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", bbox_inches="tight", transparent=True, metadata=nothing)
        pyplot.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # Inside an HTML page the names of XML's vocabularies are known; without them the page holds no web address.
    for name in ('xmlns="http://www.w3.org/2000/svg"', 'xmlns:xlink="http://www.w3.org/1999/xlink"'):
        svg = svg.replace(name, "", 1)
    return svg.replace("<svg ", '<svg role="img" aria-label="Rows by wording and repeats" ', 1)


def _label(wording: str) -> str:
    """Return the start of a wording on one line, as wide as fits; wide letters count twice."""
    text = " ".join(visible(masked(wording)).split())
    widths = _running(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    fitting = sum(w <= _LABEL_WIDTH for w in widths)
    return text if fitting == len(text) else text[: fitting - 1].rstrip() + "…"


def _running(values: Iterable[int]) -> list[int]:
    total, sums = 0, []
    for value in values:
        total += value
        sums.append(total)
    return sums
