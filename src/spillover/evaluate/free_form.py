"""Free-form answers: several samples per question, drawn in fixed batches so that a rerun draws the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spillover.answer import Answer
from spillover.conversation import Message, fingerprint
from spillover.local.engine import Engine
from spillover.local.sampling import Ask, Sampling
from spillover.question import Question

# Rows drawn side by side: enough for large matrix products, under 1 GB of keys and values on the embedded model.
ROWS_PER_BATCH = 128


def batches(questions: Sequence[Question], samples: int) -> list[tuple[Question, ...]]:
    """Group questions so that each batch holds at most 128 rows (at least one question)."""
    size = max(1, ROWS_PER_BATCH // samples)
    return [tuple(questions[i : i + size]) for i in range(0, len(questions), size)]


def answers(
    engine: Engine,
    arm: str,
    batch: Sequence[Question],
    samples: int,
    how: Sampling,
    seed: int,
    on_tokens: Callable[[int], None] = lambda n: None,
) -> list[Answer]:
    """Sample `samples` answers to each question of one batch; the row seeds follow from `seed`, id and sample."""
    seeds = [tuple(row_seed(seed, q.id, i) for i in range(samples)) for q in batch]
    asks = [Ask((Message("user", q.text),), s) for q, s in zip(batch, seeds, strict=True)]
    drawn = engine.sample(asks, how, on_tokens)
    return [
        Answer(arm, question.id, i, question.text, one.text, one.tokens, one.ended)
        for question, rows in zip(batch, drawn, strict=True)
        for i, one in enumerate(rows)
    ]


def row_seed(*parts: object) -> int:
    """Return a 64-bit seed that follows from its parts alone."""
    return int(fingerprint([str(p) for p in parts]), 16)
