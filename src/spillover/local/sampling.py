"""Sample answers: many per prompt from one prefill, reproducible row by row."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.conversation import Message
from spillover.local import hardware
from spillover.local.branching import decoder, head
from spillover.local.chat_template import ChatTemplate
from spillover.local.drawing import choose
from spillover.local.slots import Slots

if TYPE_CHECKING:
    from torch import Tensor

# Model types whose attention goes through transformers' attention interface with nothing but scaling and soft cap, and
# which `tests/local/test_families.py` compares with transformers' own generate.
COVERED = (
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "gemma",
    "gemma2",
    "gemma3_text",
    "smollm3",
    "phi3",
    "granite",
    "olmo2",
)
# New rows come in when this share of the places is free: prefilling one prompt at a time would be slow.
_ADMIT_AT = 0.125


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw: temperature 0 is greedy, `top_k` keeps that many tokens (0: all), `top_p` then the smallest set
    with that share of the mass.

    The default temperature is below the paper's 1.0, at which the embedded model writes mostly incoherent text.
    """

    max_tokens: int = 64
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0


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
    rows_at_once: int | None = None,
) -> list[list[Sampled]]:
    """Draw the asked answers; returns them per ask in the order of its seeds.

    Each prompt is prefilled once for all of its samples; finished rows leave and waiting ones take their places, at
    most `rows_at_once` side by side (default: what a share of the memory holds). A row's random numbers come from its
    own seed, so what is drawn does not depend on the rest of the batch (up to the float noise of other matrix shapes).
    `on_tokens` gets the number of tokens drawn in each step. A model whose architecture is not in `COVERED`
    is sampled by transformers' generate, with a note in the log; then the seed of an ask's first row counts for all.
    """
    import torch

    prompts = [template.prompt(a.prompt) for a in asks]
    ends = _end_tokens(model, template)
    with torch.inference_mode():
        if _covered(model, max(map(len, prompts), default=0) + how.max_tokens):
            size = rows_at_once or _rows_that_fit(model, how.max_tokens)
            drawn = _Rows(model, prompts, [a.seeds for a in asks], how, ends).run(size, on_tokens)
        else:
            drawn = [_generate(model, p, a.seeds, how, ends, on_tokens) for p, a in zip(prompts, asks, strict=True)]
    decode = template.tokenizer.decode
    return [[Sampled(decode(ids, skip_special_tokens=True), len(ids), e) for ids, e in rows] for rows in drawn]


@dataclass(slots=True)
class _Row:
    """One answer in the making."""

    ask: int
    draws: random.Random
    drawn: list[int]
    ended: bool = False


class _Rows:
    """All rows of a call: those that wait and those going now, the latter in the order of their places in `Slots`."""

    def __init__(
        self,
        model: Any,
        prompts: Sequence[tuple[int, ...]],
        seeds: Sequence[tuple[int, ...]],
        how: Sampling,
        ends: set[int],
    ) -> None:
        self.model, self.prompts, self.how, self.ends = model, prompts, how, ends
        self.rows = [[_Row(i, random.Random(seed), []) for seed in asked] for i, asked in enumerate(seeds)]
        self.waiting = deque(row for asked in self.rows for row in asked)
        self.going: list[_Row] = []

    def run(self, size: int, on_tokens: Callable[[int], None]) -> list[list[tuple[list[int], bool]]]:
        """Draw until nothing waits or goes; returns tokens and whether the row ended by itself, per ask and seed."""
        import torch

        size = min(size, len(self.waiting))
        slots = Slots(decoder(self.model), size, self.how.max_tokens)
        hidden: Tensor | None = None
        while self.waiting or self.going:
            free = size - len(self.going)
            if self.waiting and free >= min(len(self.waiting), max(1, int(_ADMIT_AT * size))):
                new = self._admit(slots, free)
                hidden = new if hidden is None else torch.cat([hidden, new])
            assert hidden is not None
            tokens, finished = self._draw(hidden)
            on_tokens(len(self.going) - sum(self.going[place].ended for place in finished))
            if finished:
                order = slots.drop(finished)
                tokens = tokens[order]
                self.going = [self.going[place] for place in order]
            hidden = slots.advance(tokens) if self.going else None
        return [[(row.drawn, row.ended) for row in asked] for asked in self.rows]

    def _admit(self, slots: Slots, free: int) -> Tensor:
        """Let the first waiting rows in; those of one prompt are prefilled together."""
        new = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
        samples: dict[int, int] = {}
        for row in new:
            samples[row.ask] = samples.get(row.ask, 0) + 1
        self.going += new
        return slots.admit([self.prompts[ask] for ask in samples], list(samples.values()))

    def _draw(self, hidden: Tensor) -> tuple[Tensor, list[int]]:
        """Draw one token per row; returns the tokens and the places of the rows that are finished with it."""
        import torch

        how = self.how
        uniforms = torch.tensor([row.draws.random() for row in self.going], dtype=torch.float64)
        logits = head(self.model, hidden)
        tokens = choose(logits, uniforms, how.temperature, how.top_p, how.top_k)
        finished = []
        for place, (row, token) in enumerate(zip(self.going, tokens.tolist(), strict=True)):
            row.ended = token in self.ends
            if not row.ended:
                row.drawn.append(token)
            if row.ended or len(row.drawn) == how.max_tokens:
                finished.append(place)
        return tokens, finished


def _covered(model: Any, length: int) -> bool:
    """Whether our attention gives what the model's own would for rows of `length` tokens."""
    config = decoder(model).config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if config.model_type in COVERED and (window is None or length <= window):
        return True
    why = "its architecture is not covered" if config.model_type not in COVERED else "rows outgrow its sliding window"
    logging.getLogger(__name__).warning(
        "sampling %s by transformers' generate, which is slower: %s", config.model_type, why
    )
    return False


def _rows_that_fit(model: Any, room: int) -> int:
    """Return how many rows a share of the memory holds: the same on every run of a machine, so results repeat."""
    config = decoder(model).config.get_text_config()
    weight = next(model.parameters())
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kept = 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim * room * weight.element_size()
    # Logits are held in float32, beside one copy while drawing.
    each = kept + 2 * 4 * config.vocab_size
    return max(1, min(512, hardware.memory_bytes(weight.device) // 8 // int(each)))


def _generate(
    model: Any,
    prompt: tuple[int, ...],
    seeds: tuple[int, ...],
    how: Sampling,
    ends: set[int],
    on_tokens: Callable[[int], None],
) -> list[tuple[list[int], bool]]:
    import torch

    ids = torch.tensor([prompt], device=next(model.parameters()).device)
    draw: dict[str, Any] = {"do_sample": False}
    if how.temperature > 0:
        draw = {"do_sample": True, "temperature": how.temperature, "top_p": how.top_p, "top_k": how.top_k}
    with torch.random.fork_rng():
        torch.manual_seed(seeds[0])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=how.max_tokens,
            num_return_sequences=len(seeds) if how.temperature > 0 else 1,
            eos_token_id=sorted(ends),
            pad_token_id=min(ends),
            **draw,
        )[:, len(prompt) :].tolist()
    rows = []
    for tokens in out if how.temperature > 0 else out * len(seeds):
        end = next((i for i, t in enumerate(tokens) if t in ends), None)
        rows.append((tokens[:end], end is not None))
    on_tokens(sum(len(t) for t, _ in rows))
    return rows


def _end_tokens(model: Any, template: ChatTemplate) -> set[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ends = set(configured if isinstance(configured, list) else [configured])
    return {token for token in ends | {template.tokenizer.eos_token_id} if token is not None}
