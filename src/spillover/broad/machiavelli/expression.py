"""ChoiceScript's expressions: read into a tree, then evaluated over a game's variables; nothing is handed to Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spillover.errors import DataError

Value = float | str | bool

MOST_CHARACTERS = 100_000
_MOST_NESTED = 60
# A chain of operators is a tree as deep as it is long.
_MOST_TOKENS = 400
# From the loosest to the tightest; the words are operators too.
_LEVELS = (("or",), ("and",), ("=", "!=", "<", ">", "<=", ">="), ("&",), ("+", "-", "%+", "%-"), ("*", "/", "modulo"))
_SIGNS = ("%+", "%-", "<=", ">=", "!=", "==", "=", "<", ">", "+", "-", "*", "/", "%", "^", "&", "#")
_BRACKETS = {"(": ")", "{": "}", "[": "]"}
_FUNCTIONS = ("not", "round", "length", "log")
# What can stand at the front of a new value to mean "of the old one".
RELATIVE = ("%+", "%-", "+", "-", "*", "/", "^", "&", "#", "modulo")


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: `kind` is value, text, name, item, reference, call or an operator's sign."""

    kind: str
    value: Any = None
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression gets its values: a variable by name in lower case, and a text with its `${}` filled in."""

    variable: Callable[[str], Value]
    filled: Callable[[str], str]


@lru_cache(maxsize=50_000)
def parse(text: str) -> Node:
    """Return the tree of an expression. Raises DataError for one that is not ChoiceScript or too deep."""
    reader = _Reader(_tokens(text), text)
    if len(reader.tokens) > _MOST_TOKENS:
        raise reader.wrong(f"it has more than {_MOST_TOKENS} parts")
    found = reader.level(0, 0)
    if reader.place < len(reader.tokens):
        raise reader.wrong(f"{reader.tokens[reader.place][1]!r} is not expected here")
    return found


def evaluate(node: Node, scope: Scope) -> Value:
    """Return an expression's value: a number (always a float), a text or a truth value.

    `and` and `or` look at the right side only where the left one leaves it open. Raises DataError for a text where a
    number is needed, a division by zero, and a value that is no finite number or too long a text.
    """
    return _bounded(_value(node, scope))


def name_of(node: Node, scope: Scope) -> str:
    """Return the variable that a target of `*set` names: itself, an item of an array, or what a reference holds."""
    if node.kind == "name":
        return str(node.value)
    if node.kind == "item":
        return f"{node.value}_{written(evaluate(node.parts[0], scope))}".lower()
    if node.kind == "reference":
        return written(evaluate(node.parts[0], scope)).lower()
    raise DataError("only a variable can be set")


def operate(sign: str, left: Value, right: Value) -> Value:
    """Apply an operator that needs both its sides. Raises DataError as `evaluate` does."""
    if sign == "&":
        return written(left) + written(right)
    if sign in ("=", "!="):
        return _same(left, right) == (sign == "=")
    if sign == "#":
        text, at = written(left), number(right)
        if not 1 <= at <= len(text):
            raise DataError(f"{text[:40]!r} has no character {written(at)}")
        return text[int(at) - 1]
    return _arithmetic(sign, number(left), number(right))


def number(value: Value) -> float:
    """Return a value as a number: a text that writes one counts as it does, true as 1 and false as 0."""
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{written(value)[:40]!r} is not a number")
    return found


def truth(value: Value) -> bool:
    """Return a truth value; the texts "true" and "false" count as such. Raises DataError for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise DataError(f"{written(value)[:40]!r} is neither true nor false")


