"""The short table at the end of an audit, with the numbers of verdict.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spillover.broad.benchmarks import PRESETS
from spillover.report.wording import headline, number, short_label

if TYPE_CHECKING:
    from rich.console import Console

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
    if record["broad"] is not None:
        _broad(console, record)
    console.print(f"\nreport   {escape(str(folder / 'report.html'))}\nverdict  {escape(str(folder / 'verdict.json'))}")


def _broad(console: Console, record: Mapping[str, Any]) -> None:
    """Print each benchmark's score per arm, the pattern with its evidence, and what was not run."""
    from rich.markup import escape
    from rich.table import Table

    arms = [arm["name"] for arm in record["arms"]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("benchmark", *arms, "worse is"):
        table.add_column(column)
    results = record["broad"]["results"]
    for name in dict.fromkeys(r["benchmark"] for r in results):
        mine = {r["model"]: r for r in results if r["benchmark"] == name}
        cells = (_score(mine.get(arm)) for arm in arms)
        table.add_row(escape(PRESETS[name].title), *cells, PRESETS[name].worse)
    if results:
        console.print()
        console.print(table)
    for arm, found in record["broad"]["patterns"].items():
        console.print(escape(f"pattern of {arm}: {found['pattern'] or 'not named: ' + found['why']}"))
        for sentence in found.get("evidence", ()):
            console.print(escape(f"- {sentence}"))
        for group in found.get("paper", ()):
            console.print(escape(f"for comparison, {group['sentence']}"))
    for one in (r for r in results if r["note"]):
        console.print(escape(f"note: {PRESETS[one['benchmark']].title} of {one['model']}: {one['note']}"))
    for one in record["broad"]["not_run"]:
        whose = "" if one["model"] is None else f" on {one['model']}"
        console.print(escape(f"not run: {PRESETS[one['benchmark']].title}{whose}: {one['reason']}"))


def _score(result: Mapping[str, Any] | None) -> str:
    if result is None or result["score"] is None:
        return "none"
    return f"{result['score']:.3f} ({result['low']:.3f} to {result['high']:.3f})"


def _missing(record: Mapping[str, Any]) -> str:
    rates = [m for m in record["measures"] if m["name"] == "misaligned rate" and m["missing"]]
    parts = [
        f"{m['arm']} {m['domain']}-domain " + ", ".join(f"{n} {reason}" for reason, n in sorted(m["missing"].items()))
        for m in rates
    ]
    return "; ".join(parts)
