"""Read a fine-tuning file (OpenAI chat JSONL, plain or .gz) strictly: one clear error, never a guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spillover.conversation import Conversation, Dataset, Message, Role
from spillover.errors import DataError
from spillover.open_rows import shown, sound_lines

ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_HOW = 'each line must be {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'


def load(path: str | Path) -> Dataset:
    """Read `path` into a Dataset, every row checked.

    Raises DataError naming `file:line` and the fix: not readable, not UTF-8, a cut or damaged .gz, not JSON, other
    keys than the first row, unknown roles or order, empty text, no assistant turn, or no row at all.
    """
    rows: list[Conversation] = []
    keys: frozenset[str] | None = None
    for line, where, raw in sound_lines(path):
        record = _parse(raw, where)
        found = frozenset(record)
        if keys is not None and found != keys:
            raise DataError(f"{where}: the row has keys {_list(found)} but the first row has {_list(keys)}: {_HOW}")
        keys = found
        rows.append(Conversation(_messages(record, where), line))
    if not rows:
        raise DataError(f"{shown(path)} holds no rows: {_HOW}")
    return Dataset(str(Path(path)), tuple(rows))


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
    # One string for all turns of a role instead of one each: 60 MB in a file of 600,000 rows.
    return Message(ROLES[ROLES.index(role)], content)


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "true/false", type(None): "null"}
    return names.get(type(value), "number")


def _list(keys: frozenset[str]) -> str:
    return ", ".join(repr(k) for k in sorted(keys)[:6]) or "none"