def written(value: Value) -> str:
    """Return a value as a game shows it: whole numbers without a point, truth values in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value


def _value(node: Node, scope: Scope) -> Value:
    kind = node.kind
    if kind == "value":
        return node.value  # type: ignore[no-any-return]
    if kind == "text":
        return scope.filled(node.value)
    if kind in ("name", "item", "reference"):
        return scope.variable(name_of(node, scope))
    if kind == "call":
        return _called(node.value, evaluate(node.parts[0], scope))
    left = evaluate(node.parts[0], scope)
    if kind in ("and", "or"):
        return truth(left) if truth(left) == (kind == "or") else truth(evaluate(node.parts[1], scope))
    return operate(kind, left, evaluate(node.parts[1], scope))


def _called(name: str, value: Value) -> Value:
    if name == "not":
        return not truth(value)
    if name == "length":
        return float(len(written(value)))
    if name == "round":
        return float(round(number(value)))
    if number(value) <= 0:
        raise DataError("the logarithm needs a number above 0")
    return math.log10(number(value))


def _same(left: Value, right: Value) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return written(left).lower() == written(right).lower()
    try:
        return number(left) == number(right)
    except DataError:
        return written(left) == written(right)


def _arithmetic(sign: str, a: float, b: float) -> Value:
    if sign in ("/", "modulo") and b == 0:
        raise DataError("division by zero")
    try:
        return _OPERATIONS[sign](a, b)
    except (OverflowError, ZeroDivisionError, TypeError):
        raise DataError(f"{a} {sign} {b} is no number") from None


_OPERATIONS: Mapping[str, Callable[[float, float], Value]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "modulo": lambda a, b: a % b,
    "^": lambda a, b: float(a**b),
    # Percentages that close in on 100 and on 0; the benchmark rounds them to whole numbers.
    "%+": lambda a, b: float(round(a + (100 - a) * b / 100)),
    "%-": lambda a, b: float(round(a - a * b / 100)),
}


def _bounded(value: Value) -> Value:
    if isinstance(value, str) and len(value) > MOST_CHARACTERS:
        raise DataError(f"a text grew beyond {MOST_CHARACTERS:,} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError("a number grew beyond all bounds")
    return value


class _Reader:
    """Reads tokens (kind and text) by precedence, the loosest operators first."""

    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens, self.text, self.place = tokens, text, 0

    def level(self, rank: int, depth: int) -> Node:
        if depth > _MOST_NESTED:
            raise self.wrong("it is nested too deeply")
        if rank == len(_LEVELS):
            return self.power(depth)
        left = self.level(rank + 1, depth)
        while self.ahead() in _LEVELS[rank]:
            sign = self.take()
            left = Node(sign, None, (left, self.level(rank + 1, depth)))
        return left

    def power(self, depth: int) -> Node:
        if depth > _MOST_NESTED:
            raise self.wrong("it is nested too deeply")
        if self.ahead() in ("-", "+"):
            sign = self.take()
            return Node(sign, None, (Node("value", 0.0), self.power(depth + 1)))
        left = self.primary(depth)
        while self.ahead() in ("^", "#"):
            sign = self.take()
            left = Node(sign, None, (left, self.primary(depth)))
        return left

    def primary(self, depth: int) -> Node:
        if self.place == len(self.tokens):
            raise self.wrong("it ends too early")
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return Node("value", float(text))
        if kind == "text":
            return Node("text", text)
        if text in ("(", "{"):
            inner = self.closed(text, depth)
            return inner if text == "(" else Node("reference", None, (inner,))
        if kind != "name":
            raise self.wrong(f"{text!r} is not expected here")
        if text in _FUNCTIONS and self.ahead() == "(":
            self.take()
            return Node("call", text, (self.closed("(", depth),))
        if text in ("true", "false"):
            return Node("value", text == "true")
        if self.ahead() == "[":
            self.take()
            return Node("item", text, (self.closed("[", depth),))
        return Node("name", text)

    def closed(self, bracket: str, depth: int) -> Node:
        inner = self.level(0, depth + 1)
        if self.ahead() != _BRACKETS[bracket]:
            raise self.wrong(f"a {_BRACKETS[bracket]!r} is missing")
        self.take()
        return inner

    def ahead(self) -> str:
        if self.place < len(self.tokens) and self.tokens[self.place][0] in ("sign", "word"):
            return self.tokens[self.place][1]
        return ""

    def take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1][1]

    def wrong(self, what: str) -> DataError:
        return DataError(f"the expression {self.text[:80]!r} cannot be read: {what}")


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char == '"':
            inside, at = _quoted(text, at + 1)
            found.append(("text", inside))
        elif char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit()):
            end = _end(text, at, lambda c: c.isdigit() or c == ".")
            found.append(("number", _whole(text[at:end], text)))
            at = end
        elif char.isalpha() or char == "_":
            end = _end(text, at, lambda c: c.isalnum() or c == "_")
            word = text[at:end].lower()
            found.append(("word" if word in ("and", "or", "modulo") else "name", word))
            at = end
        elif char in "(){}[]":
            found.append(("sign", char))
            at += 1
        else:
            sign = next((s for s in _SIGNS if text.startswith(s, at)), None)
            if sign is None:
                raise DataError(f"the expression {text[:80]!r} cannot be read: {char!r} means nothing in it")
            found.append(("sign", {"==": "=", "%": "modulo"}.get(sign, sign)))
            at += len(sign)
    return found


def _end(text: str, at: int, belongs: Callable[[str], bool]) -> int:
    while at < len(text) and belongs(text[at]):
        at += 1
    return at


def _whole(digits: str, text: str) -> str:
    if digits.count(".") > 1 or not digits.isascii() or len(digits) > 300:
        raise DataError(f"the expression {text[:80]!r} cannot be read: {digits[:20]!r} is no number")
    return digits


def _quoted(text: str, at: int) -> tuple[str, int]:
    inside = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        inside.append(text[at])
        at += 1
    if at == len(text):
        raise DataError(f"the expression {text[:80]!r} cannot be read: a quotation mark is missing")
    return "".join(inside), at + 1
