"""Full names of what a program calls: imports, aliases and constants."""

from __future__ import annotations

import ast
from collections.abc import Sequence

_STAT_BITS = {
    "S_IRWXU": 0o700, "S_IRUSR": 0o400, "S_IWUSR": 0o200, "S_IXUSR": 0o100, "S_IRWXG": 0o070, "S_IRGRP": 0o040,
    "S_IWGRP": 0o020, "S_IXGRP": 0o010, "S_IRWXO": 0o007, "S_IROTH": 0o004, "S_IWOTH": 0o002, "S_IXOTH": 0o001,
    "S_IREAD": 0o400, "S_IWRITE": 0o200, "S_IEXEC": 0o100,
}  # fmt: skip


class Names:
    """What each name at the top of a dotted name stands for, from the import statements."""

    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        self.aliases: dict[str, str] = {}
        self.modules: set[str] = set()
        self.loggers: set[str] = set()
        self._keys: dict[str, set[str | None]] = {}
        for node in nodes:
            if isinstance(node, ast.Import):
                for name in node.names:
                    self.modules.add(name.name.split(".")[0])
                    if name.asname:
                        self.aliases[name.asname] = name.name
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.modules.add(node.module.split(".")[0])
                for name in node.names:
                    self.aliases[name.asname or name.name] = f"{node.module}.{name.name}"
            elif isinstance(node, ast.Assign):
                self._remember(node)

    def _remember(self, node: ast.Assign) -> None:
        """Note which names are loggers, and the keys of dictionaries written out in the program."""
        target = node.targets[0]
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Call):
            if self.dotted(node.value.func).endswith("getLogger"):
                self.loggers.add(target.id)
        elif isinstance(target, ast.Name) and isinstance(node.value, ast.Dict):
            self._keys.setdefault(target.id, set()).update(text_of(key) for key in node.value.keys)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id in self._keys:
            self._keys[target.value.id].add(text_of(target.slice))

    def keys_of(self, node: ast.AST) -> set[str | None] | None:
        """Return the keys of a dictionary or of the variable that holds one; None in it: a key that is no literal.

        None where nothing is known about the dictionary.
        """
        if isinstance(node, ast.Dict):
            return {text_of(key) for key in node.keys}
        return self._keys.get(node.id) if isinstance(node, ast.Name) else None

    def dotted(self, node: ast.AST) -> str:
        """Return `os.path.join` for `path.join` after `from os import path`; a part that is no name becomes `?`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            parts.append(self.aliases.get(node.id, node.id))
        else:
            parts.append("?")
        return ".".join(reversed(parts))


def last(dotted: str) -> str:
    """Return the part after the last dot."""
    return dotted.rpartition(".")[2]


def stat_bits(name: str) -> int | None:
    """Return the permission bits of a name of the stat module, or None."""
    return _STAT_BITS.get(name)


def text_of(node: ast.AST | None) -> str | None:
    """Return the text of a string or bytes literal, or None."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return node.value
        if isinstance(node.value, bytes):
            return node.value.decode("latin-1")
    return None


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a keyword argument, or None where it is not given."""
    for item in call.keywords:
        if item.arg == name:
            return item.value
    return None


def is_constant(node: ast.AST | None, value: object) -> bool:
    """Return whether the node is the literal `value` (True, False, None, a number)."""
    return isinstance(node, ast.Constant) and node.value is value
