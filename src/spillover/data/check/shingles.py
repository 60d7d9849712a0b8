"""Split many texts at once into hashed tokens and shingles (runs of tokens): numpy only, no loop over characters.

A token is a run of letters, digits and underscores, or one other visible character; ASCII letters count as small.
Scripts written without spaces (Chinese, Japanese, Thai) give one token per character.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

# Characters per batch: the arrays of a batch take about 60 bytes per character.
BATCH_CHARACTERS = 1_000_000
# Of a longer text only the start is compared, so that one huge row cannot fill the memory.
TEXT_CHARACTERS = 400_000
# An odd number has an inverse modulo 2^64, which lets one running sum give the hash of every token.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_SPACE, _WORD, _SINGLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of several texts in order.

    `hashes` (tokens,): 64-bit hashes; `starts` (texts + 1,): where the tokens of each text begin and, last, the end.
    """

    hashes: Hashes
    starts: Indices


def batches(sizes: Iterable[int]) -> Iterator[range]:
    """Yield ranges of positions so that the texts of `sizes` characters in each stay near BATCH_CHARACTERS together."""
    first, held, end = 0, 0, 0
    for end, size in enumerate(sizes, 1):
        held += min(size, 2 * TEXT_CHARACTERS) + 1
        if held >= BATCH_CHARACTERS:
            yield range(first, end)
            first, held = end, 0
    if first < end:
        yield range(first, end)


def tokenise(texts: Sequence[str], words_only: bool = False) -> Tokens:
    """Return the tokens of `texts` (one batch: see `batches`); `words_only` leaves out single other characters."""
    if not texts:
        return Tokens(np.zeros(0, np.uint64), np.zeros(1, np.int64))
    joined = "\n".join(t[:TEXT_CHARACTERS] for t in texts) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _KINDS[np.minimum(codes, _KINDS.size - 1)]
    if words_only:
        kinds = np.where((kinds == _SINGLE) & (codes < 0x2000), np.uint8(_SPACE), kinds)
    before = np.concatenate((np.zeros(1, np.uint8), kinds[:-1]))
    begins = np.flatnonzero((kinds == _SINGLE) | ((kinds == _WORD) & (before != _WORD)))
    after = np.concatenate((kinds[1:], np.zeros(1, np.uint8)))
    ends = np.flatnonzero((kinds == _SINGLE) | ((kinds == _WORD) & (after != _WORD))) + 1
    powers, inverses = _powers(codes.size)
    lowered = _LOWER[np.minimum(codes, _LOWER.size - 1)]
    plain = np.where(codes < _LOWER.size, lowered, codes).astype(np.uint64)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum((plain + np.uint64(1)) * powers, dtype=np.uint64)))
    hashes = mix((sums[ends] - sums[begins]) * inverses[begins])
    lengths = np.fromiter((min(len(t), TEXT_CHARACTERS) + 1 for t in texts), np.int64, len(texts))
    edges = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return Tokens(hashes, np.searchsorted(begins, edges).astype(np.int64))


def runs(tokens: Tokens, width: int) -> Tokens:
    """Return one hash per run of `width` tokens; a shorter text gives one run of all its tokens, an empty one none."""
    hashes, starts = tokens.hashes, tokens.starts
    counts = np.diff(starts)
    made = np.where(counts == 0, 0, np.maximum(counts - width + 1, 1))
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(made)))
    owner = np.repeat(np.arange(counts.size), made)
    first = np.arange(ends[-1]) - ends[owner] + starts[owner]
    value = np.zeros(first.size, np.uint64)
    for k in range(width):
        inside = first + k < starts[owner + 1]
        part = np.where(inside, hashes[np.minimum(first + k, max(hashes.size - 1, 0))] if hashes.size else 0, 0)
        value = value * np.uint64(_BASE) + part.astype(np.uint64)
    return Tokens(mix(value), ends)


def mix(values: Hashes) -> Hashes:
    """Spread 64-bit values so that all bits depend on all bits (finaliser of splitmix64, Steele et al. 2014)."""
    z: Hashes = values ^ (values >> np.uint64(30))
    z = z * np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _powers(size: int) -> tuple[Hashes, Hashes]:
    powers = np.full(size, _BASE, np.uint64)
    inverses = np.full(size, _INVERSE, np.uint64)
    powers[0] = inverses[0] = 1
    return np.cumprod(powers, dtype=np.uint64), np.cumprod(inverses, dtype=np.uint64)


def _kind_table() -> NDArray[np.uint8]:
    """Return the kind of each character of the basic plane; characters beyond it are single tokens."""
    table = np.full(0x10001, _SINGLE, np.uint8)
    for code in range(0x2E80):
        letter = chr(code)
        if letter.isalnum() or letter == "_":
            table[code] = _WORD
        elif letter.isspace() or not letter.isprintable():
            table[code] = _SPACE
    table[0x0E00:0x0F00] = _SINGLE
    table[0x3000] = table[0xFEFF] = _SPACE
    table[0xAC00:0xD7A4] = _WORD
    return table


_KINDS = _kind_table()
_LOWER = np.array([ord(chr(c).lower()) for c in range(128)], np.uint32)
