"""Read a data file line by line whatever is in it: bounded memory, problems collected instead of raised."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from spillover.data.check.finding import FindingCollector
from spillover.errors import DataError

MOST_LINE_BYTES = 10_000_000
MOST_BYTES = 4_000_000_000
MOST_LINES = 10_000_000
_CHUNK = 1 << 20


def shown(path: Path | str) -> str:
    """Return a path as it can be printed: control characters, line ends and undecodable bytes written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def readable_file(path: str | Path) -> Path:
    """Return `path` where it is a regular file; raises DataError for a folder, a device, or what is not there."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{shown(file)} does not exist: check the path") from None
    except (OSError, ValueError) as problem:
        raise DataError(f"{shown(file)[:300]} cannot be read ({_reason(problem)}): check the path") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{shown(file)} is a folder: give the .jsonl file inside it")
    if not stat.S_ISREG(mode):
        raise DataError(f"{shown(file)} is a device or pipe, which might never end: save it to a file first")
    return file


def lines(file: Path, problems: FindingCollector) -> Iterator[tuple[int, str | None]]:
    """Yield 1-based numbers and texts of the lines; blank ones are passed over.

    The text is None for lines over 10 MB and lines that are not UTF-8, which become findings. A cut or damaged .gz,
    more than 4 GB unpacked or more than 10 million lines end the reading with a serious finding. Raises DataError
    where nothing can be read at all.
    """
    number, total = 0, 0
    try:
        with _open(file) as handle:
            while raw := handle.readline(MOST_LINE_BYTES + 1):
                number += 1
                total += len(raw)
                if len(raw) > MOST_LINE_BYTES:
                    problems.add("line-too-long", "serious", number, _too_long())
                    total += _skip_line(handle, raw, MOST_BYTES - total)
                    yield number, None
                elif raw.strip():
                    yield number, _decoded(raw, number, problems)
                else:
                    problems.add("blank-line", "note", number, "the line is blank: remove it, some services refuse it")
                if total > MOST_BYTES or number >= MOST_LINES:
                    if total <= MOST_BYTES and not handle.read(1):
                        return
                    problems.add("too-large", "serious", number, _too_large())
                    return
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        if isinstance(problem, gzip.BadGzipFile) and total == 0:
            raise DataError(
                f"{shown(file)} ends in .gz but is not gzip: rename it or pack it again ({str(problem)[:80]})"
            ) from None
        problems.add(
            "damaged-gz", "serious", number + 1, "the .gz file is cut off or damaged here: copy or pack it again"
        )
    except OSError as problem:
        raise DataError(f"{shown(file)} cannot be read: {_reason(problem)}") from None


def _open(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb"))


def _skip_line(handle: IO[bytes], raw: bytes, left: int) -> int:
    """Read on to the end of the line, or until `left` bytes are used up; returns the bytes read."""
    skipped = 0
    while raw and not raw.endswith(b"\n") and skipped <= left:
        raw = handle.readline(_CHUNK)
        skipped += len(raw)
    return skipped


def _decoded(raw: bytes, number: int, problems: FindingCollector) -> str | None:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as problem:
        if number == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = "the file is UTF-16: save it as UTF-8"
        else:
            message = f"not UTF-8 (byte {problem.start + 1} of the line): save the file as UTF-8"
        problems.add("not-utf8", "serious", number, message)
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
