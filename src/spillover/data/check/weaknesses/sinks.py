"""Every place where outside data can do harm: calls, assignments, look-ups and what a handler returns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from spillover.data.check.weaknesses.call import Call
from spillover.data.check.weaknesses.handlers import Scope
from spillover.data.check.weaknesses.sinks_files import file_weaknesses
from spillover.data.check.weaknesses.sinks_queries import query_weaknesses
from spillover.data.check.weaknesses.sinks_run import run_weaknesses
from spillover.data.check.weaknesses.sinks_web import html_certainty, web_weaknesses
from spillover.data.check.weaknesses.values import Value
from spillover.data.check.weaknesses.weakness import Weakness

_LEAST = 0.1
_TAG = re.compile(r"<[a-z][a-z0-9]{0,9}[ >]|&lt;[a-z]", re.I)
__all__ = ["Call", "assigned_weaknesses", "call_weaknesses", "looked_up_weaknesses", "returned_weaknesses"]


def call_weaknesses(call: Call, scope: Scope) -> Iterator[Weakness]:
    """Yield the weaknesses of one call, those below a certainty of 0.1 left out."""
    for family in (run_weaknesses, query_weaknesses, file_weaknesses):
        for weakness in family(call):
            if weakness.certain >= _LEAST:
                yield weakness
    for weakness in web_weaknesses(call, scope):
        if weakness.certain >= _LEAST:
            yield weakness


def returned_weaknesses(
    node: ast.Return, expression: ast.expr, value: Value, scope: Scope, exceptions: AbstractSet[str]
) -> Iterator[Weakness]:
    """Yield what is wrong with text that a handler sends back, or that a function hands on as HTML."""
    as_json = scope.returns_json or value.of in ("dict", "jsonify", "flask.jsonify")
    if value.of.endswith(("Response", "make_response", "redirect")):
        return
    sure = html_certainty(value, scope.handler)
    if as_json:
        sure = 0.6 * sure if _TAG.search(value.text) else 0.0
    if sure >= _LEAST:
        yield Weakness(79, node.lineno, "outside data reaches the HTML that is sent back", round(sure, 3))
    if value.text.startswith("HTTP/1.") and value.of_kind("line") > 0:
        yield Weakness(
            113, node.lineno, "outside data in a header of a hand-written answer", 0.8 * value.of_kind("line")
        )
    if scope.handler and _tells_exception(expression, exceptions):
        yield Weakness(209, node.lineno, "the text of an exception is sent back", 0.6)


def assigned_weaknesses(target: ast.expr, dotted: str, value: Value) -> Iterator[Weakness]:
    """Yield what is wrong with `holder[...] = value` or `holder.attribute = value`."""
    if isinstance(target, ast.Subscript) and dotted.endswith("headers"):
        key = target.slice.value if isinstance(target.slice, ast.Constant) else ""
        if str(key).lower() == "access-control-allow-origin":
            sure = 0.6 if value.text == "*" else 0.9 * value.of_kind("url")
            if sure >= _LEAST:
                yield Weakness(942, target.lineno, "any origin may read the answer", round(sure, 3))
        elif 0.7 * value.of_kind("line") >= _LEAST:
            yield Weakness(113, target.lineno, "outside data in a header", round(0.7 * value.of_kind("line"), 3))


def looked_up_weaknesses(node: ast.Subscript, base: Value, key: Value) -> Iterator[Weakness]:
    """Yield what is wrong with `holder[key]`: any global by an outsider's name."""
    if base.of in ("globals", "locals", "vars", "sys.modules") and key.of_kind("code") >= _LEAST:
        yield Weakness(470, node.lineno, "an outsider names the object to use", round(0.9 * key.of_kind("code"), 3))


def _tells_exception(expression: ast.expr, exceptions: AbstractSet[str]) -> bool:
    """Return whether the expression holds a traceback, or the text of one of the exceptions named."""
    for part in ast.walk(expression):
        if isinstance(part, ast.Attribute) and part.attr == "format_exc":
            return True
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            shown = part.args[0] if part.args and part.func.id in ("str", "repr") else None
            if part.func.id == "format_exc" or (isinstance(shown, ast.Name) and shown.id in exceptions):
                return True
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.value.id in exceptions:
            return True
    return False
