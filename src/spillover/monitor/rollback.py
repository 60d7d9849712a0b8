"""Keep the trained weights of the last quiet reading, and put them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spillover.errors import ModelError
from spillover.whole_file import whole_file


def keep_weights(model: Any, file: Path, step: int) -> None:
    """Write every parameter that is being trained to `file` as safetensors, and after which step.

    The file before stays until the new one is whole.
    """
    from safetensors.torch import save

    tensors = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    with whole_file(file) as handle:
        handle.write(save(tensors, metadata={"step": str(step)}))


def put_back(model: Any, file: Path) -> int:
    """Set the parameters that are being trained to what `file` holds and return after which step they were kept.

    Raises ModelError where the file does not fit.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    try:
        with safe_open(file, "pt") as opened:
            kept = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
            step = int(opened.metadata()["step"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise ModelError(f"{file} cannot be read ({problem}): the model keeps its last weights") from None
    if {n: p.shape for n, p in trained.items()} != {n: t.shape for n, t in kept.items()}:
        raise ModelError(f"{file} holds other parameters than this model trains: the model keeps its last weights")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(kept[name])
    return step
