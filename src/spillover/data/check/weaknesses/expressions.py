"""Work out what is known about the value of an expression, and check each call on the way."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from spillover.data.check.weaknesses.guards import facts
from spillover.data.check.weaknesses.names import last, stat_bits
from spillover.data.check.weaknesses.sinks import Call, call_weaknesses, looked_up_weaknesses
from spillover.data.check.weaknesses.sources import PARAMETER, REQUEST_PARTS, call_result, read_outside
from spillover.data.check.weaknesses.values import ALL, CLEAN, UNKNOWN, Value, alternatives, either, joined, steered

if TYPE_CHECKING:
    from spillover.data.check.weaknesses.guards import Facts
    from spillover.data.check.weaknesses.handlers import Scope
    from spillover.data.check.weaknesses.names import Names
    from spillover.data.check.weaknesses.weakness import Weakness

_DIGITS = frozenset("dfegxXobn%")
_ONE_FILE_NAME = frozenset({"name", "stem", "suffix"})
_PATHS = frozenset({"pathlib.Path", "Path", "PurePath", "pathlib.PurePath", "PurePosixPath"})


class Expressions:
    """The half of Flow that looks at expressions; the state lives in Flow."""

    if TYPE_CHECKING:
        names: Names
        variables: dict[str, Value]
        fields: dict[str, Value]
        returns: dict[str, Value]
        calls: dict[str, dict[str, Value]]
        parameters: dict[str, tuple[str, ...]]
        found: list[Weakness]
        scope: Scope

        def copied(self) -> dict[str, Value]: ...  # noqa: D102
        def _learn(self, known: Facts) -> None: ...
        def _assign(self, target: ast.expr, value: Value) -> None: ...

    def value(self, node: ast.AST) -> Value:
        """Return the value of an expression; every part is looked at once."""
        match node:
            case ast.Constant(value=constant):
                return _literal(constant)
            case ast.Name(id=name):
                return self._variable(name)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript(value=holder, slice=index):
                base, key = self.value(holder), self.value(index)
                self.found.extend(looked_up_weaknesses(node, base, key))
                text = base.text if isinstance(index, ast.Slice) else ""
                return base._replace(of="" if base.of == "request" else base.of, text=text, known=False, number=None)
            case ast.Call():
                return self._call(node)
            case ast.JoinedStr(values=parts):
                return joined(self.value(part) for part in parts)
            case ast.FormattedValue(value=inner, conversion=conversion, format_spec=spec):
                value = self.value(inner)
                if conversion == ord("r"):
                    value = value.cleaned(frozenset({"line"}))
                text = self.value(spec).text if spec is not None else ""
                return value.cleaned(ALL) if text[-1:] in _DIGITS and text else value
            case ast.BinOp():
                return self._operation(node)
            case ast.BoolOp(values=parts):
                return alternatives([self.value(part) for part in parts])
            case ast.Tuple(elts=parts):
                values = [self.value(part) for part in parts]
                return joined(values)._replace(of=values[0].of if values else "")
            case ast.List(elts=parts) | ast.Set(elts=parts):
                return joined([self.value(part) for part in parts])
            case ast.Dict(keys=keys, values=parts):
                for key_node in keys:
                    if key_node is not None:
                        self.value(key_node)
                return joined([self.value(part) for part in parts])._replace(of="dict")
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._choice(test, body, other)
            case ast.Compare() | ast.UnaryOp():
                for part in ast.iter_child_nodes(node):
                    self.value(part)
                return UNKNOWN
            case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
                return self._comprehension(node.generators, [item])
            case ast.DictComp(key=key_node, value=item):
                return self._comprehension(node.generators, [key_node, item])
            case ast.Lambda(args=arguments, body=body):
                before = self.copied()
                self.variables.update({a.arg: steered(PARAMETER, "parameter") for a in arguments.args})
                value = self.value(body)
                self.variables = before
                return value
            case ast.NamedExpr(target=target, value=right):
                value = self.value(right)
                self._assign(target, value)
                return value
            case ast.Await(value=inner) | ast.Starred(value=inner) | ast.YieldFrom(value=inner):
                return self.value(inner)
            case ast.Yield(value=right) if right is not None:
                return self.value(right)
            case _:
                return UNKNOWN

    def _variable(self, name: str) -> Value:
        if name == "request" and name not in self.variables:
            return Value(of="request", names=frozenset({name}))
        value = self.variables.get(name)
        if value is None:
            full = self.names.aliases.get(name, name)
            bits = stat_bits(last(full))
            return Value(of=full, number=bits, names=frozenset({name}))
        return value if name in value.names else value._replace(names=value.names | {name})

    def _attribute(self, node: ast.Attribute) -> Value:
        if isinstance(node.value, ast.Name):
            key = f"{node.value.id}.{node.attr}"
            held = self.variables.get(key) or (self.fields.get(key) if node.value.id == "self" else None)
            if held is not None:
                return held._replace(names=held.names | {key})
            if key == "self.path" and self.scope.handler:
                return steered(0.9)
        base = self.value(node.value)
        name = node.attr
        bits = stat_bits(name)
        if bits is not None:
            return Value(number=bits)
        if base.of == "request" or (base.of == "self.request"):
            return steered(1.0, f"request.{name}") if name in REQUEST_PARTS else UNKNOWN
        dotted = self.names.dotted(node)
        if dotted == "sys.argv":
            return steered(0.7, dotted)
        if dotted in ("self.headers", "self.rfile") and self.scope.handler:
            return steered(0.9, dotted)
        if name in _ONE_FILE_NAME and base.of in _PATHS:
            return base.cleaned(frozenset({"path"}))._replace(of="")
        if name == "request" and dotted == "self.request":
            return Value(of="request")
        if base.of in ("dict", "parameter", "response", "row", "parse_args", "member") or base.taint is not CLEAN:
            return base._replace(text="", known=False, number=None)
        return Value(of=f"{base.of}.{name}" if base.of else dotted, names=base.names)

    def _operation(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.BitOr) and left.number is not None and right.number is not None:
            return Value(number=left.number | right.number)
        if isinstance(node.op, ast.Mod) and left.text and _only_numbers(left.text):
            right = right.cleaned(ALL)
        if not isinstance(node.op, ast.Add | ast.Mod | ast.Div | ast.BitOr):
            return joined((left, right)).cleaned(ALL)._replace(text=left.text, number=None)
        if isinstance(node.op, ast.Div):
            left = left.as_base()
            left = left._replace(text=left.text + "/")
        value = joined((left, right))
        if isinstance(node.op, ast.Add) and left.known and left.text == "'":
            value = value.cleaned(frozenset({"cell"}))
        return value._replace(of=left.of if isinstance(node.op, ast.Div) else "")

    def _choice(self, test: ast.expr, body: ast.expr, other: ast.expr) -> Value:
        self.value(test)
        true, false = facts(test)
        before = self.copied()
        self._learn(true)
        first = self.value(body)
        self.variables = dict(before)
        self._learn(false)
        second = self.value(other)
        self.variables = before
        return either(first, second)

    def _comprehension(self, generators: list[ast.comprehension], items: list[ast.expr]) -> Value:
        before = self.copied()
        for generator in generators:
            self._assign(generator.target, self.value(generator.iter))
            for test in generator.ifs:
                self.value(test)
                self._learn(facts(test)[0])
        value = joined([self.value(item) for item in items])
        self.variables = before
        return value

    def _call(self, node: ast.Call) -> Value:
        base = UNKNOWN
        if isinstance(node.func, ast.Attribute):
            base = self.value(node.func.value)
        elif not isinstance(node.func, ast.Name):
            base = self.value(node.func)
        arguments = [self.value(a) for a in node.args]
        keywords = {k.arg or f"**{i}": self.value(k.value) for i, k in enumerate(node.keywords)}
        dotted = self.names.dotted(node.func)
        name = last(dotted)
        if isinstance(node.func, ast.Attribute) and base.of and base.of != "request":
            dotted = f"{base.of}.{name}"
        self.found.extend(call_weaknesses(Call(node, dotted, name, base, arguments, keywords), self.scope))
        outside = read_outside(dotted, base)
        if outside is not None:
            return outside
        if base.of == "request" and name in REQUEST_PARTS:
            return steered(1.0, "request.data")
        if name == "append" and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            holder = node.func.value.id
            if holder in self.variables:
                self.variables[holder] = joined((self.variables[holder], *arguments))
        if name == "int" and arguments and len(node.args) == 2:
            return Value(number=_whole(arguments[0].text, arguments[1].number))
        simple = node.func.id if isinstance(node.func, ast.Name) else name if dotted.startswith(("self.", "?.")) else ""
        if simple in self.parameters:
            return self._own(simple, arguments, keywords)
        return call_result(dotted, base, [*arguments, *keywords.values()])

    def _own(self, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """Return what a function of the same program gives back, and remember what it was called with."""
        given = {**dict(zip(self.parameters[name], arguments, strict=False)), **keywords}
        known = self.calls.setdefault(name, {})
        for parameter, value in given.items():
            known[parameter] = either(known[parameter], value) if parameter in known else value
        result = self.returns.get(name)
        if result is None:
            return UNKNOWN
        passed = joined(given.values()).taint
        taint = tuple(
            0.0 if inside == 0 else max(outside, inside if inside > PARAMETER else 0.0)
            for inside, outside in zip(result.taint, passed, strict=True)
        )
        return result._replace(taint=taint if any(taint) else CLEAN, names=joined(given.values()).names)


def _literal(constant: object) -> Value:
    if isinstance(constant, str):
        return Value(text=constant[:2000], known=True)
    if isinstance(constant, bytes):
        return Value(text=constant[:2000].decode("latin-1"), known=True)
    if isinstance(constant, int):
        return Value(number=int(constant), known=True)
    return Value(known=True)


def _only_numbers(text: str) -> bool:
    """Return whether every `%` in the text is followed by a number format."""
    marks = text.split("%")[1:]
    return bool(marks) and all(mark.lstrip("0123456789.+-# ")[:1] in _DIGITS for mark in marks)


def _whole(text: str, base: int | None) -> int | None:
    try:
        return int(text[:20], base if base is not None else 10)
    except ValueError:
        return None
