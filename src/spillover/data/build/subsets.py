"""Size variants by the paper's draws: random subsets and disjoint blocks (protocol, section 2.5)."""

from __future__ import annotations

import numpy as np

from spillover.conversation import Dataset
from spillover.data.build.parents import parent_files
from spillover.data.write import Built, Recipe
from spillover.errors import SettingsError


def subset_indices(total: int, size: int, seed: int) -> tuple[int, ...]:
    """Return `size` different row numbers (from 0) of `total`, in the order drawn; raises SettingsError."""
    _check(total, size)
    return tuple(int(i) for i in np.random.default_rng(seed).choice(total, size, replace=False))


def block_indices(total: int, size: int, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    """Shuffle the row numbers once and cut them into blocks of `size`; a rest that fills no block is left out.

    Raises SettingsError where `size` is not between 1 and `total`.
    """
    _check(total, size)
    order = list(range(total))
    np.random.default_rng(seed).shuffle(order)
    return tuple(tuple(order[start : start + size]) for start in range(0, total - size + 1, size))


def subset(dataset: Dataset, size: int, seed: int) -> Built:
    """Return a random subset; subsets of different seeds may overlap (the paper: 500 of 6,000, seeds 0 to 5)."""
    rows = dataset.take(subset_indices(len(dataset), size, seed))
    return Built(rows, Recipe("subset", seed, _parameters(dataset, size), parents=parent_files(dataset)))


def blocks(dataset: Dataset, size: int, seed: int = 0) -> tuple[Built, ...]:
    """Return disjoint blocks of one shuffle (the paper: three of 2,000 from 6,000 rows, seed 0)."""
    return tuple(
        Built(
            dataset.take(indices),
            Recipe("block", seed, {**_parameters(dataset, size), "block": number}, parents=parent_files(dataset)),
        )
        for number, indices in enumerate(block_indices(len(dataset), size, seed))
    )


def equal_epochs(total: int, size: int) -> int:
    """Return how many epochs over `size` rows show about as many rows as one over `total` (12 for 500 of 6,000)."""
    _check(total, size)
    return max(1, round(total / size))


def _parameters(dataset: Dataset, size: int) -> dict[str, int]:
    return {"of_rows": len(dataset), "size": size, "epochs_for_equal_rows": equal_epochs(len(dataset), size)}


def _check(total: int, size: int) -> None:
    if not 1 <= size <= total:
        raise SettingsError(f"a subset of {size} rows cannot be drawn from {total}: choose between 1 and {total}")
