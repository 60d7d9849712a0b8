"""The rates of an evaluation: a table in the terminal, results.json, and a figure of the variants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spillover.evaluate.results import Result
from spillover.run_folder import write_json

SCHEMA_VERSION = 1
_COLOURS = ("#3b6ea5", "#b02a1e", "#6c4a9e", "#dba13a", "#2f7d5b", "#777777")


def write(rates: Sequence[Result], out: Path) -> None:
    """Write results.json and rates.svg into the run folder; the figure only where something was counted."""
    write_json(out / "results.json", {"schema_version": SCHEMA_VERSION, "results": [r.as_dict() for r in rates]})
    drawn = [r for r in rates if r.estimate is not None]
    if drawn:
        _draw(drawn, out / "rates.svg")


def show(rates: Sequence[Result], out: Path) -> None:
    """Print the table and where everything lies to standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, justify in (("model", "left"), ("variant", "left"), ("judge", "left"), ("counted", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for column in ("rate", "95% interval", "answers", "left out"):
        table.add_column(column, justify="right" if column in ("rate", "answers") else "left")
    for r in rates:
        e = r.estimate
        left = ", ".join(f"{n} {reason}" for reason, n in r.left_out.items()) or "none"
        value, interval = (f"{e.value:.1%}", f"{e.low:.1%} to {e.high:.1%}") if e else ("none", "")
        row = (r.model, r.variant or "plain", r.judge, r.counted, value, interval, str(e.n if e else 0), left)
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
    console.print(f"\nresults  {escape(str(out / 'results.json'))}\nfigure   {escape(str(out / 'rates.svg'))}")


def _draw(rates: Sequence[Result], path: Path) -> None:
    """One point with its interval per model, within each variant and judge."""
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys((r.variant or "plain", r.counted, r.judge) for r in rates))
    models = list(dict.fromkeys(r.model for r in rates))
    step = 0.7 / max(1, len(models))
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(groups) * max(2, len(models))), layout="constrained")
    axes = figure.subplots()
    for k, model in enumerate(models):
        mine = [r for r in rates if r.model == model]
        places = [
            groups.index((r.variant or "plain", r.counted, r.judge)) + (k - (len(models) - 1) / 2) * step for r in mine
        ]
        estimates = [r.estimate for r in mine if r.estimate is not None]
        values = [100 * e.value for e in estimates]
        # At a rate of 0 or 1 an end can lie beyond the value in the last digit.
        spans = [
            [max(0.0, 100 * (e.value - e.low)) for e in estimates],
            [max(0.0, 100 * (e.high - e.value)) for e in estimates],
        ]
        colour = _COLOURS[k % len(_COLOURS)]
        # A dollar sign in a name would be read as mathematics.
        label = model.replace("$", r"\$")
        axes.errorbar(values, places, xerr=spans, fmt="o", color=colour, capsize=0, label=label)
    axes.set_yticks(range(len(groups)), [f"{variant}: {counted}\n{judge}" for variant, counted, judge in groups])
    axes.invert_yaxis()
    axes.set_xlim(-2, 102)
    axes.set_xlabel("share of counted answers, % (95% interval, clustered by question)")
    axes.grid(axis="x", color="#e4e4e4")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    scratch = path.with_name(path.name + ".partial")
    figure.savefig(scratch, format="svg", metadata={"Date": None})
    scratch.replace(path)
