"""Many requests to one model at a time, tried again where that may help: each ends in a reply or a reason.

Waits between tries are kept here and not in inspect_ai, which holds a connection through its waits: with a few failures
in a hundred that alone leaves a quarter of the connections idle.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from spillover.errors import SettingsError
from spillover.evaluate.api import (
    CEILING,
    HOPELESS,
    MALFORMED,
    ApiAsk,
    ApiReply,
    OnReplies,
    cause_of,
    nothing_recorded,
    open_model,
    reason_of,
    send,
    status_of,
)

if TYPE_CHECKING:
    from inspect_ai.model import Model

T = TypeVar("T")
# Replies wait this long to be handed over together: one write for all of them.
_LOT_SECONDS = 0.02
# After this many hopeless failures in a row, before any reply, the rest is not sent.
_REFUSALS = 10


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
        if not 1 <= self.connections <= CEILING:
            raise SettingsError(f"connections is {self.connections}: give 1 to {CEILING}")
        if self.attempts < 1 or self.attempt_seconds <= 0:
            raise SettingsError("a request needs at least 1 attempt and a time above 0 seconds")


def ask_model(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies, limits: Limits | None = None) -> None:
    """Ask the inspect_ai model `model` all of `asks`; `on_replies` gets every one exactly once, in lots as they come.

    A lot waits 0.02 s at most. No failure of a request is an exception: its reply is missing, with the reason. Raises
    ModelError when there is no such model or no key for it, and whatever `on_replies` raises. What came in before an
    exception or Ctrl-C is handed over first.
    """
    asyncio.run(ask_all(model, asks, on_replies, limits))


async def ask_all(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies, limits: Limits | None = None) -> None:
    """Do what `ask_model` does, inside a running event loop."""
    with nothing_recorded():
        opened = open_model(model)
        pool = _Pool(opened, Retries(opened, limits or Limits()), on_replies, deque(asks))
        try:
            await pool.run()
        finally:
            await opened.api.aclose()


@dataclass(slots=True)
class Turn:
    """What a request has been through; `key` spreads its waits, `since` is the loop's time when it was first sent."""

    key: str
    since: float
    tries: int = 0
    failures: int = 0


@dataclass(slots=True)
class Retries:
    """Which failed requests to one model are tried again and when; `hopeless` says why nothing more is worth sending.

    Whoever sends sets `replied` once the model has answered.
    """

    model: Model
    limits: Limits
    replied: bool = False
    hopeless: str | None = None
    refusals: int = 0

    def failed(self, turn: Turn, problem: BaseException) -> float | str:
        """Return the seconds until the request is to be sent again, or the reason why it is given up."""
        again, limited, asked_wait = self._verdict(problem)
        turn.tries += 1
        turn.failures += not limited
        waited = asyncio.get_running_loop().time() - turn.since
        if not again or turn.failures >= self.limits.attempts or (limited and waited > self.limits.patience):
            reason = reason_of(problem)
            self._count_refusal(problem, reason)
            return reason
        wait: float = min(self.limits.first_wait * 2 ** min(turn.tries - 1, 20), self.limits.longest_wait)
        # Spread over half the wait, so that requests that failed together do not come back together.
        wait *= random.Random(f"{turn.key} {turn.tries}").uniform(0.75, 1.25)
        return max(wait, min(asked_wait or 0.0, self.limits.longest_wait))

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
        if status_of(problem) in HOPELESS and not self.replied:
            self.refusals += 1
            if self.refusals >= _REFUSALS:
                self.hopeless = reason


async def ask_until(
    retries: Retries, places: asyncio.Semaphore, key: str, send: Callable[[], Awaitable[T]]
) -> tuple[T | None, str | None]:
    """Return what `send` gives, or None and the reason why it was given up; a place is held only while it is tried."""
    turn = Turn(key, asyncio.get_running_loop().time())
    while True:
        async with places:
            # Others may have been refused for good while this one waited.
            if retries.hopeless:
                return None, retries.hopeless
            try:
                async with asyncio.timeout(retries.limits.attempt_seconds):
                    found = await send()
                retries.replied = True
                return found, None
            except Exception as problem:
                wait = retries.failed(turn, cause_of(problem))
        if isinstance(wait, str):
            return None, wait
        await asyncio.sleep(wait)


@dataclass(slots=True)
class _Pool:
    """Workers, one per connection: each takes the request whose wait is over, else a fresh one."""

    model: Model
    retries: Retries
    on_replies: OnReplies
    fresh: deque[ApiAsk]
    waiting: list[tuple[float, int, ApiAsk, Turn]] = field(default_factory=list)
    arrived: list[tuple[ApiAsk, ApiReply]] = field(default_factory=list)
    under_way: int = 0
    order: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Work through all requests; hands over what has arrived even when it ends by an exception."""
        try:
            async with asyncio.TaskGroup() as group:
                hand_over = group.create_task(self._hand_over())
                count = min(self.retries.limits.connections, len(self.fresh))
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
        retries = self.retries
        while (found := await self._next()) is not None:
            ask, turn = found
            reply = ApiReply(None, missing=retries.hopeless) if retries.hopeless else await self._attempt(ask, turn)
            if reply is not None:
                self.under_way -= 1
                retries.replied = retries.replied or reply.missing is None
                self.arrived.append((ask, reply))

    async def _next(self) -> tuple[ApiAsk, Turn] | None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            if self.waiting and (self.waiting[0][0] <= now or self.retries.hopeless):
                return heapq.heappop(self.waiting)[2:]
            # Requests that wait hold back fresh ones: a server that allows few a minute is not asked ever more.
            if self.fresh and self.under_way < 2 * self.retries.limits.connections:
                self.under_way += 1
                ask = self.fresh.popleft()
                return ask, Turn(ask.key, now)
            if not self.waiting:
                # Whatever is in flight goes on with the worker that sent it.
                return None
            await asyncio.sleep(self.waiting[0][0] - now)

    async def _attempt(self, ask: ApiAsk, turn: Turn) -> ApiReply | None:
        """Send one request; returns None when it is to be tried again."""
        try:
            async with asyncio.timeout(self.retries.limits.attempt_seconds):
                return await send(self.model, ask)
        except Exception as problem:
            wait = self.retries.failed(turn, cause_of(problem))
            if isinstance(wait, str):
                return ApiReply(None, missing=wait)
            ready = asyncio.get_running_loop().time() + wait
            heapq.heappush(self.waiting, (ready, next(self.order), ask, turn))
            return None
