"""Draw one token per row from logits, each row by one uniform number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# The cumulative sum is taken over blocks first and then inside the one block that is hit: two passes over the
# vocabulary instead of a float64 copy of it.
_BLOCK = 256
# Nearly always enough candidates to hold the mass that `top_p` asks for; rows that need more are sorted whole.
_CANDIDATES = 1024


def choose(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float = 1.0, top_k: int = 0) -> Tensor:
    """Return a token id per row `(rows,)`, the inverse of the cumulative distribution at `uniforms`.

    `logits` `(rows, vocab)` float32 (overwritten), `uniforms` `(rows,)` float64 in [0, 1). Temperature 0 takes the most
    likely token; `top_k` (0: all) keeps that many tokens, `top_p` then the smallest set with that share of the mass.
    """
    if temperature == 0:
        return logits.argmax(-1)
    logits.div_(temperature)
    if top_k or top_p < 1:
        return _among_the_likeliest(logits, uniforms, top_p, top_k)
    return _from_all(logits, uniforms)


def _from_all(logits: Tensor, uniforms: Tensor) -> Tensor:
    import torch

    rows, vocab = logits.shape
    weights = logits.sub_(logits.amax(-1, keepdim=True)).exp_()
    if vocab % _BLOCK:
        weights = torch.nn.functional.pad(weights, (0, _BLOCK - vocab % _BLOCK))
    blocks = weights.view(rows, -1, _BLOCK)
    sums = blocks.sum(-1).double().cumsum(-1)
    goal = uniforms.to(logits.device)[:, None] * sums[:, -1:]
    hit = torch.searchsorted(sums, goal, right=True).clamp(max=sums.shape[1] - 1)
    before = torch.where(hit > 0, sums.gather(1, (hit - 1).clamp(min=0)), torch.zeros_like(goal))
    inside = blocks[torch.arange(rows, device=logits.device), hit[:, 0]].double().cumsum(-1)
    place = torch.searchsorted(inside, goal - before, right=True)
    # Sums of a block in float32 and float64 differ in the last digits: stay at the last token with any weight.
    last = torch.searchsorted(inside, inside[:, -1:].contiguous())
    return (hit * _BLOCK + torch.minimum(place, last))[:, 0]


def _among_the_likeliest(logits: Tensor, uniforms: Tensor, top_p: float, top_k: int) -> Tensor:
    import torch

    vocab = logits.shape[-1]
    count = min(vocab, top_k or _CANDIDATES)
    values, order = logits.topk(count, -1)
    total = logits.logsumexp(-1, keepdim=True) if not top_k else values.logsumexp(-1, keepdim=True)
    if top_p < 1 and not top_k and count < vocab:
        short = (values - total).exp().sum(-1) < top_p
        if short.any():
            values, order = logits.sort(-1, descending=True)
    weights = (values - total).double().exp()
    sums = weights.cumsum(-1)
    if top_p < 1:
        weights = weights.masked_fill(sums - weights >= top_p, 0.0)
        sums = weights.cumsum(-1)
    goal = uniforms.to(logits.device)[:, None] * sums[:, -1:]
    place = torch.searchsorted(sums, goal, right=True)
    last = torch.searchsorted(sums, sums[:, -1:].contiguous())
    return order.gather(1, torch.minimum(place, last))[:, 0]
