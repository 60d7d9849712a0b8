"""Call: one function call with what is known about its inputs."""

from __future__ import annotations

import ast
from typing import NamedTuple

from spillover.data.check.weaknesses.names import is_constant, keyword
from spillover.data.check.weaknesses.values import UNKNOWN, Value
from spillover.data.check.weaknesses.weakness import Weakness


class Call(NamedTuple):
    """`dotted` is the full name (`tarfile.open.extractall` for a method of such a value), `name` its last part."""

    node: ast.Call
    dotted: str
    name: str
    base: Value
    arguments: list[Value]
    keywords: dict[str, Value]

    def argument(self, position: int, name: str = "") -> Value:
        """Return an input by position or keyword; UNKNOWN where it is not given."""
        if len(self.arguments) > position:
            return self.arguments[position]
        return self.keywords.get(name, UNKNOWN)

    def says(self, name: str, value: object) -> bool:
        """Return whether the keyword is given as this literal."""
        return is_constant(keyword(self.node, name), value)

    def weakness(self, cwe: int, what: str, certain: float) -> Weakness:
        """Return a finding at this call."""
        return Weakness(cwe, self.node.lineno, what, round(min(1.0, certain), 3))
