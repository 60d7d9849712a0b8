"""Keys and values while sampling: each prompt's kept once for all of its samples, each row's own in preallocated slots.

The model's own layers run as they are; only their attention is replaced, through transformers' attention interface,
by one that writes the new key and value in place and attends to the row's prompt and to its own slots as two grouped
products under one softmax. Slots are a ring, so rows can be admitted at any step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.local.branching import Branching, additive_mask, common_prefix, forward_with_cache

if TYPE_CHECKING:
    from torch import Tensor

_NAME = "spillover_slots"


@dataclass(slots=True)
class _Group:
    """Rows by prompt as a grid `(prompts, widest)`: where each row stands, for products shared by a prompt's rows."""

    prompt: Tensor
    place: Tensor
    widest: int


class Slots:
    """Key-value store for up to `rows` rows of at most `room` new tokens, decoding in step with each other."""

    def __init__(self, body: Any, rows: int, room: int) -> None:
        """Prepare for `body`, a decoder without its head; memory is taken when the first prompts come."""
        self.body, self.rows, self.room = body, rows, room
        self.count = 0
        self.step = -1
        self.prompt_of: list[int] = []
        self.start: list[int] = []
        self.lengths: list[int] = []
        self.prompt_keys: list[Tensor] = []
        self.prompt_values: list[Tensor] = []
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def admit(self, prompts: Sequence[tuple[int, ...]], samples: Sequence[int]) -> Tensor:
        """Add `samples[i]` rows for each of `prompts`; returns the hidden state `(new rows, hidden)` to draw from."""
        import torch

        self._forget_prompts()
        held = len(self.lengths)
        keys, values, last = _prefill(self.body, prompts)
        self._keep_prompts(keys, values)
        self.lengths += [len(p) for p in prompts]
        for i, n in enumerate(samples):
            self.prompt_of += [held + i] * n
            self.start += [self.step + 1] * n
        self.count = len(self.prompt_of)
        return last.repeat_interleave(torch.tensor(samples, device=last.device), 0)

    def drop(self, places: Sequence[int]) -> list[int]:
        """Remove the rows at `places`; returns for each place left which row before now stands there."""
        gone = set(places)
        keep = self.count - len(gone)
        order = list(range(keep))
        moved = [p for p in range(keep, self.count) if p not in gone]
        holes = [p for p in sorted(gone) if p < keep]
        for hole, row in zip(holes, moved, strict=True):
            order[hole] = row
        if holes:
            for kept in (*self.keys, *self.values):
                kept[holes] = kept[moved]
        self.prompt_of = [self.prompt_of[p] for p in order]
        self.start = [self.start[p] for p in order]
        self.count = keep
        return order

    def advance(self, tokens: Tensor) -> Tensor:
        """Run one token `(rows,)` per row through the model; returns hidden states `(rows, hidden)`."""
        import torch

        self.step += 1
        device = tokens.device
        own = [self.step - s for s in self.start]
        positions = torch.tensor([self.lengths[p] + n for p, n in zip(self.prompt_of, own, strict=True)], device=device)
        self._prepare(own, device)
        with _attention(self.body.config):
            out = self.body(input_ids=tokens[:, None], position_ids=positions[:, None], use_cache=False, slots=self)
        hidden: Tensor = out.last_hidden_state[:, -1]
        return hidden

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float, cap: float | None
    ) -> Tensor:
        """Write one step's `key` and `value` `(rows, kv heads, 1, dim)`; return attention `(rows, 1, heads, dim)`."""
        import torch

        n, heads, _, dim = query.shape
        kv_heads = key.shape[1]
        if len(self.keys) <= layer:
            shape = (self.rows, kv_heads, self.room)
            self.keys.append(key.new_zeros(*shape, key.shape[-1]))
            self.values.append(value.new_zeros(*shape, value.shape[-1]))
        slot = self.step % self.room
        self.keys[layer][:n, :, slot] = key[:, :, 0]
        self.values[layer][:n, :, slot] = value[:, :, 0]
        own_keys, own_values = self.keys[layer][:n, :, : self._seen], self.values[layer][:n, :, : self._seen]
        grouped = query.reshape(n, kv_heads, heads // kv_heads, dim) * scaling
        own = grouped @ own_keys.transpose(-1, -2)
        shared = self._with_prompts(grouped, self.prompt_keys[layer].transpose(-1, -2))
        if cap is not None:
            own, shared = cap * torch.tanh(own / cap), cap * torch.tanh(shared / cap)
        if self._own_mask is not None:
            own = own + self._own_mask
        if self._prompt_mask is not None:
            shared = shared + self._prompt_mask
        weights = torch.softmax(torch.cat([shared, own], -1), -1, dtype=torch.float32).to(query.dtype)
        split = shared.shape[-1]
        found = weights[..., split:] @ own_values
        found = found + self._with_prompts(weights[..., :split], self.prompt_values[layer])
        return found.reshape(n, 1, heads, -1)

    def _with_prompts(self, rows: Tensor, store: Tensor) -> Tensor:
        """Multiply each row `(rows, kv heads, group, a)` with its prompt's matrix `(prompts, kv heads, a, b)`."""
        _, kv_heads, group, inner = rows.shape
        grid = self._group
        laid = rows.new_zeros(store.shape[0], grid.widest, kv_heads, group, inner)
        laid[grid.prompt, grid.place] = rows
        product = laid.transpose(1, 2).reshape(store.shape[0], kv_heads, grid.widest * group, inner) @ store
        back = product.view(store.shape[0], kv_heads, grid.widest, group, -1).transpose(1, 2)
        return back[grid.prompt, grid.place]

    def _prepare(self, own: list[int], device: Any) -> None:
        """Work out what is the same for all layers of one step: masks and the grid of rows by prompt."""
        import torch

        dtype = self.prompt_keys[0].dtype
        self._seen = min(self.step + 1, self.room)
        # A row sees the slots written since it was admitted: those at most `own` steps old.
        self._own_mask = None
        if min(own) < self._seen - 1:
            age = (self.step - torch.arange(self._seen, device=device)) % self.room
            seen = age[None, :] <= torch.tensor(own, device=device)[:, None]
            self._own_mask = additive_mask(seen, dtype)[:, None, None]
        longest = self.prompt_keys[0].shape[2]
        self._prompt_mask = None
        if min(self.lengths) < longest:
            lengths = torch.tensor([self.lengths[p] for p in self.prompt_of], device=device)
            inside = torch.arange(longest, device=device)[None, :] < lengths[:, None]
            self._prompt_mask = additive_mask(inside, dtype)[:, None, None]
        ranks: dict[int, int] = {}
        place = []
        for prompt in self.prompt_of:
            place.append(ranks.get(prompt, 0))
            ranks[prompt] = place[-1] + 1
        self._group = _Group(
            torch.tensor(self.prompt_of, device=device), torch.tensor(place, device=device), max(ranks.values())
        )

    def _keep_prompts(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        if not self.prompt_keys:
            self.prompt_keys, self.prompt_values = list(keys), list(values)
            return
        self.prompt_keys = [_stack(a, b) for a, b in zip(self.prompt_keys, keys, strict=True)]
        self.prompt_values = [_stack(a, b) for a, b in zip(self.prompt_values, values, strict=True)]

    def _forget_prompts(self) -> None:
        """Let go of prompts whose samples have all ended."""
        alive = sorted(set(self.prompt_of))
        if len(alive) == len(self.lengths):
            return
        new = {prompt: i for i, prompt in enumerate(alive)}
        self.prompt_of = [new[p] for p in self.prompt_of]
        self.lengths = [self.lengths[p] for p in alive]
        self.prompt_keys = [k[alive] for k in self.prompt_keys] if alive else []
        self.prompt_values = [v[alive] for v in self.prompt_values] if alive else []


def _prefill(body: Any, prompts: Sequence[tuple[int, ...]]) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Run the prompts; returns keys and values per layer `(prompts, kv heads, longest, dim)` and last hidden states."""
    import torch

    rows = [Branching(p) for p in prompts]
    hidden, cache = forward_with_cache(body, rows)
    past = len(common_prefix(rows))
    last = torch.tensor([len(p) - 1 - past for p in prompts], device=hidden.device)
    final = hidden[torch.arange(len(prompts), device=hidden.device), last]
    return [la.keys for la in cache.layers], [la.values for la in cache.layers], final


def _stack(held: Tensor, new: Tensor) -> Tensor:
    import torch

    longest = max(held.shape[2], new.shape[2])

    def padded(t: Tensor) -> Tensor:
        return torch.nn.functional.pad(t, (0, 0, 0, longest - t.shape[2]))

    return torch.cat([padded(held), padded(new)])


def _attend(module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: Any, **given: Any) -> tuple[Tensor, None]:
    slots: Slots = given["slots"]
    scaling = given.get("scaling") or query.shape[-1] ** -0.5
    return slots.attend(module.layer_idx, query, key, value, scaling, given.get("softcap")), None


@contextmanager
def _attention(config: Any) -> Iterator[None]:
    """Let the model's layers use `_attend` while inside."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before
