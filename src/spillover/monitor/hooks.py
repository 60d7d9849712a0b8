"""Hooks on every block of a decoder: all must attach and run, and all are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spillover.errors import ModelError
from spillover.local.branching import decoder

if TYPE_CHECKING:
    from torch import Tensor


def blocks(model: Any) -> list[Any]:
    """Return the decoder's blocks in order, whatever the architecture calls them; raises ModelError for none.

    They are the outermost list of modules in the decoder that has as many entries as its configuration has layers.
    """
    import torch

    body = decoder(model)
    count = body.config.get_text_config().num_hidden_layers
    for module in body.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return list(module)
    raise ModelError(f"no list of {count} blocks in {type(body).__name__}: its hidden states cannot be watched")


@contextmanager
def block_outputs(model: Any, keep: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Call `keep(layer, states)` for each block's output `(batch, tokens, hidden)` while inside.

    Raises ModelError at the end when a block never ran: a hook that does not fire would leave a gap unseen.
    """
    found = blocks(model)
    fired = [False] * len(found)
    handles: list[Any] = []

    def hook(layer: int) -> Callable[[Any, Any, Any], None]:
        def record(_module: Any, _args: Any, output: Any) -> None:
            fired[layer] = True
            keep(layer, output[0] if isinstance(output, tuple) else output)

        return record

    try:
        handles += [block.register_forward_hook(hook(layer)) for layer, block in enumerate(found)]
        yield
    finally:
        for handle in handles:
            handle.remove()
    if not all(fired):
        raise ModelError(
            f"{fired.count(False)} of {len(found)} blocks of {type(decoder(model)).__name__} did not run their hook, "
            "so its hidden states cannot be watched: turn off what replaces its forward pass (compilation, sharding)"
        )
