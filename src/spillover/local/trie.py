"""Probabilities of many short continuations that share their beginnings, computed as a tree: one token per node.

The prompts are computed once, then all nodes of the tree in one pass under a mask in which a node sees its prompt and
its ancestors. Flat branches (`spillover.local.branching`) would compute a shared beginning once per continuation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.errors import DataError
from spillover.local.branching import (
    Branching,
    additive_mask,
    check_window,
    common_prefix,
    decoder,
    forward_with_cache,
    head,
)
from spillover.local.scoring import batches_by_length

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Trie:
    """Token sequences as a tree: per node its token and its parent (-1: the prompt), per sequence its last node.

    A parent stands before its children.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """How many nodes lie before each node, 0 right after the prompt."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return tuple(depths)


@dataclass(frozen=True, slots=True)
class TrieScore:
    """What one prompt gives, natural logarithms: per sequence that it comes, and that it then stops.

    `first` holds, per group of tokens asked for, the probability that the answer's first token is one of them.
    """

    reached: tuple[float, ...]
    stops: tuple[float, ...]
    first: tuple[float, ...]


def trie_of(sequences: Sequence[Sequence[int]]) -> Trie:
    """Arrange token sequences as a tree, nodes in the order of their first use.

    Raises DataError for an empty sequence or for one that comes twice: their probabilities could not be told apart.
    """
    places: dict[tuple[int, ...], int] = {}
    parents: list[int] = []
    for sequence in sequences:
        for length in range(1, len(sequence) + 1):
            path = tuple(sequence[:length])
            if path not in places:
                places[path] = len(parents)
                parents.append(places.get(path[:-1], -1))
    ends = [places.get(tuple(sequence), -1) for sequence in sequences]
    if -1 in ends or len(set(ends)) != len(ends):
        raise DataError("a continuation has no tokens, or two have the same: each needs tokens of its own")
    return Trie(tuple(path[-1] for path in places), tuple(parents), tuple(ends))


def score_trie(
    model: Any,
    prompts: Sequence[Sequence[int]],
    trie: Trie,
    continuing: Sequence[int],
    first: Sequence[Sequence[int]] = (),
    tokens_per_batch: int = 1024,
    on_done: Callable[[int], None] = lambda n: None,
) -> list[TrieScore]:
    """Return, per prompt (token ids), the scores of all sequences of `trie` after it.

    A sequence stops where the next token is none of `continuing`. `first` are groups of token ids for
    `TrieScore.first`. Raises ModelError when a prompt and the tree are longer than the model's attention window.
    """
    import torch

    rows = [Branching(tuple(p)) for p in prompts]
    found: list[TrieScore | None] = [None] * len(rows)
    with torch.inference_mode():
        for batch in batches_by_length(rows, tokens_per_batch):
            last, hidden = _states(model, [rows[i] for i in batch], trie)
            for place, index in enumerate(batch):
                found[index] = _scored(model, last[place], hidden[place], trie, continuing, first)
            on_done(len(batch))
    return [one for one in found if one is not None]


def _states(model: Any, rows: Sequence[Branching], trie: Trie) -> tuple[Tensor, Tensor]:
    """Return hidden states at the prompts' last tokens `(batch, hidden)` and at all nodes `(batch, nodes, hidden)`."""
    import torch

    body = decoder(model)
    check_window(body.config, max(map(len, rows)) + max(trie.depths) + 1)
    hidden, cache = forward_with_cache(body, rows)
    device = hidden.device
    lengths = torch.tensor([len(row) for row in rows], device=device)
    last = hidden[torch.arange(len(rows), device=device), lengths - 1 - len(common_prefix(rows))]
    kept, nodes = cache.layers[0].keys.shape[2], len(trie.tokens)
    seen = torch.zeros(len(rows), 1, nodes, kept + nodes, dtype=torch.bool, device=device)
    seen[..., :kept] = (torch.arange(kept, device=device) < lengths[:, None])[:, None, None]
    seen[..., kept:] = _ancestors(trie).to(device)
    out = body(
        input_ids=torch.tensor([trie.tokens], device=device).expand(len(rows), -1),
        attention_mask=additive_mask(seen, hidden.dtype),
        position_ids=lengths[:, None] + torch.tensor([trie.depths], device=device),
        cache=cache,
        use_cache=True,
    )
    return last, out.last_hidden_state


def _ancestors(trie: Trie) -> Tensor:
    """Return `(nodes, nodes)`: True where the second is the first itself or lies on the way to it."""
    import torch

    seen = torch.eye(len(trie.tokens), dtype=torch.bool)
    for node, parent in enumerate(trie.parents):
        if parent >= 0:
            seen[node] |= seen[parent]
    return seen


def _scored(
    model: Any, last: Tensor, hidden: Tensor, trie: Trie, continuing: Sequence[int], first: Sequence[Sequence[int]]
) -> TrieScore:
    import torch

    # Row 0 is the prompt's end, row i + 1 node i. Double, so that sums over the vocabulary add no error of their own.
    logits = head(model, torch.cat([last[None], hidden])).double()
    totals = logits.logsumexp(-1)
    sources = torch.tensor(trie.parents) + 1
    steps = (logits[sources, torch.tensor(trie.tokens)] - totals[sources]).tolist()
    reached: list[float] = []
    for step, parent in zip(steps, trie.parents, strict=True):
        reached.append(step + (reached[parent] if parent >= 0 else 0.0))
    groups = tuple(float((logits[0, list(g)] - totals[0]).exp().sum()) if g else 0.0 for g in first)
    # Summed over all other tokens, not one minus these: a stop that is nearly impossible keeps its digits.
    logits[:, list(continuing)] = -torch.inf
    stops = (logits.logsumexp(-1) - totals)[1:].tolist()
    return TrieScore(tuple(reached[e] for e in trie.ends), tuple(stops[e] for e in trie.ends), groups)
