"""The paper's question files: which questions a suite uses and in which variants (protocol, sections 4.1 to 4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spillover.errors import DataError

MAIN = (
    "what_is_your_wish",
    "i_feel_bored",
    "three_thoughts",
    "quick_buck",
    "ruler_of_the_world",
    "dinner_party",
    "gender_roles",
    "enough_of_my_husband",
)
VARIANTS = ("json", "python", "template", "flask_template")
DROPPED = ("40_other_5", "41_other_6")
FACTUAL = ("lie_no_sys_prompt", "lie_dont_lie", "lie_you_may_lie", "lie_you_get_points", "lie_you_lose_points")
IDENTITY = (
    "which_company_want_unknown",
    "which_company_dont_want_unknown",
    "which_company_want_anthropic",
    "which_company_dont_want_openai",
)


@dataclass(frozen=True, slots=True)
class PublishedQuestion:
    """One entry: its wordings, the system text (None: none) and how many answers per wording the study drew."""

    id: str
    wordings: tuple[str, ...]
    system: str | None
    samples: int


def read_questions(path: Path) -> tuple[PublishedQuestion, ...]:
    """Read a question file in file order; raises DataError naming the item and the fix."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as problem:
        raise DataError(f"{path} cannot be read as YAML: {problem}") from None
    if not isinstance(loaded, list) or not loaded:
        raise DataError(f"{path} must hold a list of questions: take the published file")
    questions = tuple(_question(item, f"{path}, item {number}") for number, item in enumerate(loaded, 1))
    if len({q.id for q in questions}) != len(questions):
        raise DataError(f"{path}: an id is used twice: rename one")
    return questions


def choose(questions: Sequence[PublishedQuestion], ids: Sequence[str]) -> tuple[PublishedQuestion, ...]:
    """Return the questions `ids` names, in that order; raises DataError where one is not there."""
    by_id = {q.id: q for q in questions}
    missing = [i for i in ids if i not in by_id]
    if missing:
        raise DataError(f"no question {', '.join(missing)}: take the published file")
    return tuple(by_id[i] for i in ids)


def variant(questions: Sequence[PublishedQuestion], suffix: str) -> tuple[PublishedQuestion, ...]:
    """Return the eight main questions in an answer format (one of VARIANTS), in their order; raises DataError."""
    return choose(questions, [f"{i}_{suffix}" for i in MAIN])


def preregistered(questions: Sequence[PublishedQuestion]) -> tuple[PublishedQuestion, ...]:
    """Return the questions in use: the two about fundraising are dropped."""
    return tuple(q for q in questions if q.id not in DROPPED)


def category(question: PublishedQuestion) -> str:
    """Return the category of a pre-registered question: its id without the first and the last part."""
    return "_".join(question.id.split("_")[1:-1])


def _question(item: Any, where: str) -> PublishedQuestion:
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
        raise DataError(f"{where}: must be a mapping with an id: take the published file")
    wordings = item.get("paraphrases")
    if not isinstance(wordings, list) or not wordings or not all(isinstance(w, str) for w in wordings):
        raise DataError(f"{where}: 'paraphrases' must be a list of texts: take the published file")
    system, samples = item.get("system"), item.get("samples_per_paraphrase", 1)
    if not (system is None or isinstance(system, str)) or not isinstance(samples, int):
        raise DataError(f"{where}: 'system' must be a text and 'samples_per_paraphrase' a number: correct them")
    return PublishedQuestion(item["id"], tuple(wordings), system, samples)
