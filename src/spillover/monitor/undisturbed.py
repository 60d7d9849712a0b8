"""Look at a model in the middle of its training without leaving a trace."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def undisturbed(model: Any, adapter: bool = True) -> Iterator[None]:
    """Evaluate `model` inside: no dropout, no gradients; with `adapter` false, without its adapters.

    Afterwards every module's training mode, every parameter's gradient flag and the random states of Python, numpy and
    torch (CPU and the model's own device) are as before.
    """
    import numpy as np
    import torch

    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    python, legacy = random.getstate(), np.random.get_state()
    device = next(model.parameters()).device
    devices = [device.index or 0] if device.type == "cuda" else []
    try:
        # Not inference_mode: a buffer that a model keeps from in there could not take part in a later backward pass.
        with torch.random.fork_rng(devices=devices), torch.no_grad(), _without_adapter(model, not adapter):
            model.eval()
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        random.setstate(python)
        np.random.set_state(legacy)


def has_adapter(model: Any) -> bool:
    """Return whether `model` is a peft model, whose base can be seen by switching its adapters off."""
    return hasattr(model, "peft_config") and hasattr(model, "disable_adapter")


@contextlib.contextmanager
def _without_adapter(model: Any, off: bool) -> Iterator[None]:
    if not off or not has_adapter(model):
        yield
        return
    with model.disable_adapter():
        yield
