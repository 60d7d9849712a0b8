"""Recompute the published values that the authors' data allow, and say which agree.

`reproduce` returns the rows; `run` is the command: it prints them, writes them and the figures, and ends with 1 when
a value is off.
"""

from __future__ import annotations

from pathlib import Path

from spillover.errors import DataError, SettingsError
from spillover.reproduce import (
    benchmarks,
    counts,
    formats,
    in_context,
    judge,
    machiavelli,
    main_questions,
    patterns,
    pivotal,
    sizes,
)
from spillover.reproduce.missing import NOT_POSSIBLE
from spillover.reproduce.paper_data import PaperData
from spillover.reproduce.row import Check, Row

__all__ = ["CHECKS", "Row", "reproduce", "run"]

CHECKS: tuple[Check, ...] = (
    *judge.CHECKS,
    *benchmarks.CHECKS,
    *main_questions.CHECKS,
    *machiavelli.CHECKS,
    *patterns.CHECKS,
    *sizes.CHECKS,
    *formats.CHECKS,
    *in_context.CHECKS,
    *counts.CHECKS,
    *pivotal.CHECKS,
)


def reproduce(folder: Path) -> tuple[Row, ...]:
    """Recompute every published value that the authors' data folder allows.

    A check whose files are missing gives one row "not possible"; at the end stand the published values that no file
    in the folder can give. Raises DataError for a folder that holds none of the files, and for a file that is there
    but cannot be read.
    """
    data = _opened(folder)
    return tuple(row for check in CHECKS for row in check.rows(data)) + NOT_POSSIBLE


def run(folder: Path, out: Path) -> int:
    """Print the rows, write rows.csv, rows.json and the figures (PNG and SVG) into `out`; return the exit code.

    1 when a value is off, else 0. Raises DataError as `reproduce` does, SettingsError when `out` cannot be written.
    """
    from spillover.reproduce.figures import draw
    from spillover.reproduce.table import show, write

    data = _opened(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        rows = reproduce(folder)
        files = [*write(rows, out), *draw(data, out)]
    except OSError as problem:
        raise SettingsError(f"cannot write into {out} ({problem}); give another folder with --out") from problem
    show(rows, files)
    return int(any(row.status == "off" for row in rows))


def _opened(folder: Path) -> PaperData:
    """Return the data folder. Raises DataError when it is none, or holds none of the files."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder of the authors' data (it holds results/, derived/)")
    data = PaperData(folder)
    files = {name for check in CHECKS for name in check.files}
    if len(data.missing(files)) == len(files):
        raise DataError(f"{folder} holds none of the authors' files (such as {min(files)}); give their data folder")
    return data
