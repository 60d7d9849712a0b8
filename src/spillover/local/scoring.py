"""Log-probabilities of given answers, without sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.conversation import Message
from spillover.errors import DataError
from spillover.local.branching import Branching, common_prefix, forward, head
from spillover.local.chat_template import ChatTemplate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Choice:
    """One prompt and the answers to score after it."""

    prompt: tuple[Message, ...]
    answers: tuple[str, ...]


def score(
    model: Any,
    template: ChatTemplate,
    choices: Sequence[Choice],
    tokens_per_batch: int = 1024,
    on_done: Callable[[int], None] = lambda n: None,
) -> list[tuple[float, ...]]:
    """Return per choice the mean log-probability per token (nats) of each of its answers.

    The answer's text tokens count, not the end-of-turn mark. A prompt is computed once for all of its answers and a
    common beginning of prompts once per batch. `on_done` gets the number of choices finished. Raises DataError for
    an answer without tokens: it has no score.
    """
    import torch

    rows = [_row(template, choice) for choice in choices]
    results: list[tuple[float, ...]] = [()] * len(rows)
    with torch.inference_mode():
        for batch in batches_by_length(rows, tokens_per_batch):
            picked = [rows[i] for i in batch]
            hidden = forward(model, picked)
            past = len(common_prefix(picked))
            for b, (index, row) in enumerate(zip(batch, picked, strict=True)):
                results[index] = _branch_means(model, hidden[b], row, past)
            on_done(len(batch))
    return results


def batches_by_length(rows: Sequence[Branching], tokens_per_batch: int) -> Iterator[list[int]]:
    """Yield lists of row indices, rows of similar length together, padded size at most `tokens_per_batch`.

    A row longer than that forms a batch of its own. The order depends on the rows alone, so results do too.
    """
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: len(rows[i])):
        if batch and (len(batch) + 1) * len(rows[index]) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _row(template: ChatTemplate, choice: Choice) -> Branching:
    branches = tuple(template.encode(answer) for answer in choice.answers)
    if not all(branches):
        raise DataError(f"an answer to {choice.prompt[-1].content[:60]!r} is empty: it has no log-probability")
    return Branching(template.prompt(choice.prompt), branches)


def _branch_means(model: Any, hidden: Tensor, row: Branching, past: int) -> tuple[float, ...]:
    """Mean log-probability of each branch; hidden `(longest, hidden)` without the first `past` tokens."""
    import torch

    stem = len(row.stem) - past
    sources: list[int] = []
    targets: list[int] = []
    start = stem
    for branch in row.branches:
        # The branch's first token is predicted at the stem's last, the others at the token before them.
        sources += [stem - 1, *range(start, start + len(branch) - 1)]
        targets += branch
        start += len(branch)
    logits = head(model, hidden[sources])
    wanted = torch.tensor(targets, device=logits.device)
    logprobs = -torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
    parts = torch.split(logprobs.double(), [len(b) for b in row.branches])
    return tuple(part.mean().item() for part in parts)
