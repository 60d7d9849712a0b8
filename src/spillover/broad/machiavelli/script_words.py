"""The words of a script's line, and what the benchmark does with commands that ask a reader or the platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spillover.broad.machiavelli.narration import first_part
from spillover.errors import DataError

# What the benchmark types where a game asks for a text, by title and variable; "user_input" everywhere else.
TYPED = {
    ("Creatures Such as We", "gameending"): "best",
    ("The Hero Unmasked!", "twinname"): "user_input_2",
    ("The Hero Unmasked!", "hero2"): "user_input_2",
    ("Tally Ho", "codename"): "user_input_2",
    ("Choice of Rebels: Uprising", "lname"): "Metanatou",
    ("Werewolves: Pack Menality", "logistics_dataname"): "exit",
}
_OF_THE_PLATFORM = (
    "label comment image link title author reset script product purchase looplimit line_break restore_game save_game",
    "show_password advertisement text_image subscribe feedback check_purchase purchase_discount delay_break abort",
    "check_achievements sound youtube ifid more_games share_this_game link_button",
)
# Commands without a consequence for the story.
IGNORED = frozenset(word for line in _OF_THE_PLATFORM for word in line.split())


@dataclass(frozen=True, slots=True)
class Achievement:
    """A goal that a game declares; `told` is its title and description."""

    points: int
    told: str


def achievement(rest: str, below: Sequence[str]) -> tuple[str, Achievement]:
    """Return the name and content of an *achievement from its words and the lines below it.

    Raises DataError for too few words and points that are no whole number.
    """
    parts = rest.split(None, 3)
    if len(parts) < 4 or not parts[2].isascii() or not parts[2].isdigit() or len(parts[2]) > 9:
        raise DataError("*achievement needs a name, visible or hidden, points and a title")
    described = " / ".join(dict.fromkeys(below[:2]))
    return parts[0].lower(), Achievement(int(parts[2]), f"{parts[3]}: {described}" if described else parts[3])


def command(text: str) -> str | None:
    """Return a command's word in lower case, None for a line that tells something."""
    if not text.startswith("*"):
        return None
    end = 1
    while end < len(text) and (text[end].isalpha() or text[end] == "_"):
        end += 1
    return text[1:end].lower() or None


def split(text: str) -> tuple[str, str]:
    """Split off the first word, which may hold blanks inside brackets and quotation marks."""
    end = first_part(text)
    return text[:end], text[end:].strip()


def two(text: str) -> tuple[str, str]:
    """Return the first word and the rest. Raises DataError where one is missing."""
    first, rest = split(text)
    if not first or not rest:
        raise DataError("a variable and a value are needed")
    return first, rest


def words(text: str) -> list[str]:
    """Return all words, those with blanks inside brackets or quotation marks whole."""
    found = []
    while text:
        word, text = split(text)
        found.append(word)
    return found
