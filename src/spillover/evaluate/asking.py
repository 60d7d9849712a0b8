"""Ask an API model a list of prompts and get its replies in their order."""

from __future__ import annotations

from collections.abc import Sequence

from spillover.conversation import Message, fingerprint
from spillover.errors import SettingsError
from spillover.evaluate.api import ApiAsk, ApiReply, AskModel, OnReplies
from spillover.evaluate.stored import replies
from spillover.run_folder import RunFolder


def api(connections: int = 20, batch: bool = False) -> AskModel:
    """Return what asks inspect_ai models, `connections` requests at once, or by the provider's batches.

    Asking raises SettingsError where inspect_ai is not installed or a model has no batches, and ModelError for a model
    it cannot open.
    """

    def ask(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        from spillover.evaluate.batches import ask_in_batches
        from spillover.evaluate.request_pool import Limits, ask_model

        _need_inspect(model)
        if batch:
            ask_in_batches(model, asks, on_replies)
        else:
            ask_model(model, asks, on_replies, Limits(connections=connections))

    return ask


def refuse_unbatched(models: Sequence[str]) -> None:
    """Raise SettingsError where one of these API models has no batches, or there is none; asks nothing."""
    from spillover.evaluate.batches import open_batching

    if not models:
        raise SettingsError("--batch is for models behind an API, and none is named: leave it out")
    for model in models:
        _need_inspect(model)
        open_batching(model)


def replies_in_order(
    model: str,
    prompts: Sequence[tuple[Message, ...]],
    ask: AskModel,
    max_tokens: int,
    temperature: float = 0.0,
    kept_in: RunFolder | None = None,
) -> list[ApiReply]:
    """Return one reply per prompt; equal prompts are asked once. A missing reply carries its reason.

    With `kept_in` replies are written there as they come and not asked for again. Raises what `ask` raises, and
    RuntimeError where it hands over neither a reply nor a reason.
    """
    keys = [fingerprint([model, [m.as_dict() for m in prompt], max_tokens, temperature]) for prompt in prompts]
    asks = [ApiAsk(key, prompt, max_tokens, temperature) for key, prompt in zip(keys, prompts, strict=True)]
    found = replies(kept_in, "replies", model, asks, ask)
    return [found[key] for key in keys]


def _need_inspect(model: str) -> None:
    from importlib.util import find_spec

    if find_spec("inspect_ai") is None:
        raise SettingsError(f"{model} is asked through inspect_ai, which is missing: pip install 'spillover[api]'")
