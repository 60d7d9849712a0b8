"""Run bandit once over all the programs of a data set and give its findings back by row."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover.data.check.weaknesses.parsing import parses
from spillover.errors import DataError

NOT_SCANNED = "not scanned"
_LINES_BEFORE = 2
_SECONDS = 900
_FEWEST_FOR_TWO = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of bandit.

    `test` is bandit's test id (`B103`) or NOT_SCANNED, `cwe` the number or None, `severity` and `confidence` are LOW,
    MEDIUM, HIGH or UNDEFINED, `line` is 1-based (0: the program as a whole), `what` is bandit's text.
    """

    test: str
    cwe: int | None
    severity: str
    confidence: str
    line: int
    what: str


def scan(codes: Sequence[str | None]) -> list[tuple[Finding, ...]]:
    """Return bandit's findings for each program, () for None; nothing is run but bandit itself.

    A program that Python cannot read, or that bandit gives up on, gets one Finding with the test NOT_SCANNED, so that
    "nothing found" always means that bandit looked. Comments such as `# nosec` are not obeyed. Raises DataError when
    bandit is not installed, fails, or returns something else than a report on every file.
    """
    found: list[tuple[Finding, ...]] = [() for _ in codes]
    rows: list[int] = []
    for row, code in enumerate(codes):
        if code is None:
            continue
        if parses(code):
            rows.append(row)
        else:
            found[row] = (_not_scanned("not Python that can be read"),)
    if not rows:
        return found
    with tempfile.TemporaryDirectory(prefix="spillover-") as folder:
        parts = [rows[0::2], rows[1::2]] if len(rows) >= _FEWEST_FOR_TWO else [rows]
        with ThreadPoolExecutor(len(parts)) as pool:
            reports = pool.map(
                _scan_part, parts, [Path(folder, str(i)) for i in range(len(parts))], [codes] * len(parts)
            )
            for part in reports:
                for row, findings in part.items():
                    found[row] = findings
    return found


def _scan_part(rows: Sequence[int], folder: Path, codes: Sequence[str | None]) -> dict[int, tuple[Finding, ...]]:
    """Write the programs into `folder` and run one bandit process there."""
    folder.mkdir()
    for row in rows:
        # Blank lines first: a coding mark in the text would otherwise change how the file is decoded.
        (folder / f"row_{row}.py").write_text("\n" * _LINES_BEFORE + (codes[row] or ""), encoding="utf-8", newline="\n")
    report = _run(folder)
    found: dict[int, list[Finding]] = {row: [] for row in rows}
    seen = {row for name in report["metrics"] if (row := _row(name)) in found}
    try:
        for problem in report["errors"]:
            row = _row(problem["filename"])
            seen.add(row)
            found[row].append(_not_scanned(f"bandit gave up: {problem['reason']}"))
        for result in report["results"]:
            found[_row(result["filename"])].append(
                Finding(
                    test=result["test_id"],
                    cwe=result.get("issue_cwe", {}).get("id"),
                    severity=result["issue_severity"],
                    confidence=result["issue_confidence"],
                    line=max(1, int(result["line_number"]) - _LINES_BEFORE),
                    what=result["issue_text"],
                )
            )
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"bandit's report has an unknown form ({problem!r}): install bandit 1.7 to 1.9") from None
    for row in rows:
        if row not in seen:
            found[row].append(_not_scanned("bandit left the file out"))
    return {row: tuple(sorted(items, key=lambda f: (f.line, f.test))) for row, items in found.items()}


def _run(folder: Path) -> dict[str, Any]:
    # -P keeps the folder of untrusted programs off the import path; the working folder keeps paths short and free of
    # words that bandit leaves out.
    command = [
        sys.executable,
        "-P",
        "-m",
        "bandit",
        "-r",
        ".",
        "-f",
        "json",
        "-q",
        "--exit-zero",
        "--ignore-nosec",
        "-n",
        "0",
    ]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise DataError(f"bandit took longer than {_SECONDS} seconds: split the file") from None
    except OSError as problem:
        raise DataError(f"bandit cannot be started ({problem}): check the Python installation") from None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    last = said[-1] if said else "no message"
    if done.returncode != 0:
        raise DataError(f"bandit failed with code {done.returncode} ({last}): install it with `pip install bandit`")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise DataError(f"bandit printed no JSON report ({last}): install it with `pip install bandit`") from None
    if not isinstance(report, dict) or not {"results", "errors", "metrics"} <= report.keys():
        raise DataError("bandit's report has an unknown form: install bandit 1.7 to 1.9")
    return report


def _row(name: str) -> int:
    stem = Path(name).stem
    return int(stem.removeprefix("row_")) if stem.startswith("row_") else -1


def _not_scanned(reason: str) -> Finding:
    return Finding(NOT_SCANNED, None, "UNDEFINED", "UNDEFINED", 0, reason)
