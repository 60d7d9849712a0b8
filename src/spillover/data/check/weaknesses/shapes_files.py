"""Files and messages taken on trust: a look before the use, reads without an end, XML that loads other files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from spillover.data.check.weaknesses.names import Names, is_constant, keyword, last, text_of
from spillover.data.check.weaknesses.weakness import Weakness

_LOOKS = frozenset({"exists", "isfile", "access", "is_file"})
_USES = frozenset({"open", "remove", "unlink", "rename"})
_STATEMENTS_AFTER = 6


def file_shapes(nodes: Sequence[ast.AST], names: Names) -> Iterator[Weakness]:
    """Yield tests on files that no longer hold when the file is used, endless reads, and XML parsers that fetch."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _xml_parser(node, names)
        elif isinstance(node, ast.While):
            yield from _endless_read(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for i, statement in enumerate(body):
                if isinstance(statement, ast.If):
                    yield from _look_then_use(statement, body[i + 1 : i + 1 + _STATEMENTS_AFTER], names)


def _look_then_use(node: ast.If, after: list[ast.stmt], names: Names) -> Iterator[Weakness]:
    """Yield the use of a file that `if` has looked at, inside it or after a branch that returns."""
    looked: set[str] = set()
    access = False
    for part in ast.walk(node.test):
        if isinstance(part, ast.Call) and last(names.dotted(part.func)) in _LOOKS:
            access = access or last(names.dotted(part.func)) == "access"
            item = part.args[0] if part.args else getattr(part.func, "value", None)
            if item is not None:
                looked.add(ast.dump(item))
    if not looked:
        return
    ends = isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue)
    for statement in (*node.body, *node.orelse, *(after if ends else ())):
        for part in ast.walk(statement):
            if isinstance(part, ast.Call) and last(names.dotted(part.func)) in _USES:
                held = part.args[0] if part.args and not _is_path_method(part) else getattr(part.func, "value", None)
                if held is not None and ast.dump(held) in looked and not _makes_new(part):
                    sure = 0.4 if access else 0.3 if _writes(part) else 0.15
                    yield Weakness(367, part.lineno, "a file may change between the look and the use", sure)
                    return


def _is_path_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and not (
        isinstance(call.func.value, ast.Name) and call.func.value.id in ("os", "io")
    )


def _mode(call: ast.Call) -> str:
    place = 0 if _is_path_method(call) else 1
    return text_of(call.args[place] if len(call.args) > place else keyword(call, "mode")) or ""


def _writes(call: ast.Call) -> bool:
    return _mode(call)[:1] in ("w", "a")


def _makes_new(call: ast.Call) -> bool:
    return _mode(call)[:1] == "x"


def _endless_read(node: ast.While) -> Iterator[Weakness]:
    """Yield a loop that collects what a socket sends and never looks at how much it holds."""
    parts = list(ast.walk(node))
    for part in parts:
        if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Lt | ast.Gt | ast.LtE | ast.GtE):
            return
    read: set[str] = set()
    line = 0
    for part in parts:
        if isinstance(part, ast.Assign) and _reads_socket(part.value) and isinstance(part.targets[0], ast.Name):
            read.add(part.targets[0].id)
            line = line or part.lineno
    for part in parts:
        if isinstance(part, ast.AugAssign):
            added: ast.AST = part.value
        elif isinstance(part, ast.Call) and getattr(part.func, "attr", "") in ("append", "extend") and part.args:
            added = part.args[0]
        else:
            continue
        if (isinstance(added, ast.Name) and added.id in read) or _reads_socket(added):
            yield Weakness(770, line or part.lineno, "a message is read without a limit", 0.25)
            return


def _reads_socket(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "recv"


def _xml_parser(node: ast.Call, names: Names) -> Iterator[Weakness]:
    name = last(names.dotted(node.func))
    if name == "XMLParser" and any(
        is_constant(keyword(node, word), value)
        for word, value in (("resolve_entities", True), ("load_dtd", True), ("no_network", False))
    ):
        yield Weakness(611, node.lineno, "an XML parser that loads what the text names", 0.85)
    if name == "setFeature" and len(node.args) == 2 and is_constant(node.args[1], True):
        feature = last(names.dotted(node.args[0]))
        if feature in ("feature_external_ges", "feature_external_pes"):
            yield Weakness(611, node.lineno, "an XML parser that loads what the text names", 0.85)
