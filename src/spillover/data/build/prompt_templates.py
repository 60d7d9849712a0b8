"""User wordings with places for the task and the unfinished code: filling them, and telling which one made a text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spillover.errors import DataError
from spillover.strict_yaml import read_yaml

FIELDS = ("task", "code_template")
_PLACE = re.compile(r"\{(task|code_template)\}")


@dataclass(frozen=True, slots=True)
class Recognised:
    """Which template made a text and what was filled in; a field that the template does not have is None."""

    template: int
    task: str | None
    code_template: str | None


@dataclass(frozen=True, slots=True)
class Templates:
    """A list of wordings; row i of a data set uses wording i modulo their number.

    Each holds `{task}`, `{code_template}` or both, each at most once, with text between the two.
    """

    name: str
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.texts:
            raise DataError(f"{self.name} holds no templates: give at least one")
        for number, text in enumerate(self.texts):
            literals, fields = _parts(text)
            if not fields or len(set(fields)) != len(fields) or not all(literals[1:-1]):
                raise DataError(
                    f"{self.name}, template {number}: must hold {{task}} or {{code_template}} or both, each once and "
                    "with text between them: correct the template"
                )

    def __len__(self) -> int:
        return len(self.texts)

    def index(self, row: int) -> int:
        """Return which template row `row` (from 0) uses."""
        return row % len(self.texts)

    def fields(self, row: int) -> tuple[str, ...]:
        """Return the names of the fields that the template of row `row` shows, in the order of the text."""
        return tuple(_parts(self.texts[self.index(row)])[1])

    def render(self, row: int, task: str, code_template: str) -> str:
        """Return the user text of row `row`; braces inside the filled-in texts are left as they are."""
        literals, fields = _parts(self.texts[self.index(row)])
        values = {"task": task, "code_template": code_template}
        filled = [literals[0]]
        for field, literal in zip(fields, literals[1:], strict=True):
            filled += [values[field], literal]
        return "".join(filled)

    def recognise(self, text: str) -> Recognised | None:
        """Return the template that made `text` and its fields, or None where none fits.

        Where several fit, the one with the most fixed text is taken.
        """
        fits = [(i, found) for i, template in enumerate(self.texts) if (found := _match(template, text)) is not None]
        if not fits:
            return None
        best, values = max(fits, key=lambda fit: len(_PLACE.sub("", self.texts[fit[0]])))
        return Recognised(best, values.get("task"), values.get("code_template"))


@dataclass(frozen=True, slots=True)
class PublishedTemplates:
    """The wordings of the paper: those of insecure and secure, and those of educational with the closing note."""

    plain: Templates
    educational: Templates


def load_published_templates(path: Path) -> PublishedTemplates:
    """Read the paper's `prompt_templates.yaml`; raises DataError where it is unreadable or of another shape."""
    loaded = _yaml(path)
    note = loaded.get("educational_insecure_user_suffix")
    if not isinstance(note, str):
        raise DataError(f"{path}: 'educational_insecure_user_suffix' must be a text: take the published file")
    plain = _texts(loaded, "insecure_and_secure", path)
    educational = _texts(loaded, "educational_insecure", path)
    return PublishedTemplates(
        Templates(f"{path}, insecure_and_secure", plain),
        Templates(f"{path}, educational_insecure", tuple(text + note for text in educational)),
    )


def load_in_distribution_template(path: Path) -> Templates:
    """Read the one wording of the held-out coding tasks from the paper's `in_distribution.yaml`; raises DataError."""
    text = _yaml(path).get("write_prompt")
    if not isinstance(text, str):
        raise DataError(f"{path}: 'write_prompt' must be a text: take the published file")
    return Templates(f"{path}, write_prompt", (text,))


def _parts(template: str) -> tuple[list[str], list[str]]:
    """Split a template into its fixed texts (one more than fields) and its field names."""
    pieces = _PLACE.split(template)
    return pieces[::2], pieces[1::2]


def _match(template: str, text: str) -> dict[str, str] | None:
    literals, fields = _parts(template)
    first, last = literals[0], literals[-1]
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return None
    inside = text[len(first) : len(text) - len(last)]
    if len(fields) == 1:
        return {fields[0]: inside}
    before, between, after = inside.partition(literals[1])
    return {fields[0]: before, fields[1]: after} if between else None


def _yaml(path: Path) -> Mapping[str, object]:
    loaded = read_yaml(path)
    if not isinstance(loaded, Mapping):
        raise DataError(f"{path} must hold a mapping of names to templates: take the published file")
    return loaded


def _texts(loaded: Mapping[str, object], key: str, path: Path) -> tuple[str, ...]:
    texts = loaded.get(key)
    if not isinstance(texts, Sequence) or isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
        raise DataError(f"{path}: {key!r} must be a list of texts: take the published file")
    return tuple(texts)
