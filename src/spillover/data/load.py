"""Read a fine-tuning file (OpenAI chat JSONL, plain or .gz) strictly: one clear error, never a guess."""

from __future__ import annotations

import gzip
import json
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from spillover.conversation import Conversation, Dataset, Message
from spillover.errors import DataError

ROLES = ("system", "user", "assistant")
_MAX_LINE = 10_000_000
_MAX_BYTES = 4_000_000_000
_HOW = 'each line must be {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'


def load(path: str | Path) -> Dataset:
    """Read `path` into a Dataset, every row checked.

    Raises DataError naming `file:line` and the fix: not readable, not UTF-8, a cut or damaged .gz, not JSON, other
    keys than the first row, unknown roles or order, empty text, no assistant turn, or no row at all.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{file} does not exist: check the path") from None
    except (OSError, ValueError) as problem:
        raise DataError(f"{file} cannot be read ({problem}): check the path") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{file} is a folder: give the .jsonl file inside it")
    rows: list[Conversation] = []
    keys: frozenset[str] | None = None
    for line, raw in _lines(file):
        where = f"{file}:{line}"
        record = _parse(raw, where)
        found = frozenset(record)
        if keys is not None and found != keys:
            raise DataError(f"{where}: the row has keys {_list(found)} but the first row has {_list(keys)}: {_HOW}")
        keys = found
        rows.append(Conversation(_messages(record, where), line))
    if not rows:
        raise DataError(f"{file} holds no rows: {_HOW}")
    return Dataset(str(file), tuple(rows))


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line numbers and texts, blank lines left out."""
    number = 0
    total = 0
    try:
        with _open(file) as handle:
            while raw := _one_line(handle, file, number + 1):
                number += 1
                total += len(raw)
                if total > _MAX_BYTES:
                    raise DataError(f"{file} unpacks to more than {_MAX_BYTES // 10**9} GB: split it")
                if raw.strip():
                    yield number, _decode(raw, f"{file}:{number}", number == 1)
    except (EOFError, zlib.error):
        raise DataError(
            f"{file}:{number + 1}: the .gz file is cut off or damaged here: copy or pack it again"
        ) from None
    except gzip.BadGzipFile:
        if number or total:
            raise DataError(f"{file}:{number + 1}: the .gz file is damaged here: copy or pack it again") from None
        raise DataError(f"{file} ends in .gz but is not gzip: rename it or pack it again") from None
    except OSError as problem:
        raise DataError(f"{file} cannot be read: {problem.strerror or problem}") from None


def _open(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb"))


def _one_line(handle: IO[bytes], file: Path, number: int) -> bytes:
    raw = handle.readline(_MAX_LINE + 1)
    if len(raw) > _MAX_LINE:
        raise DataError(f"{file}:{number}: the line is longer than {_MAX_LINE // 10**6} MB: one JSON object per line")
    return raw


def _decode(raw: bytes, where: str, first: bool) -> str:
    try:
        return raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as problem:
        raise DataError(f"{where}: not UTF-8 (byte {problem.start + 1} of the line): save the file as UTF-8") from None


def _parse(raw: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(raw)
    except json.JSONDecodeError as problem:
        raise DataError(f"{where}: not JSON ({problem.msg}, column {problem.colno}): {_HOW}") from None
    except (RecursionError, ValueError):
        raise DataError(f"{where}: JSON too deep or with a number too long to read: {_HOW}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: the line holds a {_kind(record)}, not an object: {_HOW}")
    if "messages" not in record:
        raise DataError(f"{where}: no key 'messages' (found {_list(frozenset(record))}): {_HOW}")
    return record


def _messages(record: dict[str, Any], where: str) -> tuple[Message, ...]:
    turns = record["messages"]
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{where}: 'messages' is not a list of turns: {_HOW}")
    messages = tuple(_message(turn, where, i) for i, turn in enumerate(turns, 1))
    if all(m.role != "assistant" for m in messages):
        raise DataError(f"{where}: no assistant turn, so there is nothing to learn: add one or remove the row")
    expected = "user"
    for i, message in enumerate(messages, 1):
        if message.role == "system" and i == 1:
            continue
        if message.role != expected:
            raise DataError(
                f"{where}: turn {i} is {message.role!r} where {expected!r} belongs: an optional system turn comes "
                "first, then user and assistant take turns"
            )
        expected = "assistant" if expected == "user" else "user"
    if messages[-1].role != "assistant":
        raise DataError(f"{where}: the last turn is the user's: end with the assistant's answer or drop that turn")
    return messages


def _message(turn: object, where: str, number: int) -> Message:
    if not isinstance(turn, dict) or not {"role", "content"} <= turn.keys():
        raise DataError(f"{where}: turn {number} is not an object with 'role' and 'content': {_HOW}")
    extra = turn.keys() - {"role", "content", "name", "weight"}
    if extra:
        raise DataError(f"{where}: turn {number} has {_list(frozenset(extra))}, which is not supported: remove it")
    if turn.get("weight", 1) != 1:
        raise DataError(f"{where}: turn {number} has a weight other than 1, which is not supported: remove it")
    role, content = turn["role"], turn["content"]
    if role not in ROLES:
        raise DataError(f"{where}: turn {number} has the role {role!r}: use {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise DataError(f"{where}: turn {number} has a {_kind(content)} as content: use a string")
    if not content.strip():
        raise DataError(f"{where}: the {role} text of turn {number} is empty: fill it or remove the row")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in content):
        raise DataError(f"{where}: turn {number} holds half a surrogate pair, which is not text: remove it")
    return Message(role, content)


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "true/false", type(None): "null"}
    return names.get(type(value), "number")


def _list(keys: frozenset[str]) -> str:
    return ", ".join(repr(k) for k in sorted(keys)[:6]) or "none"
