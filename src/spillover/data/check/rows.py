"""The form of one row: JSON, keys, roles, texts. Each problem is reported; sound turns are returned."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from spillover.conversation import Message
from spillover.data.check.finding import Severity

Report = Callable[[str, Severity, str], None]

ROLES = ("system", "user", "assistant")
_TURN_KEYS = frozenset({"role", "content", "name", "weight"})
_HOW = 'write {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]} on each line'
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")
# UTF-8 read as Latin-1 or Windows-1252: the first byte of a two-byte character and then a second.
_TWICE_ENCODED = re.compile("[\xc2\xc3][\x80-\xbf]|\xe2\u20ac")


def parsed(text: str, report: Report) -> dict[str, Any] | None:
    """Return the object on a line, or None after reporting why there is none."""
    flags: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            flags.add("repeated")
        return found

    def constant(name: str) -> None:
        flags.add("constant")

    try:
        record = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as problem:
        report("not-json", "serious", f"not JSON ({problem.msg}, column {problem.colno}): {_HOW}")
        return None
    except (RecursionError, ValueError):
        report("json-too-deep", "serious", f"JSON too deep or with a number too long to read: {_HOW}")
        return None
    if "repeated" in flags:
        report(
            "repeated-key",
            "serious",
            "an object names the same key twice, and readers differ in which they keep: remove one",
        )
        return None
    if "constant" in flags:
        report(
            "not-strict-json", "warning", "NaN or Infinity is not JSON, some services refuse it: use null or a number"
        )
    if not isinstance(record, dict):
        report("not-an-object", "serious", f"the line holds a {kind(record)}, not an object: {_HOW}")
        return None
    if "messages" not in record:
        report("no-messages", "serious", f"no key 'messages' (found {listed(frozenset(record))}): {_HOW}")
        return None
    return record


def turns_of(record: dict[str, Any], report: Report) -> tuple[Message, ...] | None:
    """Return the turns of a row, or None where a serious problem was reported."""
    turns = record["messages"]
    if not isinstance(turns, list) or not turns:
        report("no-turns", "serious", f"'messages' is not a list of turns: {_HOW}")
        return None
    messages = [_message(turn, number, report) for number, turn in enumerate(turns, 1)]
    sound = [m for m in messages if m is not None]
    if len(sound) < len(messages):
        return None
    return tuple(sound) if _order_is_right(sound, report) else None


def kind(value: object) -> str:
    """Return what JSON calls a value."""
    names = {dict: "object", list: "list", str: "string", bool: "true/false", type(None): "null"}
    return names.get(type(value), "number")


def listed(keys: frozenset[str]) -> str:
    """Return at most six keys, sorted, each cut to 40 characters."""
    return ", ".join(repr(k[:40]) for k in sorted(keys)[:6]) or "none"


def _order_is_right(messages: list[Message], report: Report) -> bool:
    if all(m.role != "assistant" for m in messages):
        report("no-assistant", "serious", "no assistant turn, so there is nothing to learn: add one or remove the row")
        return False
    expected = "user"
    for number, message in enumerate(messages, 1):
        if message.role == "system" and number == 1:
            continue
        if message.role != expected:
            report(
                "role-order",
                "serious",
                f"turn {number} is {message.role!r} where {expected!r} belongs: an optional system turn comes first, "
                "then user and assistant take turns",
            )
            return False
        expected = "assistant" if expected == "user" else "user"
    if messages[-1].role != "assistant":
        report("ends-with-user", "serious", "the last turn is the user's: end with an answer or drop that turn")
        return False
    return True


def _message(turn: object, number: int, report: Report) -> Message | None:
    if not isinstance(turn, dict) or not {"role", "content"} <= turn.keys():
        report("not-a-turn", "serious", f"turn {number} is not an object with 'role' and 'content': {_HOW}")
        return None
    extra = turn.keys() - _TURN_KEYS
    if extra:
        report("unknown-turn-key", "serious", f"turn {number} has {listed(frozenset(extra))}: not supported, remove it")
    weight_is_right = "weight" not in turn or _weight(turn, number, report)
    role, content = turn["role"], turn["content"]
    if role not in ROLES:
        name = repr(role[:40]) if isinstance(role, str) else f"({kind(role)})"
        report("unknown-role", "serious", f"turn {number} has the role {name}: use {', '.join(ROLES)}")
        return None
    if not isinstance(content, str):
        report("content-not-text", "serious", f"turn {number} has a {kind(content)} as content: use a string")
        return None
    text_is_right = _text(content, f"the {role} text of turn {number}", report)
    return Message(role, content) if text_is_right and weight_is_right and not extra else None


def _weight(turn: dict[str, Any], number: int, report: Report) -> bool:
    """Report weight keys: OpenAI takes 0 or 1 on assistant turns; `spillover audit` takes 1 only."""
    weight = turn["weight"]
    if isinstance(weight, bool) or weight not in (0, 1):
        report("weight-not-0-or-1", "serious", f"turn {number} has a weight that is neither 0 nor 1: use one of these")
        return False
    if turn["role"] != "assistant":
        report(
            "weight-not-on-answer", "serious", f"turn {number} has a weight but is no assistant turn: remove the key"
        )
        return False
    if weight == 0:
        report(
            "weight-0",
            "warning",
            f"turn {number} has weight 0: OpenAI leaves it out of training, `spillover audit` refuses it",
        )
    return True


def _text(content: str, name: str, report: Report) -> bool:
    if not content.strip():
        report("empty-text", "serious", f"{name} is empty: fill it or remove the row")
        return False
    if content.isascii() and content.isprintable():
        return True
    sound = True
    for letter in {m.group() for m in _ODD.finditer(content)} if _ODD.search(content) else ():
        if 0xD800 <= ord(letter) <= 0xDFFF:
            report("half-surrogate", "serious", f"{name} holds half a surrogate pair, which is not text: remove it")
            sound = False
        elif letter == "\ufffd":
            report("replacement-character", "warning", f"{name} holds U+FFFD, a sign of a wrong encoding: restore it")
        elif letter == "\x00":
            report("nul", "warning", f"{name} holds a NUL character: remove it")
        else:
            report("control-character", "warning", f"{name} holds the control character U+{ord(letter):04X}: remove it")
    if not content.isascii() and _TWICE_ENCODED.search(content):
        report("encoded-twice", "warning", f"{name} looks encoded twice (UTF-8 read as Latin-1): decode it once more")
    return sound
