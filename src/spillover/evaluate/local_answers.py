"""Local models as answerers of a suite: the in-process sampler in the shape of `AskModel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spillover.conversation import Message
from spillover.evaluate.api import EMPTY, ApiAsk, ApiReply, AskModel, OnReplies
from spillover.local.loading import LoadedModel, load
from spillover.local.sampling import Ask, Sampling, sample
from spillover.model import BUNDLED, ModelRef

# Answers handed over at a time: a kill loses at most these.
_PORTION = 128


def local_ref(name: str) -> ModelRef | None:
    """Return what a model name means locally, None for a name that inspect_ai knows ("provider/model").

    "bundled", a model folder, "hub:ID", or one of these with an adapter folder behind it: "bundled+ADAPTER".
    """
    base, plus, adapter = name.partition("+")
    if base.startswith("hub:"):
        base = base.removeprefix("hub:")
    elif base != BUNDLED and not Path(base).expanduser().is_dir():
        return None
    return ModelRef(base, adapter if plus else None)


def local_sampler(ref: ModelRef, on_token: Callable[[int], None] = lambda n: None) -> AskModel:
    """Return an answerer that loads `ref` when first asked; each request's seed decides its answer."""
    loaded: list[LoadedModel] = []

    def ask(_model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        if not loaded:
            loaded.append(load(ref))
        model = loaded[0]
        ordered = sorted(asks, key=lambda a: (a.max_tokens, a.temperature))
        for start in range(0, len(ordered), _PORTION):
            for group in _alike(ordered[start : start + _PORTION]):
                on_replies(_answered(model, group, on_token))

    return ask


def _alike(asks: Sequence[ApiAsk]) -> list[list[ApiAsk]]:
    """Split into groups that are drawn in the same way."""
    groups: dict[tuple[int, float], list[ApiAsk]] = {}
    for one in asks:
        groups.setdefault((one.max_tokens, one.temperature), []).append(one)
    return list(groups.values())


def _answered(
    model: LoadedModel, group: Sequence[ApiAsk], on_token: Callable[[int], None]
) -> list[tuple[ApiAsk, ApiReply]]:
    by_prompt: dict[tuple[Message, ...], list[ApiAsk]] = {}
    for one in group:
        by_prompt.setdefault(one.messages, []).append(one)
    asks = [Ask(prompt, tuple(one.seed or 0 for one in members)) for prompt, members in by_prompt.items()]
    how = Sampling(group[0].max_tokens, group[0].temperature)
    drawn = sample(model.model, model.template, asks, how, on_token)
    found = []
    for members, rows in zip(by_prompt.values(), drawn, strict=True):
        for one, row in zip(members, rows, strict=True):
            reply = ApiReply(row.text, None, None, row.ended) if row.text.strip() else ApiReply(None, missing=EMPTY)
            found.append((one, reply))
    return found
