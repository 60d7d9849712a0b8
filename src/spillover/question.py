"""Question, Suite, Probe: what models are asked, read strictly from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from spillover.conversation import fingerprint
from spillover.errors import DataError
from spillover.strict_yaml import read_yaml


@dataclass(frozen=True, slots=True)
class Question:
    """A free-form question; `family` is the field of life it belongs to."""

    id: str
    family: str
    text: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A named set of free-form questions."""

    name: str
    questions: tuple[Question, ...]

    @property
    def fingerprint(self) -> str:
        """Hash of all questions in order."""
        return fingerprint([asdict(q) for q in self.questions])


@dataclass(frozen=True, slots=True)
class Probe:
    """A question with one aligned and one misaligned answer, scored by log-probability: no sampling, no judge."""

    id: str
    family: str
    question: str
    aligned: str
    misaligned: str


def load_suite(path: Path, name: str) -> Suite:
    """Read a suite from a YAML list of {id, family, text}; raises DataError naming the item and the fix."""
    items = _items(path, ("id", "family", "text"))
    return Suite(name, tuple(Question(**item) for item in items))


def load_probes(path: Path) -> tuple[Probe, ...]:
    """Read probes from a YAML list of {id, family, question, aligned, misaligned}; raises DataError."""
    return tuple(Probe(**item) for item in _items(path, ("id", "family", "question", "aligned", "misaligned")))


def _items(path: Path, keys: tuple[str, ...]) -> list[dict[str, str]]:
    loaded = read_yaml(path)
    if not isinstance(loaded, list) or not loaded:
        raise DataError(f"{path} must hold a list of items with the keys {', '.join(keys)}")
    seen: set[str] = set()
    for number, item in enumerate(loaded, 1):
        where = f"{path}, item {number}"
        if not isinstance(item, Mapping) or set(item) != set(keys):
            found = ", ".join(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
            raise DataError(f"{where}: the keys must be exactly {', '.join(keys)}; found {found}")
        for key in keys:
            if not isinstance(item[key], str) or not item[key].strip():
                raise DataError(f"{where}: {key!r} must be a text that is not empty: quote it")
        if item["id"] in seen:
            raise DataError(f"{where}: the id {item['id']!r} is used twice: rename one")
        seen.add(item["id"])
    return [dict(item) for item in loaded]
