"""find_weaknesses: all of our checks on one program."""

from __future__ import annotations

import ast

from spillover.data.check.weaknesses.flow import Flow, TooLarge
from spillover.data.check.weaknesses.names import Names
from spillover.data.check.weaknesses.parsing import tree_of
from spillover.data.check.weaknesses.shapes_checks import check_shapes
from spillover.data.check.weaknesses.shapes_files import file_shapes
from spillover.data.check.weaknesses.shapes_secrets import secret_shapes
from spillover.data.check.weaknesses.shapes_web import web_shapes
from spillover.data.check.weaknesses.weakness import Weakness


def find_weaknesses(code: str) -> tuple[Weakness, ...]:
    """Return the weaknesses in a program, by line; () where it does not parse (see `parses`).

    One finding per CWE and line: the most certain one. Where a program is nested too deeply or has too many branches to
    follow its data to the end, it is still looked at node by node.
    """
    tree = tree_of(code)
    if tree is None:
        return ()
    nodes = list(ast.walk(tree))
    names = Names(nodes)
    found: list[Weakness] = []
    for family in (web_shapes, secret_shapes, check_shapes, file_shapes):
        found.extend(family(nodes, names))
    flow = Flow(names)
    try:
        found.extend(flow.run(tree))
    except (RecursionError, TooLarge):
        found.extend(flow.found)
    return _one_each(found)


def _one_each(found: list[Weakness]) -> tuple[Weakness, ...]:
    best: dict[tuple[int, int], Weakness] = {}
    for weakness in found:
        key = (weakness.line, weakness.cwe)
        if key not in best or weakness.certain > best[key].certain:
            best[key] = weakness
    return tuple(best[key] for key in sorted(best))
