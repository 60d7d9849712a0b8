"""Read letter and pivotal-token questions from YAML; the authors' file loads as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover.errors import DataError
from spillover.monitor.choices import Block
from spillover.monitor.letters import LetterFormat, LetterQuestion
from spillover.monitor.pivotal import PLACE, PivotalQuestion
from spillover.strict_yaml import check_keys, listed, read_yaml, text_of

_MOST_OPTIONS = 26


# Frozen, so safe to share as a default.
_OURS = LetterFormat()


@dataclass(frozen=True, slots=True)
class ProbeFile:
    """The questions of a file in its two formats; either may be empty."""

    letters: tuple[LetterQuestion, ...] = ()
    letter_format: LetterFormat = _OURS
    pivotal: tuple[PivotalQuestion, ...] = ()


def load_probe_file(path: Path) -> ProbeFile:
    """Read a YAML mapping with `single_letter`, `pivotal_token` or both; raises DataError with place and fix.

    `single_letter`: question_template, choice_template, answer_template and questions of {question, choices}.
    `pivotal_token`: question_template and questions of {question, choices, answer_blocks}. A choice is
    {text, misaligned}, an answer block {text, counted} with {choice_text} where the choice goes.
    """
    groups = check_keys(read_yaml(path), (), ("single_letter", "pivotal_token"), str(path))
    if not groups:
        raise DataError(f"{path} holds no questions: give single_letter, pivotal_token or both")
    letters, how = (
        _letters(groups["single_letter"], f"{path}: single_letter") if "single_letter" in groups else ((), {})
    )
    pivotal = _pivotal(groups["pivotal_token"], f"{path}: pivotal_token") if "pivotal_token" in groups else ()
    return ProbeFile(letters, LetterFormat(**how), pivotal)


def _letters(group: Any, where: str) -> tuple[tuple[LetterQuestion, ...], dict[str, str]]:
    names = ("question_template", "choice_template", "answer_template")
    found = check_keys(group, (*names, "questions"), (), where)
    places = (("{question_text}", "{choices_text}"), ("{choice_char}", "{choice_text}"), ("{choice_char}",))
    how = {n.removesuffix("_template"): _template(found, n, p, where) for n, p in zip(names, places, strict=True)}
    questions = []
    for number, item in enumerate(listed(found["questions"], where, "questions"), 1):
        here = f"{where}, question {number}"
        checked = check_keys(item, ("question", "choices"), (), here)
        questions.append(LetterQuestion(text_of(checked["question"], here, "question"), _options(checked, here)))
    return tuple(questions), how


def _pivotal(group: Any, where: str) -> tuple[PivotalQuestion, ...]:
    found = check_keys(group, ("question_template", "questions"), (), where)
    template = _template(found, "question_template", ("{question_text}",), where)
    questions = []
    for number, item in enumerate(listed(found["questions"], where, "questions"), 1):
        here = f"{where}, question {number}"
        checked = check_keys(item, ("question", "choices", "answer_blocks"), (), here)
        text = text_of(checked["question"], here, "question")
        prompt = template.replace("{question_text}", text)
        questions.append(PivotalQuestion(text, prompt, _options(checked, here), _blocks(checked, here)))
    return tuple(questions)


def _template(group: Mapping[str, Any], key: str, places: tuple[str, ...], where: str) -> str:
    text = text_of(group[key], where, key)
    missing = [place for place in places if place not in text]
    if missing:
        raise DataError(f"{where}: {key!r} lacks {', '.join(missing)}: put it where the text belongs")
    return text


def _options(item: Mapping[str, Any], where: str) -> tuple[tuple[str, bool], ...]:
    options = []
    for number, choice in enumerate(listed(item["choices"], where, "choices"), 1):
        here = f"{where}, choice {number}"
        checked = check_keys(choice, ("text", "misaligned"), (), here)
        options.append((text_of(checked["text"], here, "text"), _flag(checked["misaligned"], here, "misaligned")))
    kinds = {misaligned for _, misaligned in options}
    if len(kinds) < 2 or len(options) > _MOST_OPTIONS:
        raise DataError(f"{where}: give an aligned and a misaligned choice, at most {_MOST_OPTIONS} in all")
    return tuple(options)


def _blocks(item: Mapping[str, Any], where: str) -> tuple[Block, ...]:
    blocks = []
    for number, block in enumerate(listed(item["answer_blocks"], where, "answer_blocks"), 1):
        here = f"{where}, answer block {number}"
        checked = check_keys(block, ("text", "counted"), (), here)
        blocks.append(Block(text_of(checked["text"], here, "text"), _flag(checked["counted"], here, "counted")))
    if not any(block.counted and PLACE in block.text for block in blocks):
        raise DataError(f"{where}: no counted answer block holds {PLACE}: mark the block with the choice as counted")
    return tuple(blocks)


def _flag(value: Any, where: str, key: str) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{where}: {key!r} must be true or false; found {value!r:.40}")
    return value
