"""Follow outside data through a program, statement by statement, and report where it is used unsafely."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from spillover.data.check.weaknesses.expressions import Expressions
from spillover.data.check.weaknesses.guards import Facts, facts
from spillover.data.check.weaknesses.handlers import Scope, parameter_values, scope_of
from spillover.data.check.weaknesses.names import Names
from spillover.data.check.weaknesses.sinks import assigned_weaknesses, returned_weaknesses
from spillover.data.check.weaknesses.values import UNKNOWN, Value, either, joined
from spillover.data.check.weaknesses.weakness import Weakness

Function = ast.FunctionDef | ast.AsyncFunctionDef
_ENDS = frozenset({"abort", "exit", "_exit", "fail", "quit"})
_MOST_WORK = 2_000_000
_FURTHER = frozenset({"path", "url", "size", "data"})
_PROGRAM_WIDE = frozenset({"request", "self", "cls", "app"})


class TooLarge(Exception):
    """A program has too many branches and variables to follow them all."""


@dataclass(slots=True)
class _Pending:
    """A function body still to be followed, with what was known where it was defined."""

    node: Function
    variables: dict[str, Value]
    owner: str
    bases: tuple[str, ...] = ()


@dataclass
class Flow(Expressions):
    """Two passes over a module: the second knows what the functions return and what they are called with."""

    names: Names
    variables: dict[str, Value] = field(default_factory=dict)
    fields: dict[str, Value] = field(default_factory=dict)
    returns: dict[str, Value] = field(default_factory=dict)
    calls: dict[str, dict[str, Value]] = field(default_factory=dict)
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: list[Weakness] = field(default_factory=list)
    scope: Scope = field(default_factory=Scope)
    pending: list[_Pending] = field(default_factory=list)
    returned: list[Value] = field(default_factory=list)
    exceptions: set[str] = field(default_factory=set)
    work: int = 0

    def copied(self) -> dict[str, Value]:
        """Return a copy of the variables for one branch; raises TooLarge when a program makes that quadratic."""
        self.work += len(self.variables)
        if self.work > _MOST_WORK:
            raise TooLarge
        return dict(self.variables)

    def run(self, tree: ast.Module) -> list[Weakness]:
        """Follow the module twice and return what the second pass found."""
        for _ in range(2):
            self.found, self.variables, self.scope, self.pending = [], {}, Scope(), []
            self.block(tree.body)
            while self.pending:
                self._function(self.pending.pop(0))
        return self.found

    def _function(self, pending: _Pending) -> None:
        node = pending.node
        self.scope = scope_of(node, pending.bases, self.names)
        self.variables = dict(pending.variables)
        key = node.name
        self.parameters[key] = tuple(a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg != "self")
        given = self.calls.get(key, {})
        for name, value in parameter_values(node, self.scope, self.value).items():
            passed = given.get(name, UNKNOWN)
            if passed.worst > value.worst:
                value = value._replace(taint=passed.taint)
            if passed.number is not None and value.number is None:
                value = value._replace(number=passed.number)
            self.variables[name] = value
        self.returned, self.exceptions = [], set()
        self.block(node.body, pending.owner, pending.bases)
        if self.returned:
            self.returns[key] = joined(self.returned)._replace(of=self.returned[0].of)

    def block(self, body: list[ast.stmt], owner: str = "", bases: tuple[str, ...] = ()) -> bool:
        """Follow statements in order; return whether the end cannot be reached."""
        return any(self.statement(statement, owner, bases) for statement in body)

    def statement(self, node: ast.stmt, owner: str, bases: tuple[str, ...]) -> bool:
        """Follow one statement; return whether the next one cannot be reached."""
        match node:
            case ast.Assign(targets=targets, value=right):
                value = self.value(right)
                for target in targets:
                    self._assign(target, value)
            case ast.AnnAssign(target=target, value=right) if right is not None:
                self._assign(target, self.value(right))
            case ast.AugAssign(target=target, value=right):
                self._assign(target, joined((self.value(target), self.value(right))))
            case ast.Expr(value=right):
                self.value(right)
                return isinstance(right, ast.Call) and self.names.dotted(right.func).rpartition(".")[2] in _ENDS
            case ast.Return(value=right):
                if right is not None:
                    value = self.value(right)
                    self.returned.append(value)
                    self.found.extend(returned_weaknesses(node, right, value, self.scope, self.exceptions))
                return True
            case ast.If(test=test, body=body, orelse=other):
                return self._branch(test, body, other, owner, bases)
            case ast.For() | ast.AsyncFor():
                self._assign(node.target, self.value(node.iter))
                self._maybe([*node.body, *node.orelse], {}, owner, bases)
            case ast.While(test=test, body=body, orelse=other):
                self.value(test)
                self._maybe([*body, *other], facts(test)[0], owner, bases)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self.value(item.context_expr)
                    if item.optional_vars is not None:
                        self._assign(item.optional_vars, value)
                return self.block(node.body, owner, bases)
            case ast.Try() | ast.TryStar():
                self._try(node, owner, bases)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.pending.append(_Pending(node, self.variables, owner, bases))
                for decorator in node.decorator_list:
                    self.value(decorator)
            case ast.ClassDef(name=name, body=body):
                parents = tuple(self.names.dotted(base) for base in node.bases)
                self.block(body, name, parents)
            case ast.Assert(test=test):
                self.value(test)
                self._learn(facts(test)[0])
            case ast.Raise(exc=raised):
                if raised is not None:
                    self.value(raised)
                return True
            case ast.Match(subject=subject, cases=cases):
                self.value(subject)
                for one in cases:
                    self._maybe(one.body, {}, owner, bases)
            case ast.Break() | ast.Continue():
                return True
            case _:
                pass
        return False

    def _branch(
        self, test: ast.expr, body: list[ast.stmt], other: list[ast.stmt], owner: str, bases: tuple[str, ...]
    ) -> bool:
        self.value(test)
        true, false = facts(test)
        before = self.copied()
        self._learn(true)
        body_ends = self.block(body, owner, bases)
        after_body = self.variables
        self.variables = before
        self._learn(false)
        other_ends = self.block(other, owner, bases)
        if not body_ends:
            self.variables = after_body if other_ends else _merged(after_body, self.variables)
        return body_ends and other_ends

    def _maybe(self, body: list[ast.stmt], known: Facts, owner: str, bases: tuple[str, ...]) -> None:
        """Follow a block that may run or not."""
        before = self.copied()
        self._learn(known)
        if self.block(body, owner, bases):
            before.update({k: v for k, v in self.variables.items() if k not in before})
            self.variables = before
        else:
            self.variables = _merged(self.variables, before)

    def _try(self, node: ast.Try | ast.TryStar, owner: str, bases: tuple[str, ...]) -> None:
        ended = self.block([*node.body, *node.orelse], owner, bases)
        after = self.variables
        for handler in node.handlers:
            self.variables = dict(after)
            if handler.name:
                broad = handler.type is None or self.names.dotted(handler.type) in ("Exception", "BaseException")
                self.variables[handler.name] = Value()
                if broad:
                    self.exceptions.add(handler.name)
            if not self.block(handler.body, owner, bases):
                after = self.variables if ended else _merged(after, self.variables)
                ended = False
        self.variables = after
        self.block(node.finalbody, owner, bases)

    def _assign(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(id=name):
                self.variables[name] = value
            case ast.Attribute(value=ast.Name(id=base), attr=attribute):
                self.found.extend(assigned_weaknesses(target, self.names.dotted(target), value))
                key = f"{base}.{attribute}"
                self.variables[key] = value
                if base == "self":
                    self.fields[key] = either(self.fields[key], value) if key in self.fields else value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._assign(part, value._replace(number=None))
            case ast.Starred(value=part):
                self._assign(part, value)
            case ast.Subscript(value=holder, slice=index):
                self.found.extend(assigned_weaknesses(target, self.names.dotted(holder), value))
                self.value(index)
                if isinstance(holder, ast.Name) and holder.id in self.variables:
                    old = self.variables[holder.id]
                    self.variables[holder.id] = joined((old, value))._replace(of=old.of)
            case _:
                pass

    def _learn(self, known: Facts) -> None:
        """Mark variables as safe; what a path, URL or size was made from is then safe for that use too."""
        for name, kinds in known.items():
            value = self.variables.get(name)
            if value is None or name in _PROGRAM_WIDE:
                continue
            self.variables[name] = value.cleaned(kinds)
            for parent in value.names - _PROGRAM_WIDE:
                if parent in self.variables:
                    self.variables[parent] = self.variables[parent].cleaned(kinds & _FURTHER)


def _merged(first: dict[str, Value], second: dict[str, Value]) -> dict[str, Value]:
    return {
        name: either(first[name], second[name])
        if name in first and name in second
        else first.get(name, second.get(name, UNKNOWN))
        for name in {**first, **second}
    }
