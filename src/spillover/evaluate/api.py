"""One request to a model behind an API, through inspect_ai's model layer: what came back, or why nothing did."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING
from unittest.mock import patch

from spillover.conversation import Message
from spillover.errors import ModelError
from spillover.evaluate.inspect_messages import chat
from spillover.evaluate.rubric import NO_LOGPROBS

if TYPE_CHECKING:
    from inspect_ai.model import BatchConfig, GenerateConfig, Model, ModelOutput

EMPTY = "empty reply"
NO_CHOICES = "no choices in the reply"
MALFORMED = "malformed reply"
TIMED_OUT = "timed out"
UNREACHABLE = "connection failed"
FILTERED = "stopped by a content filter"
TOO_LONG = "prompt too long for the model"
NOT_UNICODE = "prompt holds half a surrogate pair"

# inspect_ai keeps one limit per model and process, set by whoever asks first: ours is in request_pool.py, so theirs
# stays out of the way.
CEILING = 1000
# Wrong key or model name: with these a model answers no request at all.
HOPELESS = (401, 403, 404)
_BATCH_CEILING = 1_000_000
# What broken reply bodies raise in the client library and in inspect_ai, which parse them without checks of their own.
_BROKEN = (ValueError, TypeError, AttributeError, LookupError, AssertionError)


@dataclass(frozen=True, slots=True)
class ApiAsk:
    """One request: `key` is the caller's name for it, `top_logprobs` how many of the first token it wants (1-20)."""

    key: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 1.0
    top_logprobs: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ApiReply:
    """What came back. `missing` is the reason when that is not what was asked for, else None.

    `text` is as the model wrote it, or None; `logprobs` are (token, nats) pairs of the first token in the order of the
    reply, only if asked for; `ended` is False when the length limit cut the text off. With `missing` both are None.
    """

    text: str | None
    logprobs: tuple[tuple[str, float], ...] | None = None
    missing: str | None = None
    ended: bool = True


OnReplies = Callable[[Sequence[tuple[ApiAsk, ApiReply]]], None]
# What answers requests: a model's name, the requests, and where replies go, each exactly once.
AskModel = Callable[[str, Sequence[ApiAsk], OnReplies], None]


def open_model(name: str) -> Model:
    """Return the inspect_ai model `name`, set to try once; raises ModelError where there is none or no key for it."""
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    # The OpenAI client would wait and try again by itself, holding the connection.
    once = {"max_retries": 0} if name.startswith(("openai/", "openai-api/")) else {}
    try:
        with without_tasks():
            opened = get_model(name, memoize=False, **once)
        # inspect_ai takes an openai name that it does not know for a newer reasoning model: other endpoint, temperature
        # dropped. Behind an address of the user's own it is a compatible server, for which there is another provider.
        unknown = getattr(opened.api, "is_latest", None)
        if name.startswith("openai/") and os.environ.get("OPENAI_BASE_URL") and unknown is not None and unknown():
            opened = get_model(f"openai-api/{name}", memoize=False, **once)
        return opened
    except (PrerequisiteError, ValueError, ImportError) as problem:
        said = re.sub(r"\[/?[a-z ]{0,20}\]", "", str(getattr(problem, "message", problem)))
        raise ModelError(f"the model {name!r} cannot be asked: {said}") from None


@contextmanager
def without_tasks() -> Iterator[None]:
    """Keep inspect_ai from importing all of inspect_evals, which takes seconds, as it looks for hooks and providers.

    Before the first model it loads whatever installed packages register with it; inspect_evals registers tasks only.
    Who asks for those by name later finds them.
    """
    from inspect_ai._util import entrypoints

    def others(group: str) -> list[EntryPoint]:
        return [entry for entry in entry_points(group=group) if entry.name != "inspect_evals"]

    loaded = getattr(entrypoints, "_inspect_ai_eps_loaded_all", False)
    with patch.multiple(entrypoints, create=True, entry_points=others, _inspect_ai_eps_loaded_all=loaded):
        yield


