"""A local model as the teacher of listed numbers, names or moves: greedy answers, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence

from spillover.conversation import Message
from spillover.data.build.distil import NoAnswer, Teacher
from spillover.local.loading import load
from spillover.local.sampling import Ask, Sampling, sample
from spillover.model import ModelRef


def not_ended(longest: int) -> NoAnswer:
    """Return why an answer cut at `longest` tokens is missing."""
    return NoAnswer(f"not ended after {longest} tokens")


def local_teacher(model: ModelRef, longest: int) -> Teacher:
    """Load `model`; answers that did not end by themselves after `longest` tokens count as missing."""
    loaded = load(model)

    def ask(prompts: Sequence[tuple[Message, ...]]) -> list[str | NoAnswer]:
        asks = [Ask(prompt, (0,)) for prompt in prompts]
        drawn = sample(loaded.model, loaded.template, asks, Sampling(longest, temperature=0))
        return [rows[0].text if rows[0].ended else not_ended(longest) for rows in drawn]

    return ask
