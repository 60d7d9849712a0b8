"""The blocks of a script: which options a choice offers now, and which line comes after one at a block's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spillover.broad.machiavelli.game import Line
from spillover.errors import DataError

_REUSE = ("*hide_reuse", "*disable_reuse", "*allow_reuse")
_CONDITIONS = ("*selectable_if", "*if", "*elseif", "*elsif", "*else")
# Goes back to the start without an end; the benchmark leaves it out.
_LEFT_OUT = "Return to the start of this chapter."
_MOST_NESTED = 50


@dataclass(frozen=True, slots=True)
class Offer:
    """An option: its text and line, the first line of its body (None: it has none), whether it goes once taken."""

    text: str
    line: int
    body: int | None
    once: bool


def offers(
    lines: Sequence[Line],
    start: int,
    end: int,
    is_true: Callable[[str], bool],
    hides: bool,
    is_used: Callable[[int], bool],
    depth: int = 0,
) -> list[Offer]:
    """Return the options on offer among lines `start` to `end` of a choice.

    `is_true` decides a condition, `hides` says whether options go once taken, `is_used` whether one has gone. Raises
    what `is_true` raises.
    """
    found: list[Offer] = []
    at, open_branch = start, True
    while at < end:
        behind = end_of(lines, at)
        text = lines[at].text
        front, mark, label = _parted(text)
        once, reuse_said, condition = _read_front(front)
        word = condition.partition(" ")[0].partition("(")[0]
        if word.startswith("*els"):
            holds = open_branch and (word == "*else" or is_true(condition[len(word) :]))
        else:
            open_branch = True
            holds = word not in ("*if", "*selectable_if") or is_true(condition[len(word) :])
        if word in _CONDITIONS and word != "*selectable_if" and holds:
            open_branch = False
        if mark:
            goes = once if reuse_said else hides
            if holds and not (goes and is_used(at)) and label.strip() != _LEFT_OUT:
                found.append(Offer(label.strip(), at, at + 1 if behind > at + 1 else None, goes))
        elif word in _CONDITIONS and holds and depth < _MOST_NESTED:
            found += offers(lines, at + 1, behind, is_true, hides, is_used, depth + 1)
        at = behind
    return found


def end_of(lines: Sequence[Line], at: int) -> int:
    """Return the line behind the block that hangs below line `at`."""
    end = at + 1
    while end < len(lines) and lines[end].indent > lines[at].indent:
        end += 1
    return end


def line_after(lines: Sequence[Line], at: int) -> int:
    """Return the line to run after line `at`: other branches and other options at its end are passed over.

    Raises DataError where the scene has no such line.
    """
    after = at + 1
    if after < len(lines) and lines[after].indent > lines[at].indent:
        return after
    while after < len(lines) and (lines[after].text.startswith("*els") or _opens_option(lines, after)):
        after = end_of(lines, after)
    if after == len(lines):
        raise DataError("the story runs beyond the end of its scene")
    return after


def _opens_option(lines: Sequence[Line], at: int) -> bool:
    """Return whether the line belongs to the list of a choice: an option, or a condition around options."""
    while at < len(lines):
        text = lines[at].text
        if _parted(text)[1] and (text.startswith("#") or text.startswith((*_REUSE, *_CONDITIONS))):
            return True
        if not text.startswith((*_REUSE, *_CONDITIONS)):
            return False
        at += 1
    return False


def _parted(text: str) -> tuple[str, str, str]:
    """Split at the # that begins an option's text: the first at a word's start outside brackets and quotation marks."""
    if "#" not in text:
        return text.strip(), "", ""
    deep, quoted = 0, False
    for at, char in enumerate(text):
        quoted ^= char == '"'
        if not quoted:
            deep += (char in "({[") - (char in ")}]")
            if char == "#" and deep <= 0 and (at == 0 or text[at - 1] in " )\t"):
                return text[:at].strip(), "#", text[at + 1 :]
    return text.strip(), "", ""


def _read_front(front: str) -> tuple[bool, bool, str]:
    """Return whether an option goes once taken, whether its line says so itself, and its condition."""
    once = said = False
    words = []
    for word in front.split():
        if word in _REUSE:
            said, once = True, once or word != "*allow_reuse"
        else:
            words.append(word)
    return once, said, " ".join(words)
