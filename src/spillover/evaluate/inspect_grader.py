"""Ask a grader from inside an Inspect task: what fails is missing with its reason, what fails for all ends the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spillover.evaluate.api import HOPELESS, ApiAsk, ApiReply, cause_of, reason_of, reply_of, status_of
from spillover.evaluate.inspect_messages import chat

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model


async def ask_grader(model: Model, ask: ApiAsk) -> ApiReply:
    """Return the reply of `model`, or why there is none.

    Raises inspect_ai's limits and unmet prerequisites, and failures that no request of this model would escape.
    """
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.util import LimitExceededError

    try:
        return reply_of(await model.generate(chat(ask.messages), config=config_of(ask)), ask)
    except (LimitExceededError, PrerequisiteError):
        raise
    except Exception as problem:
        cause = cause_of(problem)
        if status_of(cause) in HOPELESS:
            raise
        return ApiReply(None, missing=reason_of(cause))


def config_of(ask: ApiAsk) -> GenerateConfig:
    """Return a request's settings as inspect_ai has them; what is about sending is the model's own."""
    from inspect_ai.model import GenerateConfig

    return GenerateConfig(
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        logprobs=True if ask.top_logprobs is not None else None,
        top_logprobs=ask.top_logprobs,
    )
