"""Open a file of rows, one a line, plain or .gz, within limits; every way in which that can fail has one message."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from spillover.errors import DataError

MOST_LINE_BYTES = 10_000_000
MOST_BYTES = 4_000_000_000
MOST_LINES = 10_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class LineProblem:
    """What is wrong with a line (1-based) or from it on, and how to mend it; `message` does not name the place."""

    code: Literal["blank-line", "line-too-long", "not-utf8", "damaged-gz", "too-large"]
    line: int
    message: str


OnProblem = Callable[[LineProblem], None]


def shown(path: Path | str) -> str:
    """Return a path as it can be printed: control characters, line ends and undecodable bytes written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def existing_file(path: str | Path) -> Path:
    """Return `path` where something is there that can be read; raises DataError for a folder and for nothing."""
    return _looked_up(path)[0]


def regular_file(path: str | Path) -> Path:
    """Return `path` where it is a regular file; raises DataError for a device or pipe too."""
    file, mode = _looked_up(path)
    if not stat.S_ISREG(mode):
        raise DataError(f"{shown(file)} is a device or pipe, which might never end: save it to a file first")
    return file


def opened(file: Path) -> IO[bytes]:
    """Open `file` for reading, a .gz for its unpacked bytes."""
    return cast("IO[bytes]", gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb"))


def each_line(file: Path, on_problem: OnProblem) -> Iterator[tuple[int, str | None]]:
    """Yield 1-based numbers and texts of the lines, blank ones left out; whatever is wrong goes to `on_problem`.

    Where `on_problem` returns, the reading goes on: the text is None for a line over 10 MB or one that is not UTF-8. A
    cut or damaged .gz, more than 4 GB unpacked or more than 10 million lines end it. Raises DataError where nothing can
    be read at all.
    """
    number, total = 0, 0
    try:
        with opened(file) as handle:
            while raw := handle.readline(MOST_LINE_BYTES + 1):
                number += 1
                total += len(raw)
                if len(raw) > MOST_LINE_BYTES:
                    on_problem(LineProblem("line-too-long", number, _too_long()))
                    total += _skip_line(handle, raw, MOST_BYTES - total)
                    yield number, None
                elif raw.strip():
                    yield number, _decoded(raw, number, on_problem)
                else:
                    message = "the line is blank: remove it, some services refuse it"
                    on_problem(LineProblem("blank-line", number, message))
                if total > MOST_BYTES or number >= MOST_LINES:
                    if total <= MOST_BYTES and not handle.read(1):
                        return
                    on_problem(LineProblem("too-large", number, _too_large()))
                    return
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        if isinstance(problem, gzip.BadGzipFile) and total == 0:
            raise DataError(
                f"{shown(file)} ends in .gz but is not gzip: rename it or pack it again ({str(problem)[:80]})"
            ) from None
        message = "the .gz file is cut off or damaged here: copy or pack it again"
        on_problem(LineProblem("damaged-gz", number + 1, message))
    except OSError as problem:
        raise DataError(f"{shown(file)} cannot be read: {_reason(problem)}") from None


def sound_lines(path: str | Path) -> Iterator[tuple[int, str, str]]:
    """Yield number, place ("file:line") and text of each line that is not blank; raises DataError for all else."""
    file = existing_file(path)
    name = shown(file)

    def refuse(problem: LineProblem) -> None:
        if problem.code != "blank-line":
            raise DataError(f"{name}:{problem.line}: {problem.message}")

    for number, text in each_line(file, refuse):
        if text is not None:
            yield number, f"{name}:{number}", text


def _looked_up(path: str | Path) -> tuple[Path, int]:
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{shown(file)} does not exist: check the path") from None
    except (OSError, ValueError) as problem:
        raise DataError(f"{shown(file)[:300]} cannot be read ({_reason(problem)}): check the path") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{shown(file)} is a folder: give the .jsonl file inside it")
    return file, mode


def _skip_line(handle: IO[bytes], raw: bytes, left: int) -> int:
    """Read on to the end of the line, or until `left` bytes are used up; returns the bytes read."""
    skipped = 0
    while raw and not raw.endswith(b"\n") and skipped <= left:
        raw = handle.readline(_CHUNK)
        skipped += len(raw)
    return skipped


def _decoded(raw: bytes, number: int, on_problem: OnProblem) -> str | None:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as problem:
        if number == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = "the file is UTF-16: save it as UTF-8"
        else:
            message = f"not UTF-8 (byte {problem.start + 1} of the line): save the file as UTF-8"
        on_problem(LineProblem("not-utf8", number, message))
        return None


def _too_long() -> str:
    return f"the line is longer than {MOST_LINE_BYTES // 10**6} MB: put one JSON object on each line"


def _too_large() -> str:
    return (
        f"more than {MOST_BYTES // 10**9} GB unpacked or {MOST_LINES // 10**6} million lines, and what follows was not "
        "read: split the file"
    )


def _reason(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)[:200]
