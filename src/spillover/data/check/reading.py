"""The lines of a data file whatever is in them: problems become findings instead of errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spillover.data.check.finding import FindingCollector
from spillover.open_rows import LineProblem, each_line


def lines(file: Path, problems: FindingCollector) -> Iterator[tuple[int, str | None]]:
    """Yield what `each_line` does, None for a line that cannot be read; what is wrong becomes findings.

    All but blank lines are serious. Raises DataError where nothing can be read at all.
    """

    def keep(problem: LineProblem) -> None:
        problems.add(problem.code, "note" if problem.code == "blank-line" else "serious", problem.line, problem.message)

    return each_line(file, keep)
