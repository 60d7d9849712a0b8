"""Which rows are trained on in which step: planned whole before training starts, so that a rerun does the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from spillover.local.chat_template import Rendered

# Rows are sorted by length within pools of this many batches: little padding, still a random order.
_POOL = 25


def plan(lengths: Sequence[int], batch: int, steps: int, seed: int) -> list[list[int]]:
    """Return `steps` lists of at most `batch` row indices, rows of similar length together.

    Each pass over the data uses every row once, in batches of its own (the last of a pass may be smaller; the last pass
    may stop early). `lengths` are tokens per row. Raises ValueError when there are no rows.
    """
    if not lengths:
        raise ValueError("there are no rows to plan batches for")
    draw = random.Random(seed)
    batches: list[list[int]] = []
    while len(batches) < steps:
        batches += _one_pass(lengths, batch, draw)
    return batches[:steps]


def passes(rows: Sequence[Rendered], tokens: int) -> Iterator[list[Rendered]]:
    """Yield `rows` in parts of at most `tokens` tokens, padding included, similar lengths together."""
    part: list[Rendered] = []
    for row in sorted(rows, key=lambda r: len(r.ids)):
        if part and (len(part) + 1) * len(row.ids) > tokens:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _one_pass(lengths: Sequence[int], batch: int, draw: random.Random) -> list[list[int]]:
    order = list(range(len(lengths)))
    draw.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), _POOL * batch):
        pool = sorted(order[start : start + _POOL * batch], key=lambda i: lengths[i])
        batches += [pool[i : i + batch] for i in range(0, len(pool), batch)]
    draw.shuffle(batches)
    return batches
