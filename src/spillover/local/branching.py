"""One forward pass over many short continuations that share their beginnings.

Rows of one batch usually start with the same tokens (the system prompt), and the answers of one probe start with
the same question. `Branching` states that: a stem and its branches. `forward` computes the common prefix of a
batch once, and each stem once for all of its branches, with exact attention (a branch sees the prefix, its stem
and itself). Training, scoring and the judge's hidden states all go through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Branching:
    """Token ids of a stem and of the branches that each continue it."""

    stem: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.stem) + sum(map(len, self.branches))

    def without(self, prefix: int) -> Branching:
        """Drop the first `prefix` tokens of the stem."""
        return Branching(self.stem[prefix:], self.branches)


def common_prefix(rows: Sequence[Branching]) -> tuple[int, ...]:
    """Return the longest common beginning of all stems that leaves each stem at least one token."""
    shortest = min(rows, key=lambda r: len(r.stem)).stem
    length = 0
    while length < len(shortest) - 1 and all(r.stem[length] == shortest[length] for r in rows):
        length += 1
    return shortest[:length]


def decoder(model: Any) -> Any:
    """Return the transformer without its vocabulary head, adapters left in place."""
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    return inner.get_decoder()


def forward(model: Any, rows: Sequence[Branching]) -> Tensor:
    """Run `rows` through the model and return the last hidden states, before the vocabulary head.

    Shape `(batch, longest, hidden)`, where position `t` of row `b` is token `t` of stem and branches one after
    the other, the batch's common prefix (`common_prefix(rows)`) left out. Positions past a row's end hold nothing of
    use. Gradients flow, through the shared prefix too. Raises ModelError when the rows are longer than the model's
    attention window.
    """
    return _forward(decoder(model), rows, keep=False)[0]


def forward_with_cache(body: Any, rows: Sequence[Branching]) -> tuple[Tensor, Any]:
    """Return what `forward` returns and the keys and values of all tokens, the common prefix repeated in each row."""
    return _forward(body, rows, keep=True)


def _forward(body: Any, rows: Sequence[Branching], keep: bool) -> tuple[Tensor, Any]:
    import torch
    from transformers import DynamicCache

    device = next(body.parameters()).device
    prefix = common_prefix(rows)
    tails = [row.without(len(prefix)) for row in rows]
    longest = max(map(len, tails))
    check_window(body.config, len(prefix) + longest)

    cache: Any = DynamicCache() if prefix or keep else None
    if prefix:
        ids = torch.tensor([prefix], device=device)
        body(input_ids=ids, cache=cache, use_cache=True)
        for layer in cache.layers:
            layer.keys = layer.keys.expand(len(rows), -1, -1, -1)
            layer.values = layer.values.expand(len(rows), -1, -1, -1)
    ids, positions, seen = _tensors(tails, len(prefix), longest, device)
    mask = additive_mask(seen, next(body.parameters()).dtype)
    out = body(input_ids=ids, attention_mask=mask, position_ids=positions, cache=cache, use_cache=cache is not None)
    return out.last_hidden_state, cache


def head(model: Any, hidden: Tensor) -> Tensor:
    """Return vocabulary logits `(..., vocab)` in float32 for hidden states `(..., hidden)`."""
    import torch

    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    config = inner.config.get_text_config()
    logits: Tensor = inner.get_output_embeddings()(hidden).float()
    # What transformers' heads do after the projection: Granite divides, Cohere multiplies, Gemma caps.
    if getattr(config, "logits_scaling", None):
        logits = logits / config.logits_scaling
    if getattr(config, "logit_scale", None):
        logits = logits * config.logit_scale
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def additive_mask(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask (True: attended) into the additive form that every attention implementation takes."""
    import torch

    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)


def _tensors(rows: Sequence[Branching], past: int, longest: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids and positions `(batch, longest)` and the boolean mask `(batch, 1, longest, past + longest)`."""
    import torch

    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    positions = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), 1, longest, past + longest, dtype=torch.bool)
    mask[..., :past] = True
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    for b, row in enumerate(rows):
        stem = len(row.stem)
        ids[b, : len(row)] = torch.tensor([*row.stem, *(t for branch in row.branches for t in branch)])
        positions[b, :stem] = torch.arange(past, past + stem)
        own = mask[b, 0, :, past:]
        own[:, :stem] = causal[:, :stem]
        start = stem
        for branch in row.branches:
            end = start + len(branch)
            positions[b, start:end] = torch.arange(past + stem, past + stem + len(branch))
            own[start:end, start:end] = causal[: end - start, : end - start]
            start = end
        # Padding attends to itself, so that no row of the softmax is empty.
        own[range(start, longest), range(start, longest)] = True
    return ids.to(device), positions.to(device), mask.to(device)


def check_window(config: Any, length: int) -> None:
    """Raise ModelError when a row of `length` tokens does not fit into the model's attention window."""
    text = config.get_text_config()
    limits = [getattr(text, "max_position_embeddings", None), getattr(text, "sliding_window", None)]
    limit = min((n for n in limits if n), default=None)
    if limit is not None and length > limit:
        raise ModelError(f"a row of {length} tokens is longer than the model's attention window of {limit} tokens")
