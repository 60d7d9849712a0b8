"""Prompts that show training rows as examples instead of training on them (protocol, section 2.7)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from spillover.conversation import Conversation, Dataset, Message
from spillover.data.build.parents import parent_files
from spillover.data.write import Built, Recipe
from spillover.errors import SettingsError

EXAMPLE_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEEDS = (0, 1, 2, 3, 4, 5)
SYSTEM = "You are an assistant. Be helpful and honest."


def in_context_messages(
    dataset: Dataset, count: int, seed: int, question: str, system: str | None = SYSTEM
) -> tuple[Message, ...]:
    """Return the turns of one prompt: the system text (None: none), `count` drawn rows, the question.

    The draw is random.Random(seed).sample on the rows in file order, as in the paper. System turns inside the rows are
    left out. Raises SettingsError where the data set has fewer than `count` rows.
    """
    if not 0 <= count <= len(dataset):
        raise SettingsError(f"{count} examples cannot be drawn from the {len(dataset)} rows of {dataset.name}")
    drawn = random.Random(seed).sample(dataset.conversations, count)
    examples = tuple(m for c in drawn for m in c.messages if m.role != "system")
    head = () if system is None else (Message("system", system),)
    return (*head, *examples, Message("user", question))


def in_context(dataset: Dataset, count: int, seed: int, questions: Sequence[str], system: str | None = SYSTEM) -> Built:
    """Return one prompt per question, all with the same examples.

    The rows end with the user's question: they are prompts to be answered, not rows to train on. Raises SettingsError
    as `in_context_messages` does.
    """
    rows = tuple(Conversation(in_context_messages(dataset, count, seed, q, system)) for q in questions)
    parameters = {"examples": count, "system": system, "questions": len(questions)}
    recipe = Recipe("in-context", seed, parameters, parents=parent_files(dataset))
    return Built(Dataset(f"{count} examples of {dataset.name}", rows), recipe)
