"""Requests to one model through its provider's batches: about half the price, and replies within a day.

inspect_ai makes the batches and looks after them. Left alone it waits for ever where a batch cannot be made or a reply
is left out, and one refused request spoils its whole batch. So each batch has a model object of its own here, the task
that looks after it is watched, and results are read one by one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from spillover.errors import SettingsError
from spillover.evaluate.api import (
    HOPELESS,
    NOT_UNICODE,
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

REJECTED = "batch refused or ended early"
NO_RESULT = "no reply in the batch's results"
# The providers whose batches have been tried with these classes.
_PROVIDERS = ("openai", "anthropic")
_ENDED = ("completed", "cancelled", "expired")
_PASSING = (408, 409, 429)
# Providers take 200 MB or more; this is counted before the fields around the text are added.
_LARGEST = 100_000_000
# A batch goes out when all its requests are there, or after this, where one fails before it gets there, seconds.
_GATHERING = 60.0
# Before each further try to fetch the results of a batch that has ended, seconds.
_DOWNLOAD_WAITS = (1.0, 5.0, 20.0)
# How long requests have to take over what the task that looked after them left behind, seconds.
_TAKE_OVER = 1.0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Requests per batch, batches under way at once, tries of one request; times in seconds.

    What failed in passing is asked again in a further batch, after a wait that grows fourfold each time. A batch is
    given up after `longest`: providers promise an end within a day. Raises SettingsError for numbers that cannot work.
    """

    size: int = 1000
    under_way: int = 20
    attempts: int = 4
    first_wait: float = 30.0
    poll: float = 15.0
    longest: float = 26 * 3600.0

    def __post_init__(self) -> None:
        if min(self.size, self.under_way, self.attempts) < 1 or min(self.poll, self.longest) <= 0:
            raise SettingsError("batches need a size, a number under way and tries of at least 1, and times above 0 s")


def open_batching(name: str) -> Model:
    """Return the inspect_ai model `name`; raises SettingsError where it has no batches, ModelError as `open_model`."""
    opened = open_model(name)
    # Others take the setting and send every request by itself.
    if str(opened).partition("/")[0] not in _PROVIDERS:
        raise SettingsError(
            f"the model {name!r} cannot be asked in batches: only openai/... and anthropic/... can, and no compatible "
            "server (openai-api/..., or an unknown name behind OPENAI_BASE_URL). Leave --batch out"
        )
    return opened


def ask_in_batches(
    model: str, asks: Sequence[ApiAsk], on_replies: OnReplies, limits: BatchLimits | None = None
) -> None:
    """Ask the inspect_ai model `model` all of `asks`; `on_replies` gets every one exactly once, a batch at a time.

    No failure of a request or batch is an exception: its replies are missing, with the reason. A run that is killed
    loses the batches under way, which the provider still answers and charges. Raises what `open_batching` and
    `on_replies` raise.
    """
    asyncio.run(_ask_all(model, asks, on_replies, limits or BatchLimits()))


async def _ask_all(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies, limits: BatchLimits) -> None:
    with nothing_recorded(), _one_by_one():
        # Refused here, before any task is there to wrap the error.
        await open_batching(model).api.aclose()
        batches = _Batches(model, limits, on_replies, asyncio.Semaphore(limits.under_way))
        try:
            async with asyncio.TaskGroup() as group:
                for lot in _lots(asks, limits.size):
                    group.create_task(batches.work_through(lot))
        except BaseExceptionGroup as found:
            raise found.exceptions[0] from None


