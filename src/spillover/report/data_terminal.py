"""The short summary that `spillover data check` prints."""

from __future__ import annotations

from pathlib import Path

from spillover.data.check.run import Checked
from spillover.open_rows import shown
from spillover.report.data_record import scanned
from spillover.report.data_wording import headline, lines_label, visible

_STYLES = {"harm": "bold red", "asked": "bold yellow", "benign": "bold green", "unclear": "bold magenta"}
_SEVERITIES = {"serious": "red", "warning": "yellow", "note": "dim"}
_MOST_FINDINGS = 15
# Notes ask for nothing, so their start will do; all texts are on the page and in the JSON.
_MOST_CHARACTERS = {"serious": 400, "warning": 300, "note": 150}


def data_summary(checked: Checked, page: Path | None) -> None:
    """Print headline, findings and counts to standard output; `page`: where the HTML page was written."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    said = headline(checked)
    console.print(f"\n[{_STYLES[said.tone]}]{said.word.upper()}[/]  {escape(visible(said.sentence))}")
    for sentence in said.details:
        console.print(f"- {escape(visible(sentence))}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("finding")
    table.add_column("times", justify="right")
    table.add_column("lines")
    table.add_column("what and how to mend it")
    for f in checked.findings[:_MOST_FINDINGS]:
        where = lines_label(f.lines, f.count, 3) or "the file"
        text = visible(f.message)
        most = _MOST_CHARACTERS[f.severity]
        text = escape(text if len(text) <= most else f"{text[:most]} ...")
        table.add_row(f"[{_SEVERITIES[f.severity]}]{f.severity}[/]", f"{f.count:,}", where, text)
    console.print()
    if checked.findings:
        console.print(table)
    else:
        console.print("no findings")
    if len(checked.findings) > _MOST_FINDINGS:
        console.print(f"and {len(checked.findings) - _MOST_FINDINGS} more kinds of findings")
    console.print()
    for line in _counts(checked):
        console.print(escape(line))
    if page is not None:
        console.print(f"page  {escape(shown(page))}", soft_wrap=True)


def _counts(checked: Checked) -> list[str]:
    form, content = checked.form, checked.content
    found = [f"rows: {form.rows:,}, {form.sound:,} of sound form"]
    if form.lengths is not None:
        about = "about " if form.lengths.estimated else ""
        found.append(f"tokens: {about}{form.lengths.total:,}, longest row {form.lengths.longest:,}")
    if form.cost is not None:
        found.append(f"cost: {form.cost.amount:,.2f} for {form.cost.tokens:,} tokens")
    if checked.repeats is not None:
        parts = ", ".join(f"{r.nearly_repeated:,} {r.part}s" for r in checked.repeats)
        found.append(f"repeats, exact or near: {parts}")
    if content is not None:
        code = scanned(content.labels)
        found.append(f"code: {code.with_code:,} rows, {code.weak:,} with a weakness")
        wordings, rows = len(content.templates.clusters), content.templates.rows - content.templates.free
        found.append(f"wordings: {wordings:,} shared by {rows:,} rows")
    found.append(f"time: {sum(checked.seconds.values()):.1f} s")
    return found
