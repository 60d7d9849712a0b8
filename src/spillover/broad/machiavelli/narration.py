"""Text as a reader sees it: `${}` replaced by values, one of the wordings of `@{}` chosen."""

from __future__ import annotations

import re

from spillover.broad.machiavelli.expression import MOST_CHARACTERS, Scope, evaluate, number, parse, written
from spillover.errors import DataError

_MARKS = ("$!!{", "$!{", "${", "@{")
_SIGN = re.compile(r"[$@]")
_MOST_NESTED = 10


def filled(text: str, scope: Scope, depth: int = 0) -> str:
    """Return `text` with each `${x}`, `$!{x}` (capitalised), `$!!{x}` (upper case) and `@{x one|two}` replaced.

    `@{}` takes the wording at the place that x gives, from 1; true is the first, false the second. Raises DataError for
    a bracket that is not closed, a place that is not there, more than ten levels, more than 100,000 characters.
    """
    if depth > _MOST_NESTED:
        raise DataError(f"the text {text[:60]!r} is nested too deeply")
    parts: list[str] = []
    size = at = 0
    while at < len(text):
        mark = next((m for m in _MARKS if text.startswith(m, at)), None)
        if mark is None:
            # All up to the next sign that could begin a mark.
            sign = _SIGN.search(text, at + 1)
            end = sign.start() if sign else len(text)
            parts.append(text[at:end])
            at = end
        else:
            end = _closing(text, at + len(mark))
            inside = text[at + len(mark) : end]
            parts.append(_chosen(inside, scope, depth) if mark == "@{" else _shown(inside, mark, scope))
            at = end + 1
        size += len(parts[-1])
        if size > MOST_CHARACTERS:
            raise DataError(f"a text grew beyond {MOST_CHARACTERS:,} characters")
    return "".join(parts)


def _shown(inside: str, mark: str, scope: Scope) -> str:
    text = written(evaluate(parse(inside), scope))
    if mark == "$!{":
        return text[:1].upper() + text[1:]
    return text.upper() if mark == "$!!{" else text


def _chosen(inside: str, scope: Scope, depth: int) -> str:
    split = first_part(inside)
    value = evaluate(parse(inside[:split]), scope)
    place = (1 if value else 2) if isinstance(value, bool) else int(number(value))
    wordings = _wordings(inside[split:].lstrip())
    if not 1 <= place <= len(wordings):
        raise DataError(f"the text @{{{inside[:60]}}} has no wording number {place}")
    return filled(wordings[place - 1], scope, depth + 1)


def _wordings(text: str) -> list[str]:
    """Split at each | that stands in no bracket of its own."""
    parts, deep, start = [], 0, 0
    for at, char in enumerate(text):
        deep += (char == "{") - (char == "}")
        if char == "|" and deep == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def first_part(text: str) -> int:
    """Return where the expression at the front ends: at the first space outside brackets and quotation marks."""
    deep, quoted = 0, False
    for at, char in enumerate(text):
        quoted ^= char == '"'
        if not quoted:
            deep += (char in "({[") - (char in ")}]")
            if char == " " and deep == 0 and at > 0:
                return at
    return len(text)


def _closing(text: str, at: int) -> int:
    deep = 1
    for place in range(at, len(text)):
        deep += (text[place] == "{") - (text[place] == "}")
        if deep == 0:
            return place
    raise DataError(f"the text {text[:60]!r} has a bracket that is not closed")
