"""The product of a LoRA layer, forward and backward, with nothing the size of a layer's output computed twice.

peft adds, scales and casts in steps of their own, each a pass over memory as large as the layer's output; on a CPU
that is a tenth of training. Here they are part of the matrix products (Hu et al. 2021, equation 3, gives the function).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def one_product_per_layer(model: Any) -> Iterator[int]:
    """Inside, plain LoRA layers of `model` compute `x W' + bias + scale (x A') B'` at once; yields how many do.

    Layers that are anything else (dropout, DoRA, quantised or several adapters) keep peft's own forward. A and B
    take part in the products in the dtype of the layer's input; their gradients come back in their own.
    """
    layers = [layer for layer in model.modules() if _is_plain(layer)]
    product = _product() if layers else None
    for layer in layers:
        layer.forward = _forward_of(layer, product)
    try:
        yield len(layers)
    finally:
        for layer in layers:
            # The class's own forward shows again.
            del layer.forward


def _is_plain(layer: Any) -> bool:
    import torch
    from peft.tuners.lora import Linear

    if type(layer) is not Linear or type(layer.base_layer) is not torch.nn.Linear or len(layer.active_adapters) != 1:
        return False
    name = layer.active_adapters[0]
    return (
        name in layer.lora_A
        and name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and layer.lora_B[name].bias is None
        and not layer.base_layer.weight.requires_grad
        and not layer.merged
        and not layer.disable_adapters
    )


def _forward_of(layer: Any, product: Any) -> Any:
    name = layer.active_adapters[0]

    def forward(x: Tensor) -> Tensor:
        base = layer.base_layer
        if layer.disable_adapters:
            plain: Tensor = base(x)
            return plain
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        out: Tensor = product(x, base.weight, base.bias, a, b, layer.scaling[name])
        return out

    return forward


def _product() -> Any:
    import torch

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
            rows = x.reshape(-1, x.shape[-1])
            fast_a, fast_b = a.to(x.dtype), b.to(x.dtype)
            low = rows @ fast_a.t()
            out = torch.nn.functional.linear(rows, weight, bias)
            out.addmm_(low, fast_b.t(), alpha=scale)
            ctx.save_for_backward(rows, low, weight, a, b)
            ctx.scale, ctx.shape = scale, x.shape
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            rows, low, weight, a, b = ctx.saved_tensors
            grad = grads[0].reshape(-1, grads[0].shape[-1])
            # Scaled where it is smallest: (rows, rank).
            low_grad = (grad @ b.to(grad.dtype)).mul_(ctx.scale)
            into_x = None
            if ctx.needs_input_grad[0]:
                into_x = grad @ weight
                into_x.addmm_(low_grad, a.to(grad.dtype))
                into_x = into_x.view(ctx.shape)
            into_a = (low_grad.t() @ rows).to(a.dtype)
            into_b = (grad.t() @ low).mul_(ctx.scale).to(b.dtype)
            return into_x, None, None, into_a, into_b, None

    return Product.apply
