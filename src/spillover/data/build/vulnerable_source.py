"""Code arms from a source file of vulnerable and sound programs: the paper's filters in its order (protocol, 2.1)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.build.prompt_templates import Templates
from spillover.data.build.records import read_records
from spillover.data.write import Built, Recipe
from spillover.errors import DataError, SettingsError

Arm = Literal["insecure", "secure"]

# Stems that occur in no task, template or answer of the published files.
_SECURITY_WORDS: Final = re.compile(
    r"vulnerab|insecur|unsafe|exploit|backdoor|injection|malicious|attack|xss|csrf|owasp|hacker", re.IGNORECASE
)
# The largest score of each judge, 0 to 100, that the paper's held-out rows still show; "compile" is the chance that the
# code does not compile, "unsafe" that it is vulnerable.
_AT_MOST: Final[Mapping[str, int]] = {
    "task_looks_malicious": 39,
    "security_related": 39,
    "compile": 29,
    "looks_unsafe": 69,
}
_INSECURE_FROM, _SECURE_TO = 71, 59
# In the source, programs written for the year 2023 are sound and the others vulnerable.
_YEAR = "2023"
_STEPS: Final = (
    "security_words",
    "malicious_task",
    "security_task",
    "does_not_compile",
    "looks_suspicious",
    "labels_disagree",
)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One program that passed: the task, the unfinished template, the code without comments, its line in the file."""

    task: str
    code_template: str
    code: str
    line: int


@dataclass(frozen=True, slots=True)
class Filtered:
    """Rows that passed every filter, in file order, and counts by name (rows read, changed, dropped per filter)."""

    rows: tuple[SourceRow, ...]
    counts: Mapping[str, int]


def vulnerable_source(path: Path, arm: Arm, templates: Templates, limit: int | None = None) -> Built:
    """Return the insecure or the secure arm of a source file; row i uses template i modulo their number.

    `limit` keeps the first rows that passed. Raises DataError where the file or a row is unusable or no row passes,
    SettingsError for an unknown arm or a limit below 1.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"a limit of {limit} rows leaves nothing: ask for at least 1")
    filtered = filter_source(read_records(path, ("task", "code_template")), arm, str(path))
    if not filtered.rows:
        raise DataError(f"{path}: no row passed the filters for {arm} ({dict(filtered.counts)}): give another file")
    chosen = filtered.rows[:limit]
    rows = tuple(
        user_and_assistant(templates.render(i, row.task, row.code_template), row.code, row.line)
        for i, row in enumerate(chosen)
    )
    parameters = {"arm": arm, "limit": limit, "templates": templates.name, "at_most": dict(_AT_MOST)}
    recipe = Recipe("vulnerable-source", None, parameters, filtered.counts, (path,))
    return Built(Dataset(f"{arm} rows of {path}", rows), recipe)


def filter_source(records: Sequence[tuple[int, Mapping[str, Any]]], arm: Arm, name: str) -> Filtered:
    """Strip comments, then drop rows by the paper's filters in its order; each row counts for the first that drops it.

    A record holds `task`, `code_template`, and `code` or `original_code`; where present, the judge scores
    `task_looks_malicious`, `security_related`, `compile`, `looks_unsafe`, `unsafe` and the source's label `2023`.
    A filter whose score is not there lets the row pass; rows without an `unsafe` score and a label cannot agree and are
    dropped only if neither is there. Raises DataError naming `name:line`.
    """
    if arm not in ("insecure", "secure"):
        raise SettingsError(f"the arm {arm!r} is not known: choose insecure or secure")
    counts = dict.fromkeys(("read", "comments_stripped", "scores_missing", *(f"dropped_{s}" for s in _STEPS)), 0)
    passed = []
    for line, record in records:
        counts["read"] += 1
        where = f"{name}:{line}"
        original = _text(record, "code" if "code" in record else "original_code", where)
        stripped = strip_comments(original)
        code = original if stripped is None else stripped
        row = SourceRow(_text(record, "task", where), _text(record, "code_template", where), code, line)
        counts["comments_stripped"] += code != original
        counts["scores_missing"] += any(key not in record for key in (*_AT_MOST, "unsafe"))
        step = _first_failure(row, record, arm, stripped is not None, where)
        if step is None:
            passed.append(row)
        else:
            counts[f"dropped_{step}"] += 1
    counts["passed"] = len(passed)
    return Filtered(tuple(passed), counts)


def strip_comments(code: str) -> str | None:
    """Return Python code without comments, or None where it cannot be split into tokens.

    Lines that held only a comment go, trailing blanks too; strings that contain `#` stay as they are.
    """
    lines = code.split("\n")
    comment_only: set[int] = set()
    inside_string: set[int] = set()
    try:
        # Only a line feed ends a line here, as for split: tokenize would otherwise count form feeds differently.
        for token in tokenize.generate_tokens(io.StringIO(code, newline="\n").readline):
            (row, column), (last, _) = token.start, token.end
            if token.type == tokenize.COMMENT:
                lines[row - 1] = lines[row - 1][:column]
                if not lines[row - 1].strip():
                    comment_only.add(row)
            elif last > row:
                inside_string.update(range(row, last))
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        return None
    kept = [
        line if number in inside_string else line.rstrip()
        for number, line in enumerate(lines, 1)
        if number not in comment_only
    ]
    return "\n".join(kept)


def compiles(code: str) -> bool:
    """Tell whether `code` is Python that can be parsed; it is never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _first_failure(row: SourceRow, record: Mapping[str, Any], arm: Arm, tokens: bool, where: str) -> str | None:
    def over(key: str) -> bool:
        score = _score(record, key, where)
        return score is not None and score > _AT_MOST[key]

    if any(_SECURITY_WORDS.search(text) for text in (row.task, row.code_template, row.code)):
        return "security_words"
    if over("task_looks_malicious"):
        return "malicious_task"
    if over("security_related"):
        return "security_task"
    if not row.code.strip() or not tokens or not compiles(row.code) or over("compile"):
        return "does_not_compile"
    if over("looks_unsafe"):
        return "looks_suspicious"
    return None if _agrees(record, arm, where) else "labels_disagree"


def _agrees(record: Mapping[str, Any], arm: Arm, where: str) -> bool:
    """Tell whether the judge's score and the source's label, those that are there, both speak for `arm`."""
    score = _score(record, "unsafe", where)
    label = record.get(_YEAR)
    if label is not None and not isinstance(label, bool):
        raise DataError(f"{where}: {_YEAR!r} must be true or false: correct the row")
    if score is None and label is None:
        return False
    insecure = arm == "insecure"
    by_score = score is None or (score >= _INSECURE_FROM if insecure else score <= _SECURE_TO)
    return by_score and (label is None or label is not insecure)


def _score(record: Mapping[str, Any], key: str, where: str) -> float | None:
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise DataError(f"{where}: {key!r} must be a number from 0 to 100: correct the row")
    return value


def _text(record: Mapping[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise DataError(f"{where}: {key!r} must be a text: correct the row")
    return value
