"""The page of a watched run: curves of the readings with the alarm marked; one file, no script, no network."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spillover.report.templates import environment
from spillover.whole_file import whole_file

if TYPE_CHECKING:
    from spillover.monitor.alarm import Alarm

# Each panel: its axis and the signals drawn in it, with a colour and a name for people.
_PANELS = (
    (
        "nats per token",
        (("probe_shift", "outside the domain", "#b3261e"), ("narrow_shift", "inside (narrow effect)", "#3a6ea5")),
    ),
    (
        "spreads of the base",
        (
            ("persona", "along the persona directions", "#6a3fa0"),
            ("persona_random", "random directions", "#9a9a9a"),
            ("persona_shuffled", "shuffled labels", "#c9a24b"),
        ),
    ),
    (
        "share of the mass",
        (("letters_share_shift", "letter questions", "#2e7d32"), ("pivotal_share_shift", "pivotal tokens", "#b26a00")),
    ),
)


def write_watch_page(
    name: str, readings: Sequence[Mapping[str, Any]], end: Mapping[str, Any], alarm: Alarm | None, path: Path
) -> None:
    """Write the page of the run on the data called `name`.

    `readings` are as stored: step and signals, or step and the reason why a reading is missing. `end` says how the
    watch ended (alarm_step, kept_step, steps, training_seconds, reading_seconds); empty while it has not.
    """
    read = [r for r in readings if "signals" in r]
    html = (
        environment()
        .get_template("watch_template.html")
        .render(
            name=name,
            read=read,
            missing=[r for r in readings if "missing" in r],
            end=end,
            alarm=alarm,
            picture=curves(read, end, alarm) if read else None,
            shown=[s for _, signals in _PANELS for s, *_ in signals if read and s in read[-1]["signals"]],
        )
    )
    with whole_file(path) as handle:
        handle.write(html.encode())


def curves(read: Sequence[Mapping[str, Any]], end: Mapping[str, Any], alarm: Alarm | None) -> str:
    """Draw the signals over the steps, every run starting from 0 at step 0; returns one `<svg>` element.

    A vertical line marks the alarm, a dashed one its threshold, a dotted one the step that a rollback put back.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    there = [(unit, [s for s in signals if s[0] in read[-1]["signals"]]) for unit, signals in _PANELS]
    panels = [(unit, signals) for unit, signals in there if signals]
    style = {"svg.hashsalt": "spillover", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    with pyplot.rc_context(style):
        figure, grid = pyplot.subplots(len(panels), figsize=(8.2, 2.5 * len(panels)), sharex=True, squeeze=False)
        for (unit, signals), axes in zip(panels, grid[:, 0], strict=True):
            for key, label, colour in signals:
                points = [(0, 0.0)] + [(r["step"], r["signals"][key]) for r in read]
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3.5, color=colour, label=label)
                if alarm is not None and alarm.signal == key:
                    axes.axhline(alarm.threshold, color=colour, linewidth=1, linestyle="--", label="alarm threshold")
            _mark(axes, end)
            axes.axhline(0, color="#333333", linewidth=0.8)
            axes.set_ylabel(unit)
            axes.legend(loc="upper left", frameon=False, fontsize=9)
            axes.grid(color="#e4e4e4", linewidth=0.6)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        grid[-1, 0].set_xlabel("optimiser step")
        text = io.StringIO()
        figure.savefig(text, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace("<svg ", '<svg role="img" aria-label="Readings over the steps" ', 1)


def _mark(axes: Any, end: Mapping[str, Any]) -> None:
    if end.get("alarm_step") is not None:
        axes.axvline(end["alarm_step"], color="#b3261e", linewidth=1.4, label=f"alarm, step {end['alarm_step']}")
    if end.get("kept_step") is not None:
        axes.axvline(end["kept_step"], color="#333333", linewidth=1, linestyle=":", label="weights kept")
