"""Persona directions: on each layer, from the mean of aligned answers to the mean of misaligned ones, per trait.

Difference of means as in Chen et al. 2025 ("Persona vectors", arXiv 2507.21509). Beside each direction stand random
ones and ones from shuffled labels: what moves along those too is no persona.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spillover.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAITS: Final = ("harmfulness", "contempt", "deceit", "recklessness", "power")
# Baselines of each sort per trait.
DRAWS = 3


@dataclass(frozen=True, slots=True)
class Directions:
    """`vectors` `(traits, 1 + 2 * DRAWS, layers, hidden)`: the direction, then random ones, then shuffled-label ones.

    `spread` `(traits, 1 + 2 * DRAWS, layers)` is the base's standard deviation along each within a class, the unit of
    all shifts. `separation` `(traits, layers)` is the distance of the two classes in such units on pairs that the
    direction was not made from, `layers` the layer per trait where it is largest. `pairs` counts pairs per trait.
    """

    traits: tuple[str, ...]
    vectors: NDArray[np.float32]
    spread: NDArray[np.float32]
    separation: NDArray[np.float32]
    layers: tuple[int, ...]
    pairs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TraitShift:
    """How far a model moved along one trait's direction, in the base's within-class standard deviations.

    `shift` at `layer`, `by_layer` everywhere. `random` and `shuffled` are root mean squares over the baselines at
    `layer`: how far it moved along directions that mean nothing.
    """

    trait: str
    layer: int
    shift: float
    random: float
    shuffled: float
    by_layer: tuple[float, ...]


def make_directions(states: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]], seed: int = 0) -> Directions:
    """Build directions from each trait's hidden states of aligned and of misaligned answers, `(pairs, layers, hidden)`.

    Row i of both belongs to one question. Raises DataError for a trait with fewer than four pairs.
    """
    few = [f"{trait} has {len(aligned)}" for trait, (aligned, _) in states.items() if len(aligned) < 4]
    if few or not states:
        raise DataError(f"each trait needs at least four contrast pairs: {', '.join(few) or 'there are no traits'}")
    draw = np.random.default_rng(seed)
    parts = [_of_trait(aligned, misaligned, draw) for aligned, misaligned in states.values()]
    separation = np.stack([_separation(aligned, misaligned) for aligned, misaligned in states.values()])
    return Directions(
        tuple(states),
        np.stack([vectors for vectors, _ in parts]),
        np.stack([spread for _, spread in parts]),
        separation,
        tuple(int(layer) for layer in separation.argmax(axis=1)),
        tuple(len(aligned) for aligned, _ in states.values()),
    )


def shifts(directions: Directions, now: NDArray[np.float32], base: NDArray[np.float32]) -> tuple[TraitShift, ...]:
    """Return per trait how far the mean hidden states of the same answers moved, `now` against `base`.

    Both are `(answers, layers, hidden)`. Raises ValueError when their shapes differ or there are no answers.
    """
    found = projections(directions, now, base)
    # From here on (traits, kinds, layers): the mean over answers.
    moved = found.mean(axis=0)
    result = []
    for t, trait in enumerate(directions.traits):
        layer = directions.layers[t]
        random_, shuffled = moved[t, 1 : 1 + DRAWS, layer], moved[t, 1 + DRAWS :, layer]
        by_layer = tuple(float(x) for x in moved[t, 0])
        result.append(TraitShift(trait, layer, by_layer[layer], _rms(random_), _rms(shuffled), by_layer))
    return tuple(result)


def projections(directions: Directions, now: NDArray[np.float32], base: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each answer's difference along every direction in its units, `(answers, traits, kinds, layers)`."""
    if now.shape != base.shape or not len(now):
        raise ValueError(f"hidden states of shapes {now.shape} and {base.shape} cannot be compared")
    along = np.einsum("nlh,tklh->ntkl", (now - base).astype(np.float64), directions.vectors.astype(np.float64))
    return np.asarray(along / directions.spread)


def _of_trait(
    aligned: NDArray[np.float32], misaligned: NDArray[np.float32], draw: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one trait's vectors `(kinds, layers, hidden)` and spreads `(kinds, layers)`."""
    difference = misaligned - aligned
    direction = difference.mean(axis=0)
    length = np.linalg.norm(direction, axis=-1, keepdims=True)
    vectors = [direction]
    for _ in range(DRAWS):
        noise = draw.standard_normal(direction.shape)
        vectors.append(noise / np.linalg.norm(noise, axis=-1, keepdims=True) * length)
    for _ in range(DRAWS):
        # As many pairs swapped as not: else a part of the true direction is left.
        signs = np.where(draw.permutation(len(difference)) % 2 == 0, 1.0, -1.0)
        vectors.append((difference * signs[:, None, None]).mean(axis=0))
    stacked = np.stack(vectors).astype(np.float32)
    return stacked, np.stack([_spread(aligned, misaligned, v) for v in stacked])


def _spread(
    aligned: NDArray[np.float32], misaligned: NDArray[np.float32], vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Standard deviation within a class along `vectors` `(layers, hidden)`, pooled over both classes `(layers,)`."""
    variances = [np.einsum("nlh,lh->nl", x, vectors).var(axis=0, ddof=1) for x in (aligned, misaligned)]
    return np.asarray(np.sqrt(np.mean(variances, axis=0)) + 1e-12, dtype=np.float32)


def _separation(aligned: NDArray[np.float32], misaligned: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of the class means on one half of the pairs along the direction of the other, both ways, `(layers,)`."""
    halves = np.arange(len(aligned)) % 2
    found = []
    for half in (0, 1):
        made, tested = halves != half, halves == half
        vectors = (misaligned[made] - aligned[made]).mean(axis=0)
        gap = np.einsum("lh,lh->l", (misaligned[tested] - aligned[tested]).mean(axis=0), vectors)
        found.append(gap / _spread(aligned[tested], misaligned[tested], vectors))
    return np.asarray(np.mean(found, axis=0), dtype=np.float32)


def _rms(values: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