@dataclass(slots=True)
class _Batches:
    model: str
    limits: BatchLimits
    on_replies: OnReplies
    room: asyncio.Semaphore
    replied: bool = False
    hopeless: str | None = None

    async def work_through(self, lot: Sequence[ApiAsk]) -> None:
        """Ask one batch of requests, and what failed in passing again."""
        left = [ask for ask in lot if _is_unicode(ask)]
        self._deliver([(ask, ApiReply(None, missing=NOT_UNICODE)) for ask in lot if not _is_unicode(ask)])
        async with self.room:
            for attempt in range(self.limits.attempts):
                if not left:
                    return
                if self.hopeless:
                    self._deliver([(ask, ApiReply(None, missing=self.hopeless)) for ask in left])
                    return
                if attempt:
                    await asyncio.sleep(self.limits.first_wait * 4 ** (attempt - 1))
                results = await self._batch(left)
                last = attempt + 1 == self.limits.attempts
                again = [a for a, r in zip(left, results, strict=True) if isinstance(r, _Passing) and not last]
                self._deliver(
                    [
                        (a, r.reply if isinstance(r, _Passing) else r)
                        for a, r in zip(left, results, strict=True)
                        if last or not isinstance(r, _Passing)
                    ]
                )
                left = again

    async def _batch(self, asks: Sequence[ApiAsk]) -> list[ApiReply | _Passing]:
        """Send one batch and wait for its end; returns one result per request."""
        from inspect_ai._util.background import set_background_task_group
        from inspect_ai.model import BatchConfig

        opened = open_batching(self.model)
        watch = _Watch()
        config = BatchConfig(size=len(asks), send_delay=_GATHERING, tick=self.limits.poll)
        set_background_task_group(watch)
        tasks = [asyncio.create_task(send(opened, ask, config)) for ask in asks]
        try:
            trouble = await watch.end_of(tasks, self.limits)
        finally:
            await _cancel([*tasks, *watch.workers])
            await opened.api.aclose()
        # One good reply shows that key and model are right, wherever it stands.
        self.replied |= any(not task.cancelled() and task.exception() is None for task in tasks)
        return [self._result(opened, task, trouble) for task in tasks]

    def _result(self, opened: Model, task: asyncio.Task[ApiReply], trouble: BaseException) -> ApiReply | _Passing:
        problem = trouble if task.cancelled() else task.exception()
        if problem is None:
            return task.result()
        problem = cause_of(problem)
        status, reply = status_of(problem), ApiReply(None, missing=_reason(problem))
        if status in HOPELESS and not self.replied:
            self.hopeless = reply.missing
        if status is not None:
            passes = status in _PASSING or status >= 500
        else:
            passes = not isinstance(problem, TimeoutError) and bool(opened.should_retry(problem))
        return _Passing(reply) if passes else reply

    def _deliver(self, lot: Sequence[tuple[ApiAsk, ApiReply]]) -> None:
        if lot:
            self.on_replies(lot)


@dataclass(frozen=True, slots=True)
class _Passing:
    """A failure that may pass, and what is said of the request if it does not."""

    reply: ApiReply


