"""Strict reading of YAML files that people write: checks that name the place and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from spillover.errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class _Strict(yaml.SafeLoader):
    """Plain YAML in which a key may not stand twice in a mapping (YAML's readers keep the last without a word)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; raises ConstructorError where a key stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds; no code is run; raises DataError where it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as problem:
        raise DataError(f"{path} cannot be read as YAML: {problem}") from None


def check_keys(value: Any, needed: Sequence[str], optional: Sequence[str], where: str) -> Mapping[str, Any]:
    """Return `value` as a mapping; raises DataError for a missing or unknown key."""
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: must be a mapping with the keys {', '.join(needed)}; found {type(value).__name__}")
    missing = [k for k in needed if k not in value]
    unknown = [str(k) for k in value if k not in (*needed, *optional)]
    if missing or unknown:
        wrong = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(unknown)
        allowed = f"needed {', '.join(needed)}; allowed {', '.join(optional)}"
        raise DataError(f"{where}: {'; '.join(wrong)}: correct the keys ({allowed})")
    return value


def text_of(value: Any, where: str, key: str) -> str:
    """Return a text that is not empty and can be written as UTF-8; raises DataError."""
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key!r} must be a text that is not empty: quote it")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise DataError(f"{where}: {key!r} holds half a character (a lone surrogate): write the whole one")
    return value


def whole_number(value: Any, where: str, key: str) -> int:
    """Return a whole number from 1 to a million; raises DataError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise DataError(f"{where}: {key!r} must be a whole number from 1 to 1000000; found {value!r:.40}")
    return value


def plain_name(value: Any, where: str) -> str:
    """Return a name of letters, digits and . _ - (it may become part of a file name); raises DataError."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DataError(f"{where} must be a name of at most 100 letters, digits and . _ -; found {value!r:.60}")
    return value


def refuse_repeats(ids: Iterable[str], where: str) -> None:
    """Raise DataError where an id stands twice, naming it."""
    seen: set[str] = set()
    for number, one in enumerate(ids, 1):
        if one in seen:
            raise DataError(f"{where}, item {number}: the id {one!r} is used twice: rename one")
        seen.add(one)


def listed(value: Any, where: str, key: str) -> list[Any]:
    """Return a list that is not empty; raises DataError."""
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: {key!r} must be a list that is not empty")
    return value
