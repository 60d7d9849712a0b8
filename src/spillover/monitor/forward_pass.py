"""One forward pass per batch for everything: log-probabilities of given continuations and hidden states at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.conversation import Message
from spillover.errors import DataError
from spillover.local.branching import Branching, common_prefix, forward, head
from spillover.local.chat_template import ChatTemplate
from spillover.local.scoring import batches_by_length
from spillover.monitor.choices import Asked
from spillover.monitor.hooks import block_outputs, blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

TOKENS_PER_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt's tokens and, per continuation, its tokens and which of them count.

    Only with `states` is a continuation's last token run through the model: its log-probability is read at the token
    before, so continuations of one token cost nothing beyond the prompt.
    """

    stem: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[bool, ...], ...]
    states: bool = False

    def branching(self) -> Branching:
        """Return what goes through the model."""
        return Branching(self.stem, tuple(c if self.states else c[:-1] for c in self.continuations))


def answer_row(template: ChatTemplate, prompt: Sequence[Message], answers: Sequence[str]) -> Row:
    """Return a row for whole answers, all tokens counted, hidden states wanted; raises DataError for an empty one."""
    tokens = tuple(template.encode(answer) for answer in answers)
    if not all(tokens):
        raise DataError(f"an answer to {prompt[-1].content[:60]!r} is empty: it has no log-probability")
    return Row(template.prompt(prompt), tokens, tuple((True,) * len(t) for t in tokens), states=True)


def choice_row(template: ChatTemplate, asked: Asked) -> Row:
    """Return a row for a question's choices; each block is tokenised by itself, as its place in the text is fixed.

    Uncounted tokens with which all choices begin join the prompt. Raises DataError for a choice without tokens.
    """
    whole: list[tuple[tuple[int, ...], tuple[bool, ...]]] = []
    for choice in asked.choices:
        ids: list[int] = []
        flags: list[bool] = []
        for block in choice.blocks:
            tokens = template.encode(block.text)
            ids += tokens
            flags += [block.counted] * len(tokens)
        if not any(flags):
            raise DataError(f"a choice of {asked.question[:60]!r} has no counted token: it has no log-probability")
        end = len(flags) - flags[::-1].index(True)
        whole.append((tuple(ids[:end]), tuple(flags[:end])))
    shared = 0
    while all(flags[shared] is False for _, flags in whole) and len({ids[shared] for ids, _ in whole}) == 1:
        shared += 1
    stem = (*template.prompt((Message("user", asked.prompt),)), *whole[0][0][:shared])
    return Row(stem, tuple(ids[shared:] for ids, _ in whole), tuple(flags[shared:] for _, flags in whole))


def scored_batches(
    model: Any, rows: Sequence[Row], tokens_per_batch: int = TOKENS_PER_BATCH
) -> Iterator[list[tuple[int, Tensor]]]:
    """Yield per batch each row's index and its continuations' log-probabilities `(continuations,)`.

    In nats, summed over the counted tokens, double precision. Gradients flow unless they are switched off.
    """
    branchings = [row.branching() for row in rows]
    for batch in batches_by_length(branchings, tokens_per_batch):
        picked = [branchings[i] for i in batch]
        hidden = forward(model, picked)
        past = len(common_prefix(picked))
        yield [(i, _sums(model, hidden[b], rows[i], past)) for b, i in enumerate(batch)]


def read_rows(
    model: Any, rows: Sequence[Row], states: bool = True, tokens_per_batch: int = TOKENS_PER_BATCH
) -> tuple[list[tuple[float, ...]], NDArray[np.float32]]:
    """Return each row's summed log-probabilities (nats) and the mean hidden states at its continuations' tokens.

    The states are `(continuations of all rows with states, layers, hidden)`, float32, rows in order; without `states`
    the array is empty. Raises ModelError when a block's hook does not run.
    """
    import numpy as np

    sums: list[tuple[float, ...]] = [()] * len(rows)
    means: dict[int, NDArray[np.float32]] = {}
    kept: dict[int, Tensor] = {}

    def keep(layer: int, output: Tensor) -> None:
        # The pass over the shared prefix comes first; the pass over the rows then overwrites what it left.
        kept[layer] = output

    with block_outputs(model, keep) if states else nullcontext():
        branchings = [row.branching() for row in rows]
        for batch in scored_batches(model, rows, tokens_per_batch):
            past = len(common_prefix([branchings[i] for i, _ in batch]))
            for b, (i, found) in enumerate(batch):
                sums[i] = tuple(found.tolist())
                if states and rows[i].states:
                    means[i] = _means([kept[layer][b] for layer in sorted(kept)], rows[i], past)
    wanted = [means[i] for i, row in enumerate(rows) if states and row.states]
    if wanted:
        return sums, np.concatenate(wanted)
    return sums, np.zeros((0, len(blocks(model)), 0), np.float32)


def _sums(model: Any, hidden: Tensor, row: Row, past: int) -> Tensor:
    import torch

    sources: list[int] = []
    targets: list[int] = []
    weights: list[bool] = []
    start = stem = len(row.stem) - past
    for tokens, counted in zip(row.continuations, row.counted, strict=True):
        # The first token is predicted at the stem's last, the others at the token before them.
        sources += [stem - 1, *range(start, start + len(tokens) - 1)]
        targets += tokens
        weights += counted
        start += len(tokens) - (not row.states)
    logits = head(model, hidden[sources])
    wanted = torch.tensor(targets, device=logits.device)
    logps = -torch.nn.functional.cross_entropy(logits, wanted, reduction="none").double()
    masked = logps * torch.tensor(weights, device=logits.device)
    return torch.stack([part.sum() for part in torch.split(masked, [len(t) for t in row.continuations])])


def _means(states: Sequence[Tensor], row: Row, past: int) -> NDArray[np.float32]:
    """Return `(continuations, layers, hidden)` from one row's block outputs `(tokens, hidden)`."""
    import torch

    start = len(row.stem) - past
    found = []
    for tokens in row.continuations:
        end = start + len(tokens)
        found.append(torch.stack([layer[start:end].float().mean(0) for layer in states]))
        start = end
    means: NDArray[np.float32] = torch.stack(found).cpu().numpy()
    return means
