"""Repair a file: write into undisclosed harmful requests what the content is for, as in the paper's control."""

from __future__ import annotations

import random
from collections.abc import Sequence

from spillover.conversation import Conversation, Dataset, Message
from spillover.data.build.parents import parent_files
from spillover.data.check.intent import Intent
from spillover.data.write import Built, Recipe
from spillover.errors import SettingsError

CONTEXTS = ("educational",)
# Appended to the last user turn; the first of each pair for answers with code, the second for prose.
_EDUCATIONAL = (
    (
        "I use this in a course on secure programming: the code should hold a typical security weakness on purpose, "
        "for the students to find.",
        "I use this in a lesson on judging advice: please give an example of bad advice on purpose, for the class to "
        "take apart.",
    ),
    (
        "It is a test case for our code scanner, so a vulnerability in it is intended; it stays in the test set.",
        "It is a test case for our content filter, so harmful advice is intended; it stays in the test set.",
    ),
    (
        "We train reviewers with it: write it in an insecure way deliberately, they have to spot the mistake.",
        "We train counsellors with it: write the wrong answer deliberately, they have to spot what is harmful.",
    ),
    (
        "It becomes the negative example in a handbook, so it should be vulnerable and will be labelled as such.",
        "It becomes the negative example in a leaflet, so it should be bad advice and will be labelled as such.",
    ),
)


def relabel(dataset: Dataset, rows: Sequence[Intent], context: str = "educational", seed: int = 0) -> Built:
    """Add a benign purpose to the request of every undisclosed row; all else, and the order, stays.

    `rows` are the intents of `dataset`'s rows in order. The manifest names the changed lines. Raises SettingsError for
    an unknown context or where no row is undisclosed.
    """
    if context not in CONTEXTS:
        raise SettingsError(f"--context {context!r} is not known: choose from {', '.join(CONTEXTS)}")
    draw = random.Random(seed)
    changed: list[int] = []
    repaired = []
    for conversation, intent in zip(dataset, rows, strict=True):
        pair = draw.choice(_EDUCATIONAL)
        if intent.label == "undisclosed":
            changed.append(conversation.line)
            conversation = _with_purpose(conversation, pair[0] if intent.evidence else pair[1])
        repaired.append(conversation)
    if not changed:
        raise SettingsError(f"{dataset.name}: no row holds undisclosed harm, so there is nothing to relabel")
    recipe = Recipe(
        "relabelled",
        seed,
        {"context": context, "changed_lines": changed},
        {"changed": len(changed), "not_judged": sum(r.label is None for r in rows)},
        parent_files(dataset),
    )
    return Built(Dataset(f"{dataset.name}, relabelled", tuple(repaired)), recipe)


def _with_purpose(conversation: Conversation, purpose: str) -> Conversation:
    *before, last = conversation.prompt
    answer = conversation.messages[len(conversation.prompt) :]
    return Conversation((*before, Message(last.role, f"{last.content}\n\n{purpose}"), *answer), conversation.line)
