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

# As many states as go through the vocabulary head at once: the fewer, the more often its matrix is read, and the more,
# the more memory the logits take.
_STATES_AT_ONCE = 256


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
    common beginning of prompts once per batch; when all answers are one token, the prompt alone is run. `on_done` gets
    the number of choices finished. Raises DataError for an answer without tokens: it has no score.
    """
    import torch

    rows = [branching_of(template, choice) for choice in choices]
    # Nothing is predicted at a branch's last token, so it is not run.
    run = [Branching(row.stem, tuple(branch[:-1] for branch in row.branches)) for row in rows]
    results: list[tuple[float, ...]] = [()] * len(rows)
    with torch.inference_mode():
        for batch in batches_by_length(run, tokens_per_batch):
            part = [run[i] for i in batch]
            hidden = forward(model, part)
            means = _branch_means(model, hidden, [rows[i] for i in batch], len(common_prefix(part)))
            for index, found in zip(batch, means, strict=True):
                results[index] = found
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


def branching_of(template: ChatTemplate, choice: Choice) -> Branching:
    """Return the tokens of a choice: its prompt and each answer; raises DataError for an answer without tokens."""
    branches = tuple(template.encode(answer) for answer in choice.answers)
    if not all(branches):
        raise DataError(f"an answer to {choice.prompt[-1].content[:60]!r} is empty: it has no log-probability")
    return Branching(template.prompt(choice.prompt), branches)


def _branch_means(model: Any, hidden: Tensor, rows: Sequence[Branching], past: int) -> list[tuple[float, ...]]:
    """Mean log-probability of each branch of each row.

    `hidden` `(batch, longest, hidden)` lacks the first `past` tokens of each stem and the last token of each branch.
    """
    import torch

    places: list[tuple[int, int]] = []
    # For each target: which of `places` predicts it.
    sources: list[int] = []
    targets: list[int] = []
    for b, row in enumerate(rows):
        after = len(row.stem) - past
        stem = len(places)
        places.append((b, after - 1))
        for branch in row.branches:
            inner = len(branch) - 1
            # The first token is predicted at the stem's last, the others at the token before them.
            sources += [stem, *range(len(places), len(places) + inner)]
            places += [(b, after + i) for i in range(inner)]
            targets += branch
            after += inner
    where = torch.tensor(places, device=hidden.device)
    logprobs = _logprobs(model, hidden[where[:, 0], where[:, 1]], sources, targets)
    parts = iter(torch.split(logprobs, [len(branch) for row in rows for branch in row.branches]))
    return [tuple(next(parts).mean().item() for _ in row.branches) for row in rows]


def _logprobs(model: Any, states: Tensor, sources: Sequence[int], targets: Sequence[int]) -> Tensor:
    """Return the log-probability of each target at the state `(states, hidden)` of its source, float64, on the CPU."""
    import torch

    found = torch.empty(len(targets), dtype=torch.float64)
    by, wanted = torch.tensor(sources), torch.tensor(targets)
    for start in range(0, len(states), _STATES_AT_ONCE):
        logits = head(model, states[start : start + _STATES_AT_ONCE])
        totals = logits.logsumexp(-1)
        here = (by >= start) & (by < start + _STATES_AT_ONCE)
        place, token = (by[here] - start).to(logits.device), wanted[here].to(logits.device)
        found[here] = (logits[place, token].double() - totals[place].double()).cpu()
    return found
