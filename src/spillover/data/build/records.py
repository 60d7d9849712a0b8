"""Read rows that are not chats: JSON Lines or one JSON list, plain or .gz, within limits."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from spillover.errors import DataError
from spillover.open_rows import existing_file, opened

MAX_BYTES = 400_000_000


def read_records(path: Path, keys: tuple[str, ...]) -> tuple[tuple[int, dict[str, Any]], ...]:
    """Return (line, record) for every row of `path`; a record holds at least `keys`.

    In a JSON list the item's number, from 1, stands for the line. Blank lines are left out. Raises DataError naming
    `file:line` and the fix: not readable, damaged or over 400 MB, not UTF-8, not JSON, no object, a key missing, half a
    surrogate pair, no row.
    """
    text = _text(path)
    if text.lstrip()[:1] == "[":
        loaded = _parse(text, str(path))
        items = list(enumerate(loaded, 1)) if isinstance(loaded, list) else []
    else:
        lines = enumerate(text.split("\n"), 1)
        items = [(number, _parse(line, f"{path}:{number}")) for number, line in lines if line.strip()]
    for number, record in items:
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: not an object: each row must be an object with {_list(keys)}")
        missing = [key for key in keys if key not in record]
        if missing:
            raise DataError(f"{path}:{number}: no key {_list(missing)}: each row must have {_list(keys)}")
        if not all(_is_text(value) for value in record.values() if isinstance(value, str)):
            raise DataError(f"{path}:{number}: half a surrogate pair, which is not text: remove it")
    if not items:
        raise DataError(f"{path} holds no rows: give a file with one JSON object per line")
    return tuple(items)


def unpacked(path: Path, limit: int) -> bytes:
    """Return the bytes of `path`, of a .gz the unpacked ones; raises DataError where there are more than `limit`."""
    try:
        with opened(existing_file(path)) as handle:
            raw = handle.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path} is not a whole .gz file: copy or pack it again") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read ({problem}): check the path") from None
    if len(raw) > limit:
        raise DataError(f"{path} holds more than {limit:,} bytes: check that it is the right file, or split it")
    return raw


def _text(path: Path) -> str:
    try:
        return unpacked(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(f"{path}: not UTF-8 (byte {problem.start + 1}): save the file as UTF-8") from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise DataError(
            f"{where}: not JSON ({problem.msg}, column {problem.colno}): one JSON object per line"
        ) from None
    except (RecursionError, ValueError):
        raise DataError(f"{where}: JSON too deep or with a number too long to read: simplify the row") from None


def _is_text(value: str) -> bool:
    return value.isascii() or not any(0xD800 <= ord(c) <= 0xDFFF for c in value)


def _list(keys: tuple[str, ...] | list[str]) -> str:
    return ", ".join(repr(key) for key in keys)
