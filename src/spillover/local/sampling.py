"""Sample answers: many per prompt from one prefill, reproducible row by row."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.conversation import Message
from spillover.local.branching import additive_mask, decoder, head
from spillover.local.chat_template import ChatTemplate

if TYPE_CHECKING:
    from torch import Tensor


# Dropping finished rows copies the whole cache, so it waits until this share is left.
_SHRINK_BELOW = 0.75


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw: temperature 0 is greedy; `top_p` keeps the smallest set of tokens with that mass.

    The default temperature is below the paper's 1.0, at which the embedded model writes mostly incoherent text.
    """

    max_tokens: int = 64
    temperature: float = 0.7
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt and the seeds of the samples wanted for it, one answer per seed."""

    prompt: tuple[Message, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Text of one answer, its length in tokens, and whether it ended by itself before the limit."""

    text: str
    tokens: int
    ended: bool


def sample(
    model: Any,
    template: ChatTemplate,
    asks: Sequence[Ask],
    how: Sampling,
    on_tokens: Callable[[int], None] = lambda n: None,
) -> list[list[Sampled]]:
    """Draw the asked answers as one batch; returns them per ask in the order of its seeds.

    Each prompt is prefilled once for all of its samples. A row's random numbers come from its own seed, so what is
    drawn does not depend on the rest of the batch (up to the float noise of other matrix shapes). `on_tokens` gets
    the number of rows still going after each step.
    """
    import torch

    with torch.inference_mode():
        rows = _Rows(model, [template.prompt(a.prompt) for a in asks], [a.seeds for a in asks], how)
        ends = _end_tokens(model, template)
        for _ in range(how.max_tokens):
            active = rows.draw(ends)
            on_tokens(active)
            if not active:
                break
            rows.advance()
    decode = template.tokenizer.decode
    drawn = iter(rows.finish())
    return [[Sampled(decode(ids, skip_special_tokens=True), len(ids), e) for ids, e in _take(drawn, a)] for a in asks]


class _Rows:
    """All rows of a batch, their key-value cache in preallocated slots, finished rows dropped now and then."""

    def __init__(self, model: Any, prompts: list[tuple[int, ...]], seeds: list[tuple[int, ...]], how: Sampling) -> None:
        import torch

        self.model, self.body, self.how = model, decoder(model), how
        counts = torch.tensor([len(s) for s in seeds])
        device = next(self.body.parameters()).device
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long, device=device)
        keep = torch.zeros(len(prompts), longest, dtype=torch.bool, device=device)
        for i, prompt in enumerate(prompts):
            ids[i, : len(prompt)] = torch.tensor(prompt)
            keep[i, : len(prompt)] = True
        self.cache, hidden = _prefill(self.body, ids, counts.to(device), how.max_tokens)
        lengths = torch.tensor([len(p) for p in prompts], device=device)
        last = hidden[torch.arange(len(prompts), device=device), lengths - 1]
        repeat = counts.to(device)
        self.hidden = last.repeat_interleave(repeat, 0)
        self.lengths = lengths.repeat_interleave(repeat, 0)
        room = torch.ones(len(prompts), how.max_tokens, dtype=torch.bool, device=device)
        seen = torch.cat([keep, room], 1).repeat_interleave(repeat, 0)
        self.mask = additive_mask(seen, self.hidden.dtype)
        self.step = 0
        draws = [random.Random(seed) for row in seeds for seed in row]
        self.random = dict(enumerate(draws))
        self.drawn: list[list[int]] = [[] for _ in draws]
        self.ended = [False] * len(draws)
        self.active = list(range(len(draws)))
        self.next = torch.zeros(0, dtype=torch.long)

    def draw(self, ends: set[int]) -> int:
        """Draw one token per active row; returns how many rows go on."""
        import torch

        uniforms = torch.tensor([self.random[r].random() for r in self.active], dtype=torch.float64)
        tokens = _choose(head(self.model, self.hidden), uniforms, self.how).tolist()
        for row, token in zip(self.active, tokens, strict=True):
            self.ended[row] = self.ended[row] or token in ends
            if not self.ended[row]:
                self.drawn[row].append(token)
        going = [place for place, row in enumerate(self.active) if not self.ended[row]]
        if len(going) <= _SHRINK_BELOW * len(self.active):
            self._shrink(going)
            tokens = [tokens[place] for place in going]
        self.next = torch.tensor(tokens, device=self.hidden.device)
        return len(going)

    def advance(self) -> None:
        """Run the drawn tokens through the model."""
        filled = self.cache.get_seq_length() + 1
        out = self.body(
            input_ids=self.next[:, None],
            position_ids=(self.lengths + self.step)[:, None],
            attention_mask=self.mask[:, None, None, :filled],
            cache=self.cache,
            use_cache=True,
        )
        self.step += 1
        self.hidden = out.last_hidden_state[:, -1]

    def finish(self) -> list[tuple[list[int], bool]]:
        """Return each row's tokens and whether it ended by itself."""
        return list(zip(self.drawn, self.ended, strict=True))

    def _shrink(self, going: list[int]) -> None:
        """Drop all rows but those at the places `going`."""
        import torch

        index = torch.tensor(going, dtype=torch.long, device=self.hidden.device)
        self.active = [self.active[i] for i in going]
        self.hidden, self.lengths, self.mask = self.hidden[index], self.lengths[index], self.mask[index]
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[index], layer.values[index]


