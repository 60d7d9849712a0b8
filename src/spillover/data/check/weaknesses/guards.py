"""What a test in `if`, `assert` or `while` tells about the variables it looks at."""

from __future__ import annotations

import ast
import re

from spillover.data.check.weaknesses.names import last, text_of
from spillover.data.check.weaknesses.values import ALL

_ALL_SAFE_METHODS = frozenset(
    [
        "isdigit",
        "isalnum",
        "isalpha",
        "isidentifier",
        "isnumeric",
        "isdecimal",
        "match",
        "fullmatch",
        "is_valid",
        "url_has_allowed_host_and_scheme",
        "is_safe_url",
    ]
)
_SAFE_WORD = re.compile(r"(^|_)(is_|valid|allowed|permitted|safe|check|verify|trusted|known|ok$)", re.I)
_PATH_METHODS = frozenset({"is_relative_to", "commonpath", "commonprefix"})
_URL_PARTS = frozenset({"netloc", "scheme", "hostname"})

Facts = dict[str, frozenset[str]]


def facts(test: ast.expr) -> tuple[Facts, Facts]:
    """Return (holds if true, holds if false): for each variable named in the test, the uses it is safe for then."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        true, false = facts(test.operand)
        return false, true
    if isinstance(test, ast.BoolOp):
        pairs = [facts(part) for part in test.values]
        if isinstance(test.op, ast.And):
            return _union([true for true, _ in pairs]), _common([false for _, false in pairs])
        return _common([true for true, _ in pairs]), _union([false for _, false in pairs])
    if isinstance(test, ast.Compare):
        return _compared(test)
    if isinstance(test, ast.Call):
        return _called(test)
    if isinstance(test, ast.Attribute) and test.attr in _URL_PARTS:
        return {}, dict.fromkeys(names_in(test), frozenset({"url"}))
    return {}, {}


def names_in(node: ast.AST) -> set[str]:
    """Return the variables named in an expression (`self.x` counts as one)."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            found.add(f"{part.value.id}.{part.attr}")
    return found


def _compared(test: ast.Compare) -> tuple[Facts, Facts]:
    operator, left, right = test.ops[0], test.left, test.comparators[0]
    names = names_in(test)
    if isinstance(operator, ast.In | ast.NotIn):
        literal = text_of(left)
        if literal is not None:
            safe: Facts = dict.fromkeys(names, _kinds_of_text(literal))
            return ({}, safe) if isinstance(operator, ast.In) else (safe, {})
        characters = _texts(right)
        if characters & {"=", "+", "@"} or "=+-@" in "".join(characters):
            cell: Facts = dict.fromkeys(names, frozenset({"cell"}))
            return cell, cell
        looked_up: Facts = dict.fromkeys(names_in(left), ALL)
        return (looked_up, {}) if isinstance(operator, ast.In) else ({}, looked_up)
    if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        size: Facts = dict.fromkeys(names, frozenset({"size"}))
        return size, size
    if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
        if isinstance(right, ast.Constant) and right.value in (None, "", False):
            return {}, {}
        equal: Facts = dict.fromkeys(names, ALL)
        return (equal, {}) if isinstance(operator, ast.Eq | ast.Is) else ({}, equal)
    return {}, {}


def _called(test: ast.Call) -> tuple[Facts, Facts]:
    name = test.func.attr if isinstance(test.func, ast.Attribute) else last(getattr(test.func, "id", ""))
    names = names_in(test)
    if name == "startswith" or name == "endswith":
        characters = _texts(test)
        if characters & {"=", "+", "@"} or "=+-@" in "".join(characters):
            cell: Facts = dict.fromkeys(names, frozenset({"cell"}))
            return cell, cell
        kinds = frozenset({"path", "url"}) if name == "startswith" else frozenset({"size", "url"})
        return dict.fromkeys(names, kinds), {}
    if name in _PATH_METHODS:
        return dict.fromkeys(names, frozenset({"path"})), {}
    if name in _ALL_SAFE_METHODS or _SAFE_WORD.search(name):
        return dict.fromkeys(names, ALL), {}
    return {}, {}


def _texts(node: ast.AST) -> set[str]:
    return {text for part in ast.walk(node) if (text := text_of(part)) is not None}


def _kinds_of_text(text: str) -> frozenset[str]:
    """Return the uses that are safe once `text` is known to be absent."""
    kinds = set()
    if ".." in text or text in ("/", "\\", ":"):
        kinds |= {"path"}
    if "\r" in text or "\n" in text:
        kinds |= {"line"}
    if "<" in text:
        kinds |= {"html"}
    if text in ("'", ";", "&", "|"):
        kinds |= {"sql", "shell"}
    return frozenset(kinds)


def _union(parts: list[Facts]) -> Facts:
    total: Facts = {}
    for part in parts:
        for name, kinds in part.items():
            total[name] = kinds | total[name] if name in total else kinds
    return total


def _common(parts: list[Facts]) -> Facts:
    """Return what holds if at least one of the parts holds: here only the parts that all agree on."""
    if not parts:
        return {}
    total = dict(parts[0])
    for part in parts[1:]:
        total = {name: kinds & part[name] for name, kinds in total.items() if name in part}
    return total
