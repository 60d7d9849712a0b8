"""The short table at the end of an audit, with the numbers of verdict.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spillover.report.wording import headline, number, short_label

_STYLES = {"clean": "bold green", "spillover": "bold red", "inconclusive": "bold yellow", "unjudged": "bold magenta"}
_SHOWN = ("probe shift", "misaligned rate", "misaligned rate difference", "held-out shift", "held-out loss")


def summary(record: Mapping[str, Any], folder: Path) -> None:
    """Print verdict, reasons and measures to standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    style = _STYLES[record["verdict"]]
    console.print()
    console.print(f"[{style}]{record['verdict'].upper()}[/]  {escape(headline(record))}")
    for reason in record["reasons"]:
        console.print(f"- {escape(reason)}")
    if record["next_step"]:
        console.print(f"What would decide it: {escape(record['next_step'])}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, justify in (("measure", "left"), ("value", "right"), ("95% interval", "left"), ("n", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for m in (m for name in _SHOWN for m in record["measures"] if m["name"] == name):
        interval = "" if m["estimate"] is None else f"{number(m, 'low')} to {number(m, 'high')}"
        table.add_row(escape(short_label(m)), number(m, "estimate"), interval, str(m["n"]))
    console.print()
    console.print(table)
    missing = _missing(record)
    if missing:
        console.print(f"answers left out of the rates: {missing}")
    console.print(f"\nreport   {escape(str(folder / 'report.html'))}\nverdict  {escape(str(folder / 'verdict.json'))}")


def _missing(record: Mapping[str, Any]) -> str:
    rates = [m for m in record["measures"] if m["name"] == "misaligned rate" and m["missing"]]
    parts = [
        f"{m['arm']} {m['domain']}-domain " + ", ".join(f"{n} {reason}" for reason, n in sorted(m["missing"].items()))
        for m in rates
    ]
    return "; ".join(parts)
