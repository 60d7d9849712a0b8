"""Hidden states of given answers: the mean over each answer's tokens, at chosen layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spillover.errors import DataError, ModelError
from spillover.local.branching import Branching, common_prefix, decoder, forward
from spillover.local.chat_template import ChatTemplate
from spillover.local.scoring import Choice, batches_by_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def answer_means(
    model: Any,
    template: ChatTemplate,
    choices: Sequence[Choice],
    layers: Sequence[int],
    tokens_per_batch: int = 2048,
    on_done: Callable[[int], None] = lambda n: None,
) -> list[NDArray[np.float32]]:
    """Return per choice the mean hidden state over each answer's tokens, `(answers, layers, hidden)`.

    `layers` count decoder blocks from 0, the state is the block's output; blocks after the last one asked are not
    computed. Raises DataError for an answer without tokens and ModelError for a layer that does not exist.
    """
    import numpy as np
    import torch

    rows = [Branching(template.prompt(c.prompt), tuple(template.encode(a) for a in c.answers)) for c in choices]
    for row, choice in zip(rows, choices, strict=True):
        if not all(row.branches):
            raise DataError(f"an answer to {choice.prompt[-1].content[:60]!r} is empty: it has no hidden states")
    results: list[NDArray[np.float32]] = [np.zeros((0, 0, 0), np.float32)] * len(rows)
    with torch.inference_mode():
        for batch in batches_by_length(rows, tokens_per_batch):
            picked = [rows[i] for i in batch]
            states = _states(model, picked, layers)
            past = len(common_prefix(picked))
            for b, index in enumerate(batch):
                results[index] = _branch_means([states[layer][b] for layer in layers], rows[index], past)
            on_done(len(batch))
    return results


def _states(model: Any, rows: Sequence[Branching], layers: Sequence[int]) -> dict[int, Tensor]:
    """Run `rows` up to the last of `layers`; the states are `(batch, longest, hidden)`."""
    with _recorded(decoder(model), layers) as states:
        forward(model, rows)
    return states


def _branch_means(states: Sequence[Tensor], row: Branching, past: int) -> NDArray[np.float32]:
    import numpy as np

    means = []
    start = len(row.stem) - past
    for branch in row.branches:
        end = start + len(branch)
        means.append(np.stack([s[start:end].float().mean(0).cpu().numpy() for s in states]))
        start = end
    return np.stack(means)


@contextmanager
def _recorded(body: Any, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Collect block outputs while inside, later blocks taken away; everything is put back on the way out.

    The pass over the shared prefix fires the hooks first; the pass over the rows then overwrites what it left.
    """
    blocks = body.layers
    if not layers or not all(0 <= layer < len(blocks) for layer in layers):
        raise ModelError(f"layers {list(layers)} do not all exist: the model has {len(blocks)}, counted from 0")
    states: dict[int, Tensor] = {}

    def keep(layer: int) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> None:
            states[layer] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [blocks[layer].register_forward_hook(keep(layer)) for layer in layers]
    body.layers = blocks[: max(layers) + 1]
    try:
        yield states
    finally:
        body.layers = blocks
        for handle in handles:
            handle.remove()
