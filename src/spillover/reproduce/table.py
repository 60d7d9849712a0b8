"""The rows as a table on the terminal and as CSV and JSON files."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from spillover.reproduce.row import Row, Status

_STYLES: dict[Status, str] = {"equal": "green", "off": "bold red", "known": "yellow", "not possible": "dim"}
_MEANINGS: dict[Status, str] = {
    "equal": "equal",
    "off": "off",
    "known": "known (published value not reproduced by its own data)",
    "not possible": "not possible with this folder",
}
_GROUP_WIDTH = 26


def show(rows: Sequence[Row], files: Sequence[Path] = ()) -> None:
    """Print every row to standard output, then the counts by status and the files written.

    One heading per section and quantity, below it a line per group: value, published, difference, verdict. Lines fit
    in 80 columns, but for long reasons.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    quantities: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        quantities.setdefault((row.section, row.what), []).append(row)
    console.print(Text(_line("section and quantity", "value", "published", "difference", "verdict", 28), "bold"))
    for (section, what), same in quantities.items():
        console.print(Text(f"{section} {what}", "bold"))
        for row in same:
            cells = number(row.value), number(row.published), number(row.difference, "+.1e")
            if len(row.group) > _GROUP_WIDTH:
                console.print(Text(f"  {row.group}"))
            group = "" if len(row.group) > _GROUP_WIDTH else row.group
            console.print(Text(_line(group, *cells, "")), end="")
            console.print(Text(row.status, _STYLES[row.status]))
            if row.why:
                console.print(Text(f"    {row.why}", "dim"))
    counts = Counter(row.status for row in rows)
    console.print()
    console.print(", ".join(f"{counts[status]} {meaning}" for status, meaning in _MEANINGS.items() if counts[status]))
    for path in files:
        console.print(Text(str(path)))


def _line(group: str, value: str, published: str, difference: str, verdict: str, width: int = _GROUP_WIDTH) -> str:
    indent = " " * (28 - width)
    return f"{indent}{group:<{width}} {value:>12} {published:>12} {difference:>10}  {verdict}"


def number(value: float | None, form: str = ".7g") -> str:
    """Return a number as the table shows it; nothing for None, 0 for zero."""
    if value is None:
        return ""
    return "0" if value == 0 else format(value, form)


def write(rows: Sequence[Row], out: Path) -> tuple[Path, Path]:
    """Write rows.csv and rows.json, the fields of Row, into the existing folder `out`; return both paths.

    Empty cells and null stand for None. Raises OSError when they cannot be written.
    """
    table, text = out / "rows.csv", out / "rows.json"
    with table.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    content = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
    text.write_text(content + "\n", encoding="utf-8")
    return table, text