@dataclass(slots=True)
class _Watch:
    """What inspect_ai starts its tasks in, in place of a task group: it sees them fail."""

    workers: list[asyncio.Task[None]] = field(default_factory=list)

    def start_soon(self, work: Callable[..., Coroutine[Any, Any, None]], *given: object) -> None:
        """Start a task and keep it."""
        self.workers.append(asyncio.create_task(work(*given)))

    async def end_of(self, tasks: Sequence[asyncio.Task[ApiReply]], limits: BatchLimits) -> BaseException:
        """Wait until all `tasks` are done or cannot be any more; returns why those are not done that are not."""
        whole: asyncio.Task[object] = asyncio.create_task(asyncio.wait(tasks))
        try:
            async with asyncio.timeout(limits.longest):
                while not whole.done():
                    for worker in self.workers:
                        if worker.done() and (problem := worker.exception()) is not None:
                            await asyncio.wait({whole}, timeout=_TAKE_OVER)
                            return problem if status_of(problem) is not None else RuntimeError("refused")
                    active = {worker for worker in self.workers if not worker.done()}
                    await asyncio.wait({whole, *active}, timeout=limits.poll, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as problem:
            return problem
        finally:
            whole.cancel()
        return _NoResult()


class _NoResult(Exception):
    """The batch ended and had nothing for a request."""


@contextmanager
def _one_by_one() -> Iterator[None]:
    """Let inspect_ai read results one by one, give each request something, and print nothing."""
    from inspect_ai.model._providers._openai_batch import OpenAIBatcher
    from inspect_ai.model._providers.util.batch import Batcher
    from inspect_ai.model._providers.util.batch_log import set_batch_log_callback
    from inspect_ai.model._providers.util.file_batcher import FileBatcher

    hand_out = Batcher._resolve_inflight_batch

    async def to_each(batcher: Any, batch: Any, results: dict[str, Any]) -> None:
        await hand_out(batcher, batch, {key: results.get(key, _NoResult()) for key in batch.requests})

    def ended(batcher: Any, told: Any) -> Any:
        # Without a file it would be looked at again for ever.
        nothing = told.status in _ENDED and not (told.output_file_id or told.error_file_id)
        return told.model_copy(update={"status": "failed"}) if nothing else told

    set_batch_log_callback(lambda message: None)
    try:
        with (
            patch.object(OpenAIBatcher, "_adapt_batch_info", ended),
            patch.object(Batcher, "_resolve_inflight_batch", to_each),
            patch.object(FileBatcher, "_parse_result_file", _read_results),
        ):
            yield
    finally:
        set_batch_log_callback(None)


async def _read_results(batcher: Any, name: str) -> dict[str, Any]:
    """Read a result file of OpenAI's; a line that is no result is left out, so that its request has none."""
    found: dict[str, Any] = {}
    for line in (await _downloaded(batcher, name)).split(b"\n"):
        try:
            row = json.loads(line)
            key = row["custom_id"]
        except (ValueError, TypeError, LookupError, RecursionError):
            continue
        if isinstance(key, str):
            try:
                failed = _failure(batcher, row)
                found[key] = batcher._parse_jsonl_line(row)[1] if failed is None else failed
            except Exception as problem:
                found[key] = problem
    return found


async def _downloaded(batcher: Any, name: str) -> bytes:
    """Fetch a result file, several times if need be: what is in it is paid for."""
    for wait in (*_DOWNLOAD_WAITS, None):
        try:
            content: bytes = await batcher._download_result_file(name)
            return content
        except Exception:
            if wait is None:
                raise
            await asyncio.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _failure(batcher: Any, row: dict[str, Any]) -> Exception | None:
    """Return the failure that a line of results tells of, as the client library would have raised it."""
    response, error = row.get("response") or {}, row.get("error")
    status = response.get("status_code")
    if isinstance(status, int) and status >= 400:
        told = SimpleNamespace(status_code=status, headers={}, request=None)
        made: Exception = batcher._openai_client._make_status_error("refused", body=response.get("body"), response=told)
        return made
    if error is None:
        return None
    return TimeoutError() if "expired" in str(error.get("code")) else RuntimeError("refused")


def _reason(problem: BaseException) -> str:
    if isinstance(problem, _NoResult):
        return NO_RESULT
    return REJECTED if type(problem) is RuntimeError else reason_of(problem)


def _lots(asks: Sequence[ApiAsk], size: int) -> Iterator[list[ApiAsk]]:
    """Cut the requests into batches by number and by bytes, in order."""
    lot: list[ApiAsk] = []
    held = 0
    for ask in asks:
        weight = len(json.dumps([m.content for m in ask.messages]))
        if lot and (len(lot) == size or held + weight > _LARGEST):
            yield lot
            lot, held = [], 0
        lot.append(ask)
        held += weight
    if lot:
        yield lot


def _is_unicode(ask: ApiAsk) -> bool:
    try:
        "".join(m.content for m in ask.messages).encode()
    except UnicodeEncodeError:
        return False
    return True


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
