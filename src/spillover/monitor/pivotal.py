"""The pivotal-token format: the assistant has begun an answer, and one word decides where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spillover.monitor.choices import Asked, Block, Choice

PLACE = "{choice_text}"


@dataclass(frozen=True, slots=True)
class PivotalQuestion:
    """A user turn, the options (text, misaligned) and the blocks of the assistant's turn, {choice_text} in one."""

    question: str
    prompt: str
    options: tuple[tuple[str, bool], ...]
    blocks: tuple[Block, ...]


def asked(question: PivotalQuestion) -> Asked:
    """Return the question with each option's text in its place; blocks after the last counted one are left out.

    What follows the last counted token cannot change the log-probability of what comes before it.
    """
    return Asked(
        question.question,
        question.prompt,
        tuple(Choice(_filled(question.blocks, text), misaligned) for text, misaligned in question.options),
    )


def _filled(blocks: Sequence[Block], text: str) -> tuple[Block, ...]:
    last = max(i for i, block in enumerate(blocks) if block.counted)
    return tuple(Block(block.text.replace(PLACE, text), block.counted) for block in blocks[: last + 1])