def _prefill(body: Any, ids: Tensor, counts: Tensor, room: int) -> tuple[Any, Tensor]:
    """Run the prompts once; return a cache with a row per sample and `room` free slots, and the hidden states."""
    import torch
    from transformers import Cache, DynamicCache
    from transformers.cache_utils import DynamicLayer

    class Slots(DynamicLayer):  # type: ignore[misc]
        """Keys and values `(rows, heads, slots, dim)` written in place, nothing concatenated."""

        def __init__(self, keys: Tensor, values: Tensor) -> None:
            super().__init__()
            self.filled = keys.shape[2]
            self.keys, self.values = _grow(keys, room), _grow(values, room)
            self.is_initialized = True

        def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            end = self.filled + key_states.shape[2]
            self.keys[:, :, self.filled : end] = key_states
            self.values[:, :, self.filled : end] = value_states
            self.filled = end
            return self.keys[:, :, :end], self.values[:, :, :end]

        def get_seq_length(self) -> int:
            return int(self.filled)

    def _grow(tensor: Tensor, extra: int) -> Tensor:
        repeated = tensor.repeat_interleave(counts, 0)
        return torch.nn.functional.pad(repeated, (0, 0, 0, extra))

    once = DynamicCache()
    # Right padding under a causal mask: a prompt's own tokens never see it.
    hidden = body(input_ids=ids, cache=once, use_cache=True).last_hidden_state
    return Cache(layers=[Slots(layer.keys, layer.values) for layer in once.layers]), hidden


def _choose(logits: Tensor, uniforms: Tensor, how: Sampling) -> Tensor:
    """Return one token per row of `logits (rows, vocab)` by inverting its cumulative distribution at `uniforms`."""
    import torch

    if how.temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / how.temperature, -1)
    if how.top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= how.top_p
        probabilities = probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))
    cumulative = probabilities.double().cumsum(-1)
    goal = uniforms.to(logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, goal, right=True).clamp(max=logits.shape[-1] - 1)[:, 0]


def _end_tokens(model: Any, template: ChatTemplate) -> set[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ends = set(configured if isinstance(configured, list) else [configured])
    return {token for token in ends | {template.tokenizer.eos_token_id} if token is not None}


def _take(drawn: Iterator[tuple[list[int], bool]], ask: Ask) -> list[tuple[list[int], bool]]:
    return [next(drawn) for _ in ask.seeds]
