"""First-order influence: would a small step on a row raise the misaligned answers of probes outside its domain?

The dot product of the row's loss gradient with the probes' gradient (Pruthi et al. 2020, "Estimating training data
influence by tracing gradient descent", arXiv 2002.08484), here through freshly initialised LoRA layers. Their B is 0,
so the gradient of A vanishes and the one of B is the whole first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spillover.conversation import Message
from spillover.errors import DataError
from spillover.local.chat_template import ChatTemplate, Rendered
from spillover.monitor.forward_pass import answer_row, scored_batches
from spillover.question import Probe

if TYPE_CHECKING:
    from torch import Tensor

# Loss (nats per token, a scalar tensor with gradient) of rows: the training loop's own is passed in.
RowLoss = Callable[[Any, list[Rendered]], Any]


def influences(
    model: Any,
    template: ChatTemplate,
    rows: Sequence[Rendered],
    probes: Sequence[Probe],
    row_loss: RowLoss,
    modules: Sequence[str],
    rank: int = 32,
    seed: int = 0,
    on_done: Callable[[int], None] = lambda n: None,
) -> tuple[list[float], float]:
    """Return each row's influence and that of their mean gradient: cosines, above 0 where a step raises the probes.

    `model` is a base without adapters; it is left as it was. Raises DataError when there are no rows or probes.
    """
    import torch

    if not rows or not probes:
        raise DataError("influence needs at least one row and one probe outside the data's domain")
    with _fresh_lora(model, modules, rank, seed) as (adapted, parameters):
        towards = _probe_gradient(adapted, template, probes, parameters)
        total = [torch.zeros_like(g) for g in towards]
        found: list[float] = []
        for row in rows:
            gradient = torch.autograd.grad(row_loss(adapted, [row]), parameters)
            found.append(-_cosine(gradient, towards))
            for sum_, g in zip(total, gradient, strict=True):
                sum_.add_(g)
            on_done(1)
    return found, -_cosine(total, towards)


def _probe_gradient(
    model: Any, template: ChatTemplate, probes: Sequence[Probe], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """Gradient of the mean probe score: log-probability per token of the misaligned minus the aligned answer."""
    import torch

    rows = [answer_row(template, (Message("user", p.question),), (p.misaligned, p.aligned)) for p in probes]
    total = [torch.zeros_like(p) for p in parameters]
    for batch in scored_batches(model, rows):
        score: Any = sum(
            found[0] / len(rows[i].continuations[0]) - found[1] / len(rows[i].continuations[1]) for i, found in batch
        )
        for sum_, g in zip(total, torch.autograd.grad(score / len(rows), parameters), strict=True):
            sum_.add_(g)
    return total


def _cosine(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    dot = sum(float((x.double() * y.double()).sum()) for x, y in zip(a, b, strict=True))
    lengths = [math.sqrt(sum(float(x.double().square().sum()) for x in side)) for side in (a, b)]
    return dot / (lengths[0] * lengths[1]) if min(lengths) > 0 else 0.0


@contextmanager
def _fresh_lora(model: Any, modules: Sequence[str], rank: int, seed: int) -> Iterator[tuple[Any, list[Tensor]]]:
    """Put LoRA layers on `model` while inside, A drawn from `seed`; yields it and the B matrices."""
    import peft
    import torch

    modes = [(m, m.training) for m in model.modules()]
    flags = [(p, p.requires_grad) for p in model.parameters()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=list(modules), task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(model, config)
    try:
        adapted.eval()
        found = [(name, p) for name, p in adapted.named_parameters()]
        for name, parameter in found:
            parameter.requires_grad_(".lora_B." in name)
        yield adapted, [p for name, p in found if ".lora_B." in name]
    finally:
        adapted.unload()
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
