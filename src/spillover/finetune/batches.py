"""Which rows are trained on in which step: planned whole before training starts, so that a rerun does the same."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Rows are sorted by length within pools of this many batches: little padding, still a random order.
_POOL = 25


def plan(lengths: Sequence[int], batch: int, steps: int, seed: int) -> list[list[int]]:
    """Return `steps` lists of `batch` row indices, rows of similar length together.

    Every row is used once before any is used again (the last pass may be partial). `lengths` are tokens per row.
    """
    draw = random.Random(seed)
    needed = steps * batch
    order: list[int] = []
    while len(order) < needed:
        epoch = list(range(len(lengths)))
        draw.shuffle(epoch)
        order += epoch
    order = order[:needed]
    batches: list[list[int]] = []
    for start in range(0, needed, _POOL * batch):
        pool = sorted(order[start : start + _POOL * batch], key=lambda i: lengths[i])
        batches += [pool[i : i + batch] for i in range(0, len(pool), batch)]
    draw.shuffle(batches)
    return batches
