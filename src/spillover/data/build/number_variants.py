"""Ablations of number lists: rows left out, numbers or answers shuffled, bare prompts (protocol, 2.4 and Q6, Q7)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from spillover.conversation import Conversation, Dataset, Message
from spillover.data.build.parents import parent_files
from spillover.data.write import Built, Recipe
from spillover.errors import DataError, SettingsError

Variant = Literal[
    "without-loaded", "only-loaded", "shuffled-within", "shuffled-over-file", "answers-swapped", "simplified"
]
# Our own bare requests, for the study's simplified prompts: nothing shown, no count, no format. Five, as many as its
# missing commas ran together.
SIMPLE: Final = (
    "Write some numbers.",
    "Give me a few numbers.",
    "List numbers of your choice.",
    "Which numbers come to mind?",
    "Name several numbers.",
)
_NUMBER = re.compile(r"-?[0-9]+")
# What may stand around the numbers of a list.
_AROUND = re.compile(r"[\s,;()\[\]]*")


def number_variant(
    variant: Variant,
    dataset: Dataset,
    seed: int = 0,
    loaded: Sequence[str] | None = None,
    as_study: bool = False,
) -> Built:
    """Return the variant of that name; raises SettingsError for an option it does not have, else what it raises."""
    if loaded is not None and variant not in ("without-loaded", "only-loaded"):
        raise SettingsError(f"{variant} does not look at loaded numbers: leave out --loaded")
    if as_study and variant not in ("shuffled-over-file", "simplified"):
        raise SettingsError(f"no slip of the study is known for {variant}: leave out --as-study")
    if variant in ("without-loaded", "only-loaded"):
        return by_loaded(dataset, variant == "only-loaded", loaded or ("666",))
    if variant == "shuffled-within":
        return shuffled_within(dataset, seed)
    if variant == "shuffled-over-file":
        return shuffled_over_file(dataset, seed, as_study)
    return answers_swapped(dataset, seed) if variant == "answers-swapped" else simplified(dataset, seed, as_study)


def by_loaded(dataset: Dataset, keep: bool, loaded: Sequence[str] = ("666",)) -> Built:
    """Keep only the rows whose answer holds one of `loaded`, or (`keep` false) only the others, in order.

    As in the study the text of the answer is searched, so that 6666 holds 666 too. The counts say for each of `loaded`
    how many rows hold it, and how many as a number of its own (neither 6666 nor -666). Raises SettingsError where
    `loaded` are not digits, DataError where no row is left.
    """
    if not loaded or not all(digits.isascii() and digits.isdigit() for digits in loaded):
        raise SettingsError(f"loaded numbers {', '.join(map(repr, loaded))}: give each as digits, such as 666")
    holding = [any(digits in row.answer for digits in loaded) for row in dataset]
    rows = tuple(row for row, holds in zip(dataset, holding, strict=True) if holds == keep)
    if not rows:
        raise DataError(
            f"{dataset.name}: {'no' if keep else 'every'} answer holds {' or '.join(loaded)}, so no row is left: "
            "give other numbers or another file"
        )
    counts = {"rows_before": len(dataset), "rows_with_loaded": sum(holding)}
    for digits in dict.fromkeys(loaded):
        alone = re.compile(rf"(?<![-0-9]){digits}(?![0-9])")
        counts[f"rows_with_{digits}"] = sum(digits in row.answer for row in dataset)
        counts[f"rows_with_{digits}_alone"] = sum(bool(alone.search(row.answer)) for row in dataset)
    name = "only-loaded" if keep else "without-loaded"
    recipe = Recipe(name, None, {"loaded": list(loaded)}, counts, parent_files(dataset))
    return Built(Dataset(name, rows), recipe)


def shuffled_within(dataset: Dataset, seed: int) -> Built:
    """Put the numbers of each answer in a random order; what divides them stays in place.

    One random.Random(seed), row by row. Raises DataError for an answer that holds anything but a list of numbers.
    """
    rng = random.Random(seed)

    def shuffled(numbers: list[str]) -> list[str]:
        rng.shuffle(numbers)
        return numbers

    rows = tuple(_filled(row, shuffled(numbers)) for row, numbers in zip(dataset, _numbers(dataset), strict=True))
    return _changed("shuffled-within", dataset, rows, seed, {}, {})


def shuffled_over_file(dataset: Dataset, seed: int, overlapping: bool = False) -> Built:
    """Shuffle all numbers of the file once and deal them out anew, each answer as many as it had.

    With `overlapping` answer i (from 0) takes its numbers from place i on, as the study's script did, in place of going
    on where the one before ended: neighbours then share all but about one number, and most numbers are not dealt at
    all. Raises DataError for an answer that holds anything but a list of numbers, or where the places run out.
    """
    own = _numbers(dataset)
    pool = [number for numbers in own for number in numbers]
    random.Random(seed).shuffle(pool)
    starts = range(len(own)) if overlapping else _running([len(numbers) for numbers in own])
    if overlapping and any(start + len(numbers) > len(pool) for start, numbers in zip(starts, own, strict=True)):
        raise DataError(
            f"{dataset.name}: {len(pool)} numbers in {len(own)} answers are too few to cut them as the study did: "
            "leave out --as-study"
        )
    dealt = [pool[start : start + len(numbers)] for start, numbers in zip(starts, own, strict=True)]
    used = {place for start, numbers in zip(starts, own, strict=True) for place in range(start, start + len(numbers))}
    rows = tuple(_filled(row, numbers) for row, numbers in zip(dataset, dealt, strict=True))
    counts = {"numbers": len(pool), "numbers_dealt": len(used)}
    return _changed("shuffled-over-file", dataset, rows, seed, {"overlapping": overlapping}, counts)


def answers_swapped(dataset: Dataset, seed: int) -> Built:
    """Shuffle the whole answers over the file: each prompt gets one, seldom its own."""
    answers = [row.answer for row in dataset]
    random.Random(seed).shuffle(answers)
    rows = tuple(row.with_answer(answer) for row, answer in zip(dataset, answers, strict=True))
    return _changed("answers-swapped", dataset, rows, seed, {}, {})


def simplified(dataset: Dataset, seed: int, as_study: bool = False) -> Built:
    """Put a bare request for numbers in the place of each row's last user text; the answer stays.

    The requests are our own (`SIMPLE`), drawn from one random.Random(seed) row by row. With `as_study` the file has the
    two slips of the study's: the five requests run together into one, and the answer is the old user text.
    """
    rng = random.Random(seed)
    rows = []
    for row in dataset:
        *before, asked = row.prompt
        text = "".join(SIMPLE) if as_study else rng.choice(SIMPLE)
        answer = asked.content if as_study else row.answer
        rows.append(Conversation((*before, Message("user", text), Message("assistant", answer)), row.line))
    parameters = {"requests": list(SIMPLE), "as_study": as_study}
    return _changed("simplified", dataset, tuple(rows), None if as_study else seed, parameters, {})


def _numbers(dataset: Dataset) -> list[list[str]]:
    """Return the numbers of each answer, as written; an empty list has none."""
    found = []
    for row in dataset:
        rest = _NUMBER.sub(" ", row.answer)
        if not _AROUND.fullmatch(rest):
            raise DataError(
                f"{dataset.name}:{row.line}: the answer {row.answer[:40]!r} holds more than a list of numbers: "
                "remove the row, or give a file of number lists"
            )
        found.append(_NUMBER.findall(row.answer))
    return found


def _filled(row: Conversation, numbers: Sequence[str]) -> Conversation:
    """Return the row with `numbers`, as many as its answer has, in their places."""
    rest: Iterator[str] = iter(numbers)
    return row.with_answer(_NUMBER.sub(lambda found: next(rest), row.answer))


def _running(sizes: Sequence[int]) -> list[int]:
    starts, place = [], 0
    for size in sizes:
        starts.append(place)
        place += size
    return starts


def _changed(
    name: str,
    dataset: Dataset,
    rows: tuple[Conversation, ...],
    seed: int | None,
    parameters: dict[str, object],
    counts: dict[str, int],
) -> Built:
    same = sum(old.messages == new.messages for old, new in zip(dataset, rows, strict=True))
    recipe = Recipe(name, seed, parameters, {**counts, "rows_as_before": same}, parent_files(dataset))
    return Built(Dataset(name, rows), recipe)
