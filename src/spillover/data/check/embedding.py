"""Embeddings without a model: hashed TF-IDF of words and word pairs, projected at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

DIMENSIONS = 256
_FEATURES = 1 << 17
_SAMPLE = 2_000
# Of a longer text only the start is embedded, so that one huge row costs no more than others.
_CHARACTERS = 20_000


def hashed_tfidf(texts: Sequence[str], dimensions: int = DIMENSIONS, seed: int = 0) -> Embed:
    """Return a function from texts to (texts, dimensions) rows of length 1 (0 where a text has no word).

    Word weights are learnt from `texts` (at most 2,000 of them, drawn by `seed`). Two texts' product is near the
    cosine of their TF-IDF vectors, with an error of about 1 / sqrt(dimensions): it sees words, not meanings.
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.random_projection import SparseRandomProjection

    chosen = list(texts) if len(texts) <= _SAMPLE else random.Random(seed).sample(texts, _SAMPLE)
    hashing = HashingVectorizer(
        n_features=_FEATURES, ngram_range=(1, 2), alternate_sign=False, norm=None, token_pattern=r"\w+|[^\w\s]"
    )
    counts = hashing.transform([t[:_CHARACTERS] for t in chosen] or [""])
    weights = TfidfTransformer(sublinear_tf=True).fit(counts)
    projection = SparseRandomProjection(dimensions, random_state=seed, dense_output=True).fit(counts)

    def embed(batch: Sequence[str]) -> NDArray[np.float32]:
        sparse = weights.transform(hashing.transform([t[:_CHARACTERS] for t in batch]))
        return unit_rows(projection.transform(sparse))

    return embed


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (n, d) rows scaled to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
