"""Which functions answer requests, and what their parameters are worth."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spillover.data.check.weaknesses.names import Names, keyword, last, text_of
from spillover.data.check.weaknesses.sources import PARAMETER
from spillover.data.check.weaknesses.values import UNKNOWN, Value, steered

_ROUTES = frozenset(["route", "get", "post", "put", "delete", "patch", "api_route", "view_config", "websocket"])
_TYPED = re.compile(r"<(int|float|uuid):(\w+)>")
_HARMLESS_TYPES = frozenset({"int", "float", "bool", "datetime", "date", "UUID", "Decimal", "Enum"})
_SERVICES = frozenset({"Depends", "Security", "BackgroundTasks"})


@dataclass(frozen=True, slots=True)
class Scope:
    """The function being followed: whether it answers requests, and in which form its text goes out."""

    name: str = ""
    handler: bool = False
    returns_json: bool = False
    path: str = ""


def scope_of(node: ast.FunctionDef | ast.AsyncFunctionDef, bases: Sequence[str], names: Names) -> Scope:
    """Return what kind of function this is, from its decorators, first parameter and the bases of its class."""
    path, routed, plain_text = "", False, True
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and last(names.dotted(decorator.func)) in _ROUTES:
            routed = True
            path = (text_of(decorator.args[0]) if decorator.args else None) or ""
            plain_text = keyword(decorator, "response_class") is None
    arguments = [a.arg for a in node.args.args]
    web_class = any("Handler" in base or "View" in base or "Resource" in base for base in bases)
    handler = routed or arguments[:1] == ["request"] or arguments[:2] == ["self", "request"] or web_class
    returns_json = "fastapi" in names.modules and plain_text and routed
    return Scope(node.name, handler, returns_json, path)


def parameter_values(
    node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, value_of: Callable[[ast.AST], Value]
) -> dict[str, Value]:
    """Return the value of each parameter: request data in a handler, else steered with lower certainty."""
    typed = {name for _, name in _TYPED.findall(scope.path[:500])}
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    if node.args.vararg:
        arguments.append(node.args.vararg)
    if node.args.kwarg:
        arguments.append(node.args.kwarg)
    values: dict[str, Value] = {}
    for argument in arguments:
        name = argument.arg
        if name in ("self", "cls"):
            values[name] = UNKNOWN
        elif name == "request" or _type_name(argument.annotation) in ("Request", "HttpRequest"):
            values[name] = Value(of="request")
        elif name in typed or _type_name(argument.annotation) in _HARMLESS_TYPES:
            values[name] = UNKNOWN
        else:
            values[name] = steered(0.9 if scope.handler else PARAMETER, "parameter")
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = [
        *zip(positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True),
        *((a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None),
    ]
    for argument, default in defaults:
        if isinstance(default, ast.Call) and _type_name(default.func) in _SERVICES:
            values[argument.arg] = UNKNOWN
            continue
        value = value_of(default)
        values[argument.arg] = values[argument.arg]._replace(number=value.number)
    return values


def _type_name(node: ast.AST | None) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return ""
