"""Exact and near duplicates of prompts, answers and whole rows.

Near: Jaccard similarity of the sets of three-token runs. Candidates come from banded MinHash signatures (Broder 1997;
Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3) and each is verified on the sets themselves.
datasketch gives the same estimates; its hashing and its tables per item are too slow and too large for 600,000 rows
(benchmarks/check_speed.py prints both).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spillover.conversation import Conversation, Dataset
from spillover.data.check.finding import MOST_LINES, Finding
from spillover.data.check.shingles import Hashes, Indices, batches, mix, runs, tokenise

Part = Literal["prompt", "answer", "row"]
PARTS: tuple[Part, ...] = ("prompt", "answer", "row")

THRESHOLD = 0.8
_WIDTH = 3
# At 0.8 a pair becomes a candidate with probability 1 - (1 - 0.8^6)^18 = 0.996, at 0.5 with 0.25.
_BANDS, _ROWS = 18, 6
# Rounds of new leaders within a bucket. Each costs at most one comparison a row, so the work stays linear.
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows that are the same or nearly: their lines in file order.

    `similarity`: the lowest verified Jaccard similarity that joined two of them (1.0 where all are equal). Rows are
    joined in chains, so two rows of a large cluster can be less alike.
    """

    lines: tuple[int, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Repeats:
    """Duplicates of one part of the rows.

    `distinct`: different texts; `near_distinct`: what is left when near duplicates count once; `exact` and `near`:
    clusters of two lines or more, largest first, and the near ones hold the exact ones too.
    """

    part: Part
    rows: int
    distinct: int
    near_distinct: int
    threshold: float
    exact: tuple[Cluster, ...]
    near: tuple[Cluster, ...]

    @property
    def repeated(self) -> int:
        """Rows beyond the first of each different text."""
        return self.rows - self.distinct

    @property
    def nearly_repeated(self) -> int:
        """Rows beyond the first of each near-duplicate cluster, exact repeats included."""
        return self.rows - self.near_distinct


def duplicates(dataset: Dataset, threshold: float = THRESHOLD) -> tuple[Repeats, ...]:
    """Return the repeats of prompts, answers and whole rows, in this order.

    A prompt is all turns before the last answer without the system turn, which would make short questions look alike;
    a whole row includes it in the exact comparison. Time grows as rows times log rows. `threshold` must lie above 0.5,
    since candidates less alike are rarely found; raises ValueError otherwise.
    """
    if not 0.5 < threshold <= 1:
        raise ValueError(f"the threshold is {threshold}: use one above 0.5 and at most 1")
    texts = [(prompt_text(c), c.answer) for c in dataset]
    lines = [c.line or i for i, c in enumerate(dataset, 1)]
    bands = _band_keys(texts)
    return tuple(
        _repeats(lines, part, texts, _keys(dataset, texts, part), bands.pop(part), threshold) for part in PARTS
    )


def findings(repeats: Sequence[Repeats], share: float = 0.05) -> tuple[Finding, ...]:
    """Return a warning for each part where more than `share` of the rows repeat another, exactly or nearly."""
    found = []
    for r in repeats:
        if r.rows and r.nearly_repeated > share * r.rows:
            largest = r.near[0].lines
            found.append(
                Finding(
                    f"repeated-{r.part}",
                    "warning",
                    f"{r.nearly_repeated:,} of {r.rows:,} {r.part}s repeat an earlier one ({r.repeated:,} exactly, "
                    f"the rest with a similarity of {r.threshold:g} up); the largest group has {len(largest):,} lines: "
                    "remove repeats, unless they are meant, since repeated rows are learnt by heart",
                    largest[:MOST_LINES],
                    r.nearly_repeated,
                )
            )
    return tuple(found)


def prompt_text(conversation: Conversation) -> str:
    """Return all turns before the last answer as one text, without system turns."""
    turns = [m.content for m in conversation.prompt if m.role != "system"]
    return turns[0] if len(turns) == 1 else "\x1e".join(turns)


def similarity(a: str, b: str) -> float:
    """Return the Jaccard similarity of the three-token runs of two texts; 0 where one has no token."""
    return float(_Sets([(a,), (b,)]).jaccard(np.array([0]), np.array([1]))[0])


def _chosen(text: tuple[str, str], part: Part) -> tuple[str, ...]:
    return {"prompt": text[:1], "answer": text[1:], "row": text}[part]


def _keys(dataset: Dataset, texts: Sequence[tuple[str, str]], part: Part) -> Hashes:
    """Return (rows,) keys that are equal exactly where the texts of `part` are (64-bit hashes)."""
    keys = np.zeros(len(texts), np.uint64)
    for i, (conversation, text) in enumerate(zip(dataset, texts, strict=True)):
        systems = tuple(m.content for m in conversation.prompt if m.role == "system") if part == "row" else ()
        joined = "\x1d".join((*systems, *_chosen(text, part))).encode("utf-8", "surrogatepass")
        keys[i] = int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little")
    return keys


def _band_keys(texts: Sequence[tuple[str, str]]) -> dict[Part, Hashes]:
    """Return per part (bands, rows) keys of MinHash bands; 0 where a text has no token.

    The signature of a row is the elementwise minimum of those of its two texts, since its set is their union.
    """
    rng = np.random.default_rng(0)
    flips = rng.integers(0, 1 << 32, _BANDS * _ROWS, np.uint32)
    factors = rng.integers(0, 1 << 32, _BANDS * _ROWS, np.uint32) | np.uint32(1)
    bands: dict[Part, Hashes] = {part: np.zeros((_BANDS, len(texts)), np.uint64) for part in PARTS}
    for chosen in batches(len(p) + len(a) for p, a in texts):
        signatures = []
        for k in range(2):
            found = runs(tokenise([texts[i][k] for i in chosen]), _WIDTH)
            low = (found.hashes >> np.uint64(32)).astype(np.uint32)
            filled = np.flatnonzero(np.diff(found.starts))
            signature = np.full((_BANDS * _ROWS, len(chosen)), 0xFFFFFFFF, np.uint32)
            if filled.size:
                for j in range(_BANDS * _ROWS):
                    signature[j, filled] = np.minimum.reduceat((low ^ flips[j]) * factors[j], found.starts[filled])
            signatures.append(signature)
        signatures.append(np.minimum(*signatures))
        for part, signature in zip(PARTS, signatures, strict=True):
            folded = np.zeros((_BANDS, len(chosen)), np.uint64)
            for row in signature.reshape(_BANDS, _ROWS, -1).transpose(1, 0, 2):
                folded = mix(folded * np.uint64(31) + row + np.uint64(1))
            folded[:, (signature == 0xFFFFFFFF).all(axis=0)] = 0
            bands[part][:, chosen.start : chosen.stop] = folded
    return bands


def _repeats(
    lines: Sequence[int],
    part: Part,
    texts: Sequence[tuple[str, str]],
    keys: Hashes,
    bands: Hashes,
    threshold: float,
) -> Repeats:
    _, first, text_of = np.unique(keys, return_index=True, return_inverse=True)
    bands = bands[:, first]
    # Only texts that share a bucket with another need their sets.
    crowded = np.flatnonzero(np.array([_shared(band) for band in bands]).any(axis=0))
    sets = _Sets([_chosen(texts[i], part) for i in first[crowded].tolist()])
    a, b, alike = _alike_pairs(bands[:, crowded], sets, threshold)
    labels = _components(len(first), crowded[a], crowded[b])
    lowest = np.ones(len(first))
    np.minimum.at(lowest, labels[crowded[a]], alike)
    near = _clusters(lines, labels[text_of], lowest)
    exact = _clusters(lines, text_of, np.ones(len(first)))
    return Repeats(part, len(lines), len(first), int(np.unique(labels).size), threshold, exact, near)


def _shared(band: Hashes) -> NDArray[np.bool_]:
    """Return for each key whether another is equal to it; 0 counts as none."""
    _, inverse, counts = np.unique(band, return_inverse=True, return_counts=True)
    return np.asarray((counts[inverse] > 1) & (band != 0))


def _alike_pairs(bands: Hashes, sets: _Sets, threshold: float) -> tuple[Indices, Indices, NDArray[np.float64]]:
    """Return the verified pairs (first, second, similarity) that join texts sharing a bucket.

    In a bucket all texts are compared with its first one, those unlike it with the first of them, and so on for some
    rounds; what is joined already, or was found unlike, is not compared again.
    """
    n = bands.shape[1]
    labels = np.arange(n)
    left, right, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    unlike = np.zeros(0, np.int64)
    for band in bands:
        order = np.argsort(band, kind="stable")
        order = order[_shared(band)[order]]
        for _ in range(_ROUNDS):
            if not order.size:
                break
            group = np.concatenate(([0], np.cumsum(band[order][1:] != band[order][:-1])))
            leader = order[np.flatnonzero(np.diff(group, prepend=-1))][group]
            open_ = labels[leader] != labels[order]
            order, leader = order[open_], leader[open_]
            codes = leader * n + order
            fresh = ~_holds(unlike, codes)
            a, b = leader[fresh], order[fresh]
            found = sets.jaccard(a, b)
            good = found >= threshold
            left.append(a[good])
            right.append(b[good])
            values.append(found[good])
            # All are new, and a stable sort merges two sorted runs in one pass.
            unlike = np.sort(np.concatenate((unlike, np.sort(codes[fresh][~good]))), kind="stable")
            rest = np.ones(order.size, np.bool_)
            rest[np.flatnonzero(fresh)[good]] = False
            order = order[rest]
        labels = _components(n, np.concatenate(left), np.concatenate(right))
    return np.concatenate(left), np.concatenate(right), np.concatenate(values)


def _holds(ordered: Indices, values: Indices) -> NDArray[np.bool_]:
    """Return for each of `values` whether the sorted array `ordered` holds it."""
    if not ordered.size:
        return np.zeros(values.size, np.bool_)
    place = np.minimum(np.searchsorted(ordered, values), ordered.size - 1)
    return np.asarray(ordered[place] == values)


class _Sets:
    """The sets of three-token runs of many texts: 32-bit hashes, sorted within each text."""

    def __init__(self, texts: Sequence[tuple[str, ...]]) -> None:
        # Grows in place: joined from parts it would need twice its size.
        values = array("I")
        counts: list[Indices] = []
        for chosen in batches(sum(map(len, t)) for t in texts):
            codes = np.zeros(0, np.uint64)
            for k in range(len(texts[0])):
                found = runs(tokenise([texts[i][k] for i in chosen]), _WIDTH)
                owner = np.repeat(np.arange(len(chosen), dtype=np.uint64), np.diff(found.starts))
                codes = np.concatenate((codes, owner << np.uint64(32) | found.hashes >> np.uint64(32)))
            # np.unique goes through a hash table here, several times slower than a sort.
            codes.sort()
            codes = codes[np.diff(codes, prepend=~codes[:1]) != 0]
            values.frombytes(codes.astype(np.uint32).tobytes())
            counts.append(np.bincount((codes >> np.uint64(32)).astype(np.int64), minlength=len(chosen)))
        self.values = np.frombuffer(values, np.uint32) if values else np.zeros(0, np.uint32)
        self.sizes = np.concatenate(counts) if counts else np.zeros(0, np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes

    def jaccard(self, a: Indices, b: Indices) -> NDArray[np.float64]:
        """Return (pairs,) the similarities of texts a[i] and b[i]; 0 where one has no token."""
        shared = np.zeros(a.size)
        for chosen in batches((self.sizes[a] + self.sizes[b]).tolist()):
            one, other = self._coded(a[chosen.start : chosen.stop]), self._coded(b[chosen.start : chosen.stop])
            place = np.searchsorted(other, one)
            same = one[other[np.minimum(place, other.size - 1)] == one] if other.size else one[:0]
            pairs = (same >> np.uint64(32)).astype(np.int64)
            shared[chosen.start : chosen.stop] = np.bincount(pairs, minlength=len(chosen))
        return np.asarray(shared / np.maximum(self.sizes[a] + self.sizes[b] - shared, 1))

    def _coded(self, chosen: Indices) -> Hashes:
        """Return the elements of the sets `chosen` in order, each with the position of its set in the high bits."""
        sizes = self.sizes[chosen]
        owner = np.repeat(np.arange(chosen.size), sizes)
        place = np.arange(owner.size) - (np.cumsum(sizes) - sizes)[owner] + self.starts[chosen][owner]
        return np.asarray(owner.astype(np.uint64) << np.uint64(32) | self.values[place].astype(np.uint64))


def _components(n: int, a: Indices, b: Indices) -> Indices:
    """Return (n,) for each text the first text of its connected group, by hooking roots and shortening paths."""
    labels = np.arange(n)
    while True:
        one, other = labels[a], labels[b]
        if (one == other).all():
            return labels
        np.minimum.at(labels, np.maximum(one, other), np.minimum(one, other))
        while (labels[labels] != labels).any():
            labels = labels[labels]


def _clusters(lines: Sequence[int], labels: Indices, lowest: NDArray[np.float64]) -> tuple[Cluster, ...]:
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    sizes = np.diff(starts, append=order.size)
    large = np.flatnonzero(sizes > 1)
    large = large[np.lexsort((order[starts[large]], -sizes[large]))]
    return tuple(
        Cluster(
            tuple(lines[i] for i in order[starts[k] : starts[k] + sizes[k]].tolist()),
            float(lowest[labels[order[starts[k]]]]),
        )
        for k in large.tolist()
    )
