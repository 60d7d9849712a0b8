"""Finding: one kind of problem in a data file, where it was met and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
# More lines than this help nobody, and the list must stay small for files of any size.
MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of problem.

    `code`: a stable name; `message`: what is wrong, where first, and how to mend it; `lines`: the first lines of the
    file where it was met (1-based, at most MOST_LINES; empty: it concerns the whole file); `count`: how often.
    """

    code: str
    severity: Severity
    message: str
    lines: tuple[int, ...] = ()
    count: int = 1


class FindingCollector:
    """Gathers problems of one file in bounded memory: one entry per code, whatever the number of rows."""

    def __init__(self, file: str) -> None:
        """Keep `file`, the name that messages start with."""
        self.file = file
        self._found: dict[str, tuple[Severity, str, list[int], int]] = {}

    def add(self, code: str, severity: Severity, line: int, message: str) -> None:
        """Count one problem; the first `message` of a code is kept. `line` 0: the file as a whole."""
        old = self._found.get(code)
        if old is None:
            where = f"{self.file}:{line}" if line else self.file
            self._found[code] = (severity, f"{where}: {message}", [line] if line else [], 1)
            return
        kept, text, lines, count = old
        if line and len(lines) < MOST_LINES and lines[-1:] != [line]:
            lines.append(line)
        self._found[code] = (kept, text, lines, count + 1)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was gathered, worst first."""
        return worst_first(Finding(c, s, m, tuple(lines), n) for c, (s, m, lines, n) in self._found.items())


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by severity, then by how often, then by code."""
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), -f.count, f.code)))
