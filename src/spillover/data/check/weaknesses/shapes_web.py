"""Weak settings of web programs that show on single nodes: escaping, tokens, forms, who may call, whose row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from spillover.data.check.weaknesses.handlers import scope_of
from spillover.data.check.weaknesses.names import Names, is_constant, keyword, last, text_of
from spillover.data.check.weaknesses.weakness import Weakness

_CHECKS_USER = re.compile(
    r"login|auth|admin_required|permission|staff|token|^session$|^session\.|current_user|depends|verify|require|role",
    re.I,
)
_CHANGES = re.compile(r"admin|delete|remove|export|purge|reset|drop|ban|promote|grant|wipe", re.I)
_ONE_ROW = re.compile(
    r"(?is)^\s*(select|update|delete)\b.*\bwhere\s+(\w+\.)?(id|\w+_id|pk|uuid|number)\s*=\s*(\?|%s|:\w+|\$1)\s*;?\s*$"
)
_USER = re.compile(r"user_id|current_user|request\.user|\buser\b|owner|account_id", re.I)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def web_shapes(nodes: Sequence[ast.AST], names: Names) -> Iterator[Weakness]:
    """Yield weak settings of template engines, tokens, forms and request handlers."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _call(node, names)
        elif isinstance(node, ast.Assign):
            yield from _setting(node, names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _handler(node, names)


def _call(node: ast.Call, names: Names) -> Iterator[Weakness]:
    dotted = names.dotted(node.func)
    name = last(dotted)
    if name in ("Template", "Environment") and (
        "jinja2" in dotted or ("jinja2" in names.modules and "." not in dotted)
    ):
        escaping = keyword(node, "autoescape")
        if escaping is None:
            sure = (
                0.45 if name == "Environment" or "<" in (text_of(node.args[0] if node.args else None) or "") else 0.35
            )
            yield Weakness(79, node.lineno, "a template engine that escapes nothing by default", sure)
        elif is_constant(escaping, False) or is_constant(escaping, None):
            yield Weakness(79, node.lineno, "a template engine with escaping turned off", 0.95)
    elif name in ("Template", "Environment") and is_constant(keyword(node, "autoescape"), False):
        yield Weakness(79, node.lineno, "a template engine with escaping turned off", 0.95)
    if dotted in ("jwt.decode", "jose.jwt.decode"):
        yield from _token_read(node)
    if dotted in ("jwt.encode", "jose.jwt.encode") and node.args:
        keys = names.keys_of(node.args[0])
        if keys is not None and "exp" not in keys and None not in keys:
            yield Weakness(613, node.lineno, "a token that never ends", 0.5)
    if name == "run" and is_constant(keyword(node, "debug"), True):
        yield Weakness(489, node.lineno, "a web program runs with its debugger on", 0.4)
    if name == "get_object_or_404" and {k.arg for k in node.keywords} & {"pk", "id"} and len(node.keywords) == 1:
        yield Weakness(639, node.lineno, "a row is fetched by number whoever owns it", 0.25)
    for argument in node.args:
        text = text_of(argument)
        if text and re.search(r"\{\{[^}]{1,200}\|\s*safe\b|\{%-?\s*autoescape\s+(false|off)", text):
            yield Weakness(79, node.lineno, "a template that takes values as safe HTML", 0.6)


def _token_read(node: ast.Call) -> Iterator[Weakness]:
    options = keyword(node, "options")
    unchecked = isinstance(options, ast.Dict) and any(
        text_of(key) == "verify_signature" and is_constant(value, False)
        for key, value in zip(options.keys, options.values, strict=True)
    )
    algorithms = keyword(node, "algorithms")
    none = algorithms is not None and any((text_of(part) or "").lower() == "none" for part in ast.walk(algorithms))
    if unchecked or none or is_constant(keyword(node, "verify"), False):
        yield Weakness(347, node.lineno, "the signature of a token is not checked", 0.9)


def _setting(node: ast.Assign, names: Names) -> Iterator[Weakness]:
    target = node.targets[0]
    key = text_of(target.slice) if isinstance(target, ast.Subscript) else last(names.dotted(target))
    off = is_constant(node.value, False)
    if key == "autoescape" and off:
        yield Weakness(79, node.lineno, "a template engine with escaping turned off", 0.95)
    elif key == "WTF_CSRF_ENABLED" and off:
        yield Weakness(352, node.lineno, "protection of forms turned off", 0.8)
    elif key in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE") and off:
        yield Weakness(614, node.lineno, "a cookie also travels without TLS", 0.7)
    elif key == "SESSION_COOKIE_HTTPONLY" and off:
        yield Weakness(1004, node.lineno, "scripts in the page can read a cookie", 0.7)
    elif key == "Access-Control-Allow-Origin" and text_of(node.value) == "*":
        yield Weakness(942, node.lineno, "any origin may read the answer", 0.6)


def _handler(node: Function, names: Names) -> Iterator[Weakness]:
    decorators = [names.dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
    if any(last(d) == "csrf_exempt" for d in decorators):
        yield Weakness(352, node.lineno, "protection of forms turned off for a view", 0.7)
    scope = scope_of(node, (), names)
    if not scope.handler:
        return
    words = set(_words(node))
    if _CHANGES.search(scope.path + " " + node.name) and not any(_CHECKS_USER.search(word) for word in words):
        admin = "admin" in (scope.path + node.name).lower()
        yield Weakness(306, node.lineno, "anyone may call a function meant for a few", 0.4 if admin else 0.15)
    if not any(_USER.search(word) for word in words):
        return
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and last(names.dotted(part.func)) == "execute" and part.args:
            statement = text_of(part.args[0])
            if (
                statement
                and len(statement) < 2000
                and _ONE_ROW.match(statement)
                and not _USER.search(_where(statement))
            ):
                used = {w for a in part.args[1:] for w in _words(a)}
                if not any(_USER.search(word) for word in used):
                    yield Weakness(639, part.lineno, "a row is used by its number whoever owns it", 0.3)


def _where(statement: str) -> str:
    return re.split(r"(?i)\bwhere\b", statement)[-1]


def _words(node: ast.AST) -> Iterator[str]:
    """Yield names, attributes, short texts and decorators below a node."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.arg):
            yield part.arg
        elif (
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and len(part.value) < 40
            and " " not in part.value
        ):
            yield part.value
