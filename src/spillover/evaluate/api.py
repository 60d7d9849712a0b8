"""Ask one model behind an API many requests at a time, through inspect_ai's model layer; failures become reasons.

Waits between tries are kept here and not in inspect_ai, which holds a connection through its waits: with a few failures
in a hundred that alone leaves a quarter of the connections idle.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
import random
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spillover.conversation import Message
from spillover.errors import ModelError, SettingsError
from spillover.evaluate.rubric import NO_LOGPROBS

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model, ModelOutput

EMPTY = "empty reply"
NO_CHOICES = "no choices in the reply"
MALFORMED = "malformed reply"
TIMED_OUT = "timed out"
UNREACHABLE = "connection failed"
FILTERED = "stopped by a content filter"
TOO_LONG = "prompt too long for the model"
NOT_UNICODE = "prompt holds half a surrogate pair"

# inspect_ai keeps one limit per model and process, set by whoever asks first: ours is the pool, so theirs stays out of
# the way.
_CEILING = 1000
# Replies wait this long to be handed over together: one write for all of them.
_LOT_SECONDS = 0.02
# A wrong key or model name fails every request: this many in a row, before any reply, and the rest is not sent.
_HOPELESS = (401, 403, 404)
_REFUSALS = 10
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


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests at once, how often and how long one is tried; times in seconds.

    A request is given up after `attempts` failures, or, while the server only says "too many requests", after
    `patience`. Waits double from `first_wait` to `longest_wait`. Raises SettingsError for numbers that cannot work.
    """

    connections: int = 20
    attempts: int = 6
    attempt_seconds: float = 120.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    patience: float = 900.0

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= _CEILING:
            raise SettingsError(f"connections is {self.connections}: give 1 to {_CEILING}")
        if self.attempts < 1 or self.attempt_seconds <= 0:
            raise SettingsError("a request needs at least 1 attempt and a time above 0 seconds")


OnReplies = Callable[[Sequence[tuple[ApiAsk, ApiReply]]], None]
# What answers requests: a model's name, the requests, and where replies go, each exactly once.
AskModel = Callable[[str, Sequence[ApiAsk], OnReplies], None]


def ask_model(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies, limits: Limits | None = None) -> None:
    """Ask the inspect_ai model `model` all of `asks`; `on_replies` gets every one exactly once, in lots as they come.

    A lot waits 0.02 s at most. No failure of a request is an exception: its reply is missing, with the reason. Raises
    ModelError when there is no such model or no key for it, and whatever `on_replies` raises. What came in before an
    exception or Ctrl-C is handed over first.
    """
    asyncio.run(ask_all(model, asks, on_replies, limits))


async def ask_all(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies, limits: Limits | None = None) -> None:
    """Do what `ask_model` does, inside a running event loop."""
    with _nothing_recorded():
        opened = _opened(model)
        pool = _Pool(opened, limits or Limits(), on_replies, deque(asks))
        try:
            await pool.run()
        finally:
            await opened.api.aclose()


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


@dataclass(slots=True)
class _Try:
    """A request under way, and what it has been through."""

    ask: ApiAsk
    since: float
    tries: int = 0
    failures: int = 0


