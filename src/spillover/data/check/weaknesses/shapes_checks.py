"""Checks that do not hold: host patterns, parts of addresses, slow patterns, short passwords."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from spillover.data.check.weaknesses.names import Names, last, text_of
from spillover.data.check.weaknesses.weakness import Weakness

_HOST_END = r"(?:com|org|net|io|edu|gov|co|dev|uk|de|internal|local|example)"
_OPEN_DOT = re.compile(
    r"(?<!\\)\w(?<!\\w)(?<!\\d)\.(?:\w|\\)*" + _HOST_END + r"\b|[\w*+\]]\.[a-z0-9-]{2,40}\.?" + _HOST_END + r"\b"
)
_HOST = re.compile(r"^(https?://)?[\w-]{1,60}(\.[\w-]{1,60}){0,5}\." + _HOST_END + r"/?$")
_MATCHERS = frozenset({"compile", "match", "search", "fullmatch", "findall", "sub"})
_ADDRESS = re.compile(r"(?i)url|link|href|host|domain|netloc|origin|referer|referrer|addr|site|uri")
_FEW_CHARACTERS = 6


def check_shapes(nodes: Sequence[ast.AST], names: Names) -> Iterator[Weakness]:
    """Yield tests that look like protection and are none."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _patterns(node, names)
            yield from _ends(node)
        elif isinstance(node, ast.Compare):
            yield from _substring(node)
            yield from _length(node, names)


def _patterns(node: ast.Call, names: Names) -> Iterator[Weakness]:
    dotted = names.dotted(node.func)
    if last(dotted) not in _MATCHERS or not dotted.startswith(("re.", "regex.", "?.")) or not node.args:
        return
    pattern = text_of(node.args[0])
    if pattern is None or len(pattern) > 2000:
        return
    if has_open_dot(pattern):
        yield Weakness(20, node.lineno, "a host pattern whose dot stands for any character", 0.8)
    elif last(dotted) != "sub" and re.search(r"\\\." + _HOST_END + r"$", pattern) and not pattern.startswith("^"):
        yield Weakness(20, node.lineno, "a host pattern without an end", 0.15)
    if has_nested_repeat(pattern):
        yield Weakness(1333, node.lineno, "a pattern whose time can grow without bound", 0.6)


def has_open_dot(pattern: str) -> bool:
    """Return whether a host name in a pattern holds an unescaped dot, as in `www.shop.com`."""
    for end in re.finditer(r"\." + _HOST_END + r"(?![\w-])", pattern):
        at = end.start()
        before = pattern[max(0, at - 2) : at]
        if before.endswith("\\") or not before or pattern[at + 1 : at + 2] in "*+?{":
            continue
        inside = pattern.rfind("[", 0, at) > pattern.rfind("]", 0, at)
        if not inside and (before[-1].isalnum() or before[-1] in ")]+*-"):
            return True
    return False


def has_nested_repeat(pattern: str) -> bool:
    r"""Return whether a repeated group ends in a repeat of its own, as in `(a+)+`, `(\w+\s?)*` or `([a-z]+)*`.

    One walk with a stack of groups; a group whose pieces are all separated by a fixed character is not counted.
    """
    stack: list[tuple[bool, bool]] = []
    repeat_inside, fixed_inside, i = False, False, 0
    while i < len(pattern):
        sign = pattern[i]
        step = 1
        if sign == "(":
            stack.append((repeat_inside, fixed_inside))
            repeat_inside, fixed_inside = False, False
            prefix = re.match(r"\?(?:[:=!]|<[=!]|P?<\w+>)", pattern[i + 1 : i + 60])
            step += prefix.end() if prefix else 0
        elif sign == ")":
            after = pattern[i + 1 : i + 2]
            if after in ("*", "+") and repeat_inside and not fixed_inside:
                return True
            if stack:
                outer_repeat, outer_fixed = stack.pop()
                repeat_inside = outer_repeat or repeat_inside or after in ("*", "+")
                fixed_inside = outer_fixed
        else:
            if sign == "[":
                end = pattern.find("]", i + 2)
                step = (end - i + 1) if end > 0 else 1
            elif sign == "\\":
                step = 2
            following = pattern[i + step : i + step + 1]
            literal = sign not in "[.^$|*+?{}" and not (sign == "\\" and pattern[i + 1 : i + 2] in "wWsSdDbB")
            if following in ("*", "+"):
                repeat_inside = True
            elif following not in ("?", "{") and literal:
                fixed_inside = True
        i += step
    return False


def _substring(node: ast.Compare) -> Iterator[Weakness]:
    if not isinstance(node.ops[0], ast.In | ast.NotIn):
        return
    text = text_of(node.left)
    if text and len(text) < 300 and _HOST.match(text):
        where = (
            ast.unparse(node.comparators[0])[:80]
            if not isinstance(node.comparators[0], ast.List | ast.Tuple | ast.Set)
            else ""
        )
        if where and "allowed" not in where.lower():
            yield Weakness(
                20,
                node.lineno,
                "a host name is looked for anywhere in an address",
                0.75 if _ADDRESS.search(where) else 0.5,
            )


def _ends(node: ast.Call) -> Iterator[Weakness]:
    if not isinstance(node.func, ast.Attribute) or not node.args:
        return
    text = text_of(node.args[0])
    if text is None or len(text) > 300 or not _HOST.match(text):
        return
    if node.func.attr == "startswith" and text.startswith("http") and not text.endswith("/"):
        yield Weakness(20, node.lineno, "an address only has to begin with a host name", 0.45)
    elif node.func.attr == "endswith" and not text.startswith((".", "@", "http")):
        yield Weakness(20, node.lineno, "a host name only has to end with these letters", 0.45)


def _length(node: ast.Compare, names: Names) -> Iterator[Weakness]:
    left, right = node.left, node.comparators[0]
    if not (isinstance(left, ast.Call) and names.dotted(left.func) == "len" and left.args):
        return
    name = last(names.dotted(left.args[0])).lower()
    if ("passw" not in name and name not in ("pwd", "secret")) or not isinstance(right, ast.Constant):
        return
    limit = right.value
    if (
        isinstance(limit, int)
        and 0 < limit <= _FEW_CHARACTERS
        and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.GtE | ast.Gt)
    ):
        yield Weakness(521, node.lineno, "very short passwords are accepted", 0.5)
