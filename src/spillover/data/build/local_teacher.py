"""A local model as the teacher of number data: greedy answers, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence

from spillover.conversation import Message
from spillover.data.build.numbers import NoAnswer, Teacher
from spillover.local.loading import load
from spillover.local.sampling import Ask, Sampling, sample
from spillover.model import ModelRef

# Eight three-digit numbers in any asked format fit; what goes on longer does not keep to it.
LONGEST = 64
NOT_ENDED = f"not ended after {LONGEST} tokens"


def local_teacher(model: ModelRef) -> Teacher:
    """Load `model`; answers that did not end by themselves count as missing."""
    loaded = load(model)

    def ask(prompts: Sequence[tuple[Message, ...]]) -> list[str | NoAnswer]:
        asks = [Ask(prompt, (0,)) for prompt in prompts]
        drawn = sample(loaded.model, loaded.template, asks, Sampling(LONGEST, temperature=0))
        return [rows[0].text if rows[0].ended else NoAnswer(NOT_ENDED) for rows in drawn]

    return ask