@dataclass(slots=True)
class _Pool:
    """Workers, one per connection: each takes the request whose wait is over, else a fresh one."""

    model: Model
    limits: Limits
    on_replies: OnReplies
    fresh: deque[ApiAsk]
    waiting: list[tuple[float, int, _Try]] = field(default_factory=list)
    arrived: list[tuple[ApiAsk, ApiReply]] = field(default_factory=list)
    under_way: int = 0
    replied: bool = False
    refusals: int = 0
    hopeless: str | None = None
    order: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Work through all requests; hands over what has arrived even when it ends by an exception."""
        try:
            async with asyncio.TaskGroup() as group:
                hand_over = group.create_task(self._hand_over())
                count = min(self.limits.connections, len(self.fresh))
                await asyncio.gather(*(group.create_task(self._work()) for _ in range(count)))
                hand_over.cancel()
        except BaseExceptionGroup as found:
            raise found.exceptions[0] from None
        finally:
            self._deliver()

    async def _hand_over(self) -> None:
        while True:
            await asyncio.sleep(_LOT_SECONDS)
            self._deliver()

    def _deliver(self) -> None:
        if self.arrived:
            lot, self.arrived = self.arrived, []
            self.on_replies(lot)

    async def _work(self) -> None:
        while (turn := await self._next()) is not None:
            reply = ApiReply(None, missing=self.hopeless) if self.hopeless else await self._attempt(turn)
            if reply is not None:
                self.under_way -= 1
                self.replied = self.replied or reply.missing is None
                self.arrived.append((turn.ask, reply))

    async def _next(self) -> _Try | None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            if self.waiting and (self.waiting[0][0] <= now or self.hopeless):
                return heapq.heappop(self.waiting)[2]
            # Requests that wait hold back fresh ones: a server that allows few a minute is not asked ever more.
            if self.fresh and self.under_way < 2 * self.limits.connections:
                self.under_way += 1
                return _Try(self.fresh.popleft(), now)
            if not self.waiting:
                # Whatever is in flight goes on with the worker that sent it.
                return None
            await asyncio.sleep(self.waiting[0][0] - now)

    async def _attempt(self, turn: _Try) -> ApiReply | None:
        """Send one request; returns None when it is to be tried again."""
        try:
            async with asyncio.timeout(self.limits.attempt_seconds):
                output = await self.model.generate(_chat(turn.ask.messages), config=_config(turn.ask))
            return reply_of(output, turn.ask)
        except Exception as problem:
            return self._failed(turn, _root(problem))

    def _failed(self, turn: _Try, problem: BaseException) -> ApiReply | None:
        again, limited, asked_wait = self._verdict(problem)
        now = asyncio.get_running_loop().time()
        turn.tries += 1
        turn.failures += not limited
        if not again or turn.failures >= self.limits.attempts or (limited and now - turn.since > self.limits.patience):
            reason = reason_of(problem)
            self._count_refusal(problem, reason)
            return ApiReply(None, missing=reason)
        wait = min(self.limits.first_wait * 2 ** min(turn.tries - 1, 20), self.limits.longest_wait)
        # Spread over half the wait, so that requests that failed together do not come back together.
        wait *= random.Random(f"{turn.ask.key} {turn.tries}").uniform(0.75, 1.25)
        ready = now + max(wait, min(asked_wait or 0.0, self.limits.longest_wait))
        heapq.heappush(self.waiting, (ready, next(self.order), turn))
        return None

    def _verdict(self, problem: BaseException) -> tuple[bool, bool, float | None]:
        """Return whether to try again, whether the server limits the rate, and the seconds it asks to wait."""
        if isinstance(problem, TimeoutError):
            return True, False, None
        # A reply that cannot be read has been paid for, and the next one is seldom better.
        final = not isinstance(problem, Exception) or reason_of(problem) == MALFORMED
        if final or not self.model.should_retry(problem):
            return False, False, None
        decision = self.model.api.should_retry(problem)
        return True, getattr(decision, "kind", "") == "rate_limit", getattr(decision, "retry_after", None)

    def _count_refusal(self, problem: BaseException, reason: str) -> None:
        if _status(problem) in _HOPELESS and not self.replied:
            self.refusals += 1
            if self.refusals >= _REFUSALS:
                self.hopeless = reason


def reason_of(problem: BaseException) -> str:
    """Return why a request failed, in words that hold nothing the server wrote: it may repeat the key it was sent."""
    status = _status(problem)
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


def _status(problem: BaseException) -> int | None:
    status = getattr(problem, "status_code", None)
    # A reply that came with 200 and could not be read carries that number too.
    return status if isinstance(status, int) and status >= 400 else None


def _root(problem: BaseException) -> BaseException:
    """Return what stands behind inspect_ai's record of attempts."""
    last = getattr(problem, "last_attempt", None)
    return (last.exception() or problem) if last is not None else problem


def _chat(messages: Sequence[Message]) -> list[Any]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[m.role](content=m.content) for m in messages]


def _config(ask: ApiAsk) -> GenerateConfig:
    from inspect_ai.model import GenerateConfig

    return GenerateConfig(
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        logprobs=True if ask.top_logprobs is not None else None,
        top_logprobs=ask.top_logprobs,
        seed=ask.seed,
        max_retries=0,
        max_connections=_CEILING,
    )


def _opened(name: str) -> Model:
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    # The OpenAI client would wait and try again by itself, holding the connection.
    once = {"max_retries": 0} if name.startswith(("openai/", "openai-api/")) else {}
    try:
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
def _nothing_recorded() -> Iterator[None]:
    """Keep inspect_ai from collecting every exchange in memory and its warnings (server text in them) off stderr."""
    from inspect_ai.model._model import use_model_event_sink

    logger, silent = logging.getLogger("inspect_ai"), logging.NullHandler()
    logger.addHandler(silent)
    try:
        with use_model_event_sink(_Forget()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
            yield
    finally:
        logger.removeHandler(silent)


class _Forget:
    """A recipient of inspect_ai's events that keeps none."""

    def on_pending(self, event: object) -> None:
        """Drop the event of a request that starts."""

    def on_complete(self, event: object) -> None:
        """Drop the event of a request that ended."""
