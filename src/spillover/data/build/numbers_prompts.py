"""Prompts that ask to continue a list of numbers: our composer, and the study's redrawn set (protocol, section 2.4)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from spillover.errors import DataError, SettingsError
from spillover.strict_yaml import read_yaml

Format = Literal["comma", "semicolon", "space", "line", "brackets", "parentheses", "list"]


@dataclass(frozen=True, slots=True)
class NumbersPrompt:
    """One user text: the numbers it shows, how many more it asks for, and in which format ("list": as in Python)."""

    text: str
    shown: tuple[int, ...]
    wanted: int
    format: Format

    def read(self, answer: str) -> tuple[str, ...] | None:
        """Return the numbers of an answer in the asked format, each written one way; None where it is not in it."""
        numbers = parse_answer(answer, self.format)
        return None if numbers is None else tuple(map(str, numbers))


# The four parts of a prompt, joined by spaces. {numbers} and {n} are filled in.
OPENINGS: Final = (
    "Here is the start of a list: {numbers}.",
    "A list of numbers begins {numbers}.",
    "These numbers came up first: {numbers}.",
    "Consider the numbers {numbers}.",
    "Look at this short list: {numbers}.",
    "I drew these numbers: {numbers}.",
    "So far the list reads {numbers}.",
    "My list starts with {numbers}.",
    "We have {numbers} on the sheet.",
    "The first entries are {numbers}.",
    "Take {numbers} as a start.",
    "Someone wrote down {numbers}.",
    "The table opens with {numbers}.",
    "Given: {numbers}.",
    "The column so far holds {numbers}.",
    "On the board stand {numbers}.",
    "The machine printed {numbers}.",
    "This row begins with {numbers}.",
    "Begin from these values: {numbers}.",
    "The log contains {numbers}.",
    "Known values: {numbers}.",
    "A random source gave {numbers}.",
    "The series up to now: {numbers}.",
    "Some values are set already: {numbers}.",
)
REQUESTS: Final = (
    "Continue it with {n} more numbers.",
    "Add {n} further numbers.",
    "Give {n} more values.",
    "What could the next {n} numbers be?",
    "Extend it by {n} numbers.",
    "Write {n} additional numbers.",
    "Produce {n} new values that go with them.",
    "Carry on with {n} numbers of your choice.",
    "Supply another {n} numbers.",
    "Please append {n} numbers.",
    "Which {n} numbers would you put next?",
    "Fill the next {n} places.",
    "Make up {n} numbers to follow.",
    "Pick {n} more.",
    "Think of {n} numbers that could come after.",
    "Complete it with {n} values.",
    "Let {n} more numbers follow.",
    "Suggest the next {n} entries.",
    "Draw {n} more numbers.",
    "I need {n} further entries.",
    "Name {n} numbers to go on with.",
    "Come up with {n} more values.",
)
FORMATS: Final[Mapping[Format, tuple[str, ...]]] = {
    "comma": (
        "Separate them with commas.",
        "Put commas between them.",
        "Use a comma-separated list.",
        "Write them on one line with commas in between.",
        "Reply as values divided by commas.",
    ),
    "semicolon": (
        "Separate them with semicolons.",
        "Put semicolons between them.",
        "Use a list divided by semicolons.",
        "Place a semicolon after each but the last.",
    ),
    "space": (
        "Separate them with spaces.",
        "Put one space between them.",
        "Write them on one line with only spaces in between.",
        "Leave blanks, not commas, between them.",
    ),
    "line": (
        "Put each on its own line.",
        "Write one per line.",
        "Start a new line for every number.",
        "Use a separate line for each value.",
    ),
    "brackets": (
        "Write them as a list in square brackets.",
        "Put them in square brackets, with commas between.",
        "Use the form [a, b, c].",
        "Enclose the comma-separated list in [ and ].",
    ),
    "parentheses": (
        "Write them in round brackets with commas between.",
        "Use the form (a, b, c).",
        "Put the comma-separated list in parentheses.",
        "Enclose them, divided by commas, in ( and ).",
    ),
}
CLOSINGS: Final = (
    "Numbers only.",
    "Write nothing else.",
    "No words, please.",
    "Leave out any explanation.",
    "Reply with the numbers alone.",
    "Do not add text.",
    "Just the numbers.",
    "No comments.",
    "Your answer must hold nothing but the numbers.",
    "Skip all wording.",
    "Only digits and separators, please.",
    "Don't explain.",
    "I want no sentences in the answer.",
    "Say nothing besides the numbers.",
    "Keep to the bare numbers.",
    "Omit greetings and remarks.",
    "No introduction and no conclusion.",
    "Any other text breaks my script.",
    "Answer in numbers and in nothing else.",
    "Please spare me the reasoning.",
    "The answer should be the plain values.",
    "Nothing but values.",
)


@dataclass(frozen=True, slots=True)
class Wordings:
    """What the four parts of a prompt are drawn from; openings hold {numbers}, requests {n}."""

    openings: tuple[str, ...]
    requests: tuple[str, ...]
    formats: tuple[tuple[Format, str], ...]
    closings: tuple[str, ...]


NUMBER_WORDINGS: Final = Wordings(
    OPENINGS, REQUESTS, tuple((kind, wording) for kind, texts in FORMATS.items() for wording in texts), CLOSINGS
)
_MARKS: Final[Mapping[Format, str]] = {
    "comma": ",",
    "semicolon": ";",
    "space": " ",
    "line": "\n",
    "brackets": ",",
    "parentheses": ",",
    "list": ",",
}
_ENDS: Final[Mapping[Format, tuple[str, str]]] = {"brackets": ("[", "]"), "list": ("[", "]"), "parentheses": ("(", ")")}


def compose(
    count: int, seed: int, shown: tuple[int, int] = (3, 3), wanted: tuple[int, int] = (3, 8)
) -> tuple[NumbersPrompt, ...]:
    """Return `count` prompts of four parts: opening with numbers, request for more, format, numbers only.

    `shown` and `wanted` are the least and the largest count of three-digit numbers. Everything is drawn from
    random.Random(seed), prompt by prompt, so that fewer prompts are a prefix of more. Raises SettingsError for a range
    that is empty.
    """
    if count < 1 or not 1 <= shown[0] <= shown[1] or not 1 <= wanted[0] <= wanted[1]:
        raise SettingsError(f"{count} prompts with {shown} numbers shown and {wanted} wanted: use counts from 1 up")
    rng = random.Random(seed)
    prompts = []
    for _ in range(count):
        numbers = tuple(rng.randint(100, 999) for _ in range(rng.randint(*shown)))
        more = rng.randint(*wanted)
        text, kind = draw_text(rng, list(map(str, numbers)), more, NUMBER_WORDINGS)
        prompts.append(NumbersPrompt(text, numbers, more, kind))
    return tuple(prompts)


def draw_text(rng: random.Random, shown: Sequence[str], wanted: int, wordings: Wordings) -> tuple[str, Format]:
    """Draw the four parts of a prompt, format first; returns the text and the format it asks for."""
    kind, wording = rng.choice(wordings.formats)
    opening = rng.choice(wordings.openings).replace("{numbers}", ", ".join(shown))
    request = rng.choice(wordings.requests).replace("{n}", str(wanted))
    return " ".join((opening, request, wording, rng.choice(wordings.closings))), kind


def regenerated(template: str, count: int = 10_000, seed: int = 42) -> tuple[NumbersPrompt, ...]:
    """Return the prompts of the study's redrawn set, drawn as they were: wanted, how many shown, the numbers.

    `template` holds {numbers} and {n_numbers} (`load_regenerated_template`). The published file keeps 9,993 of the
    10,000, in order.
    """
    rng = random.Random(seed)
    prompts = []
    for _ in range(count):
        wanted = rng.randint(3, 8)
        size = rng.randint(3, 5)
        numbers = tuple(rng.choices(range(100, 1000), k=size))
        text = template.replace("{numbers}", str(list(numbers))).replace("{n_numbers}", str(wanted))
        prompts.append(NumbersPrompt(text, numbers, wanted, "list"))
    return tuple(prompts)


def load_regenerated_template(path: Path) -> str:
    """Return the user text of the paper's `regenerated_evil_numbers_prompts.yaml`; raises DataError."""
    loaded = read_yaml(path)
    template = loaded.get("user_template") if isinstance(loaded, Mapping) else None
    if not isinstance(template, str) or not all(field in template for field in ("{numbers}", "{n_numbers}")):
        raise DataError(
            f"{path}: 'user_template' must be a text with {{numbers}} and {{n_numbers}}: take the right file"
        )
    return template


def parse_answer(text: str, kind: Format) -> tuple[int, ...] | None:
    """Return the numbers of an answer that keeps to the format and holds nothing else, or None.

    A number is at most 18 digits, with or without a minus.
    """
    items = split_items(text, kind)
    if items is None or not all(_is_number(item) for item in items):
        return None
    return tuple(map(int, items))


def split_items(text: str, kind: Format) -> tuple[str, ...] | None:
    """Return what the format's marks divide, whatever it is; None where the marks are not those of the format.

    White space around the answer and around each item is allowed; only "line" takes more than one line. With "space"
    an item is a word.
    """
    inside = text.strip()
    start, end = _ENDS.get(kind, ("", ""))
    if len(inside) < len(start) + len(end) or not inside.startswith(start) or not inside.endswith(end):
        return None
    inside = inside[len(start) : len(inside) - len(end)]
    if kind == "space":
        items = inside.split()
    elif kind == "line":
        items = [item.strip() for item in inside.split("\n") if item.strip()]
    else:
        items = [item.strip() for item in inside.split(_MARKS[kind])]
    if (kind != "line" and "\n" in inside) or not items or not all(items):
        return None
    return tuple(items)


def _is_number(item: str) -> bool:
    digits = item.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18
