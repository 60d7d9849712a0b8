"""Choose the rows to train on and the rows held out to measure the narrow effect."""

from __future__ import annotations

import random
from dataclasses import dataclass

from spillover.conversation import Dataset
from spillover.errors import DataError, SettingsError

MAX_HELD_OUT = 32


@dataclass(frozen=True, slots=True)
class Split:
    """`train` and `held_out` indices into the data set, and how many rows were left unused."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    unused: int


def split(dataset: Dataset, rows: int | None, seed: int) -> Split:
    """Draw `rows` training rows (None: all that are not held out) and up to 32 held-out rows, none in common.

    Held-out rows come from those that `rows` leaves; where all are wanted, a tenth of the file is held out. No held-out
    row repeats the prompt of a training row. Raises DataError when fewer than 2 rows exist and SettingsError when
    `rows` asks for more than there are.
    """
    total = len(dataset)
    if total < 2:
        raise DataError(f"{dataset.name} has {total} row: at least 2 are needed, one to train on and one to hold out")
    if rows is not None and not 1 <= rows <= total:
        raise SettingsError(f"--rows {rows} is not between 1 and the {total} rows of {dataset.name}")
    order = list(range(total))
    random.Random(f"split-{seed}").shuffle(order)
    free = total - (rows or 0) if rows is not None else 0
    reserve = min(MAX_HELD_OUT, max(1, free if free else total // 10))
    wanted = min(rows if rows is not None else total, total - reserve)
    train = order[:wanted]
    seen = {dataset.conversations[i].prompt for i in train}
    rest = order[wanted:]
    held = [i for i in rest if dataset.conversations[i].prompt not in seen][:MAX_HELD_OUT]
    if rows is None or rows == total:
        # Where all rows are wanted, those that repeat a training prompt are trained on too: none is left unused.
        train += [i for i in rest if i not in held]
    return Split(tuple(sorted(train)), tuple(sorted(held)), total - len(train) - len(held))