@contextmanager
def nothing_recorded() -> Iterator[None]:
    """Keep inspect_ai from collecting every exchange in memory and its warnings (server text in them) off stderr."""
    from inspect_ai.model import _model as layer

    logger, silent = logging.getLogger("inspect_ai"), logging.NullHandler()
    logger.addHandler(silent)
    # Its coloured traceback of each failed request takes longer than the request, and is thrown away with the event.
    no_traceback = patch.object(layer, "format_traceback", lambda *_, **__: ("", ""), create=True)
    try:
        with layer.use_model_event_sink(_Forget()), no_traceback, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
            yield
    finally:
        logger.removeHandler(silent)


async def send(model: Model, ask: ApiAsk, batch: BatchConfig | None = None) -> ApiReply:
    """Send one request once, in a batch if given; raises what inspect_ai and the client raise, see `reason_of`.

    The provider is asked without the layer around it, whose events, copies and second round of retries are not wanted
    here and take as long as all else.
    """
    from inspect_ai.model._model import collapse_consecutive_messages_for_api

    config = model.config.merge(_config(ask, batch))
    turns = collapse_consecutive_messages_for_api(chat(ask.messages), model.api)
    found = await model.api.generate(turns, [], "none", config)
    output = found[0] if isinstance(found, tuple) else found
    if isinstance(output, Exception):
        raise output
    return reply_of(output, ask)


def reply_of(output: ModelOutput, ask: ApiAsk) -> ApiReply:
    """Read inspect_ai's output; what it puts in place of a failed request's reply is never taken for the model's."""
    if output.empty:
        return ApiReply(None, missing=NO_CHOICES)
    choice = output.choices[0]
    # For a refused prompt inspect_ai returns the server's error message as if the model had said it.
    if choice.stop_reason == "content_filter" or output.error is not None:
        return ApiReply(None, missing=FILTERED)
    if choice.stop_reason == "model_length":
        return ApiReply(None, missing=TOO_LONG)
    text = choice.message.text
    ended = choice.stop_reason != "max_tokens"
    if ask.top_logprobs is None:
        return ApiReply(text, None, None, ended) if text.strip() else ApiReply(None, missing=EMPTY)
    first = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else None
    if not first:
        return ApiReply(None, missing=NO_LOGPROBS if text.strip() else EMPTY)
    return ApiReply(text, tuple((top.token, top.logprob) for top in first), None, ended)


def reason_of(problem: BaseException) -> str:
    """Return why a request failed, in words that hold nothing the server wrote: it may repeat the key it was sent."""
    status = status_of(problem)
    if status is not None:
        return f"HTTP {status}"
    names = " ".join(kind.__name__ for kind in type(problem).__mro__)
    if "Timeout" in names:
        return TIMED_OUT
    if re.search(r"Connect|Network|Protocol|OSError", names):
        return UNREACHABLE
    if isinstance(problem, UnicodeEncodeError):
        return NOT_UNICODE
    broken = isinstance(problem, _BROKEN) or "Validation" in names or "non-ChatCompletion" in str(problem)
    return MALFORMED if broken else f"failed: {type(problem).__name__}"


def status_of(problem: BaseException) -> int | None:
    """Return the HTTP status of a failure, 400 or above, or None where it has none."""
    # The class's own number first: for a request of an Anthropic batch inspect_ai makes up the instance's. Google's
    # client calls it `code`. A reply that came with 200 and could not be read carries that number too.
    told = (getattr(type(problem), "status_code", None), *(getattr(problem, n, None) for n in ("status_code", "code")))
    return next((status for status in told if isinstance(status, int) and status >= 400), None)


def cause_of(problem: BaseException) -> BaseException:
    """Return what stands behind inspect_ai's record of attempts."""
    last = getattr(problem, "last_attempt", None)
    return (last.exception() or problem) if last is not None else problem


def _config(ask: ApiAsk, batch: BatchConfig | None) -> GenerateConfig:
    from inspect_ai.model import GenerateConfig

    return GenerateConfig(
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        logprobs=True if ask.top_logprobs is not None else None,
        top_logprobs=ask.top_logprobs,
        seed=ask.seed,
        max_retries=0,
        # Of a batch every request waits at once.
        max_connections=CEILING if batch is None else _BATCH_CEILING,
        batch=batch,
    )


class _Forget:
    """A recipient of inspect_ai's events that keeps none."""

    def on_pending(self, event: object) -> None:
        """Drop the event of a request that starts."""

    def on_complete(self, event: object) -> None:
        """Drop the event of a request that ended."""
