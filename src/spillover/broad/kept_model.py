"""An Inspect model whose outputs are kept in a run folder: what a killed run has asked already is not asked again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from spillover.conversation import fingerprint
from spillover.evaluate.api import EMPTY, ApiAsk, cause_of, reason_of, reply_of
from spillover.run_folder import RunFolder

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model, ModelOutput

OUTPUTS = "benchmark outputs"
# Outputs wait this long to be written together.
_LOT_SECONDS = 0.02
# Settings that do not change what is drawn.
_ABOUT_SENDING = frozenset(
    ("max_retries", "timeout", "attempt_timeout", "max_connections", "adaptive_connections", "batch", "cache")
)
Place = tuple[str, str, int]
_PLACE: ContextVar[Place | None] = ContextVar("_PLACE", default=None)
_PLAIN = ApiAsk("", (), 0)


@dataclass(slots=True)
class Failures:
    """What went wrong by place (benchmark, sample, epoch), in words that hold nothing a server wrote.

    `raised`: why each request that has not succeeded since failed, the last one last, which matters where the sample
    ended in an error; `stood_in`: why a reply was not what the model said.
    """

    raised: dict[Place, dict[str, str]] = field(default_factory=dict)
    stood_in: dict[Place, str] = field(default_factory=dict)

    def failed(self, place: Place, request: str, reason: str) -> None:
        """Note why a request failed."""
        before = self.raised.setdefault(place, {})
        before.pop(request, None)
        before[request] = reason

    def succeeded(self, place: Place, request: str) -> None:
        """Forget that a request failed before."""
        self.raised.get(place, {}).pop(request, None)

    def reason(self, place: Place) -> str | None:
        """Return why a request failed last and for good, None where none did."""
        return next(reversed(self.raised.get(place, {}).values()), None)


def keep_outputs(model: Model, run: RunFolder, identity: str, seed: int | None, failures: Failures) -> Model:
    """Return `model`, its outputs from now on taken from `run` where they are there, else asked for and put there.

    An output is filed under `identity` (the model's name, and its weights where it is local), the prompt, the settings,
    the sample and epoch in which it is asked for, and how often the same was asked there before. With a `seed` each
    request without one gets its own, which follows from `seed` and that key. What failed and what was stopped by a
    filter, lost or too long for the model is not kept; the reason is put into `failures`. A model that was given
    before is as one opened anew.
    """
    before = getattr(model.api.generate, "__self__", None)
    generate = before.inner if isinstance(before, _Keeper) else model.api.generate
    keeper = _Keeper(generate, run, identity, seed, failures)
    # On this instance only: everything else that inspect_ai asks of a provider stays the provider's own.
    setattr(model.api, "generate", keeper.generate)  # noqa: B010
    return model


@dataclass(slots=True)
class _Uses:
    """Numbers of equal requests in one sample; the number of one that failed is given to the next."""

    next: int = 0
    freed: list[int] = field(default_factory=list)

    def take(self) -> int:
        if self.freed:
            return heapq.heappop(self.freed)
        self.next += 1
        return self.next - 1


@dataclass(slots=True)
class _Keeper:
    inner: Callable[..., Any]
    run: RunFolder
    identity: str
    seed: int | None
    failures: Failures
    uses: dict[str, _Uses] = field(default_factory=dict)
    arrived: list[tuple[str, Any]] = field(default_factory=list)

    async def generate(self, input: list[Any], tools: list[Any], tool_choice: Any, config: GenerateConfig) -> Any:
        from inspect_ai.model import ModelOutput

        asked = _asked(self.identity, input, tools, tool_choice, config)
        uses = self.uses.setdefault(asked, _Uses())
        use = uses.take()
        key = fingerprint([asked, self.seed, use])
        try:
            row = self.run.get(OUTPUTS, key)
            if row is not None:
                return ModelOutput.model_validate(row)
            if self.seed is not None and config.seed is None:
                # 31 bits: some servers take no larger one.
                config = config.model_copy(update={"seed": int(key, 16) >> 33})
            result = await self.inner(input=input, tools=tools, tool_choice=tool_choice, config=config)
        except BaseException as problem:
            heapq.heappush(uses.freed, use)
            if (place := _place()) is not None and isinstance(problem, Exception):
                self.failures.failed(place, key, reason_of(cause_of(problem)))
            raise
        output = result[0] if isinstance(result, tuple) else result
        if isinstance(output, ModelOutput):
            if (place := _place()) is not None:
                self.failures.succeeded(place, key)
            why = _stands_in(output)
            if why is None:
                await self._keep(key, output)
            elif place is not None:
                self.failures.stood_in[place] = why
        return result

    async def _keep(self, key: str, output: ModelOutput) -> None:
        self.arrived.append((key, output.model_dump(mode="json", exclude_none=True)))
        try:
            await anyio.sleep(_LOT_SECONDS)
        finally:
            lot, self.arrived = self.arrived, []
            # Empty where another request of this lot has written it.
            if lot:
                self.run.put(OUTPUTS, lot)


@contextmanager
def at_place(place: Place) -> Iterator[None]:
    """Say which benchmark, sample and epoch requests belong to where no evaluation of Inspect runs that knows it."""
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def _place() -> Place | None:
    """Return the benchmark, sample and epoch that is being worked on."""
    from inspect_ai.log._samples import sample_active

    if (place := _PLACE.get()) is not None:
        return place
    active = sample_active()
    return None if active is None else (str(active.task), str(active.sample.id), active.epoch)


def _asked(identity: str, input: list[Any], tools: list[Any], tool_choice: Any, config: GenerateConfig) -> str:
    place = _place() or ("", "", 0)
    turns = [m.model_dump(mode="json", include={"role", "content", "tool_calls", "function"}) for m in input]
    settings = config.model_dump(mode="json", exclude_none=True, exclude=set(_ABOUT_SENDING))
    # Sorted: AgentHarm shuffles them anew in each run.
    called = sorted(t.name for t in tools)
    return fingerprint([identity, place, turns, called, str(tool_choice) if called else "", settings])


def _stands_in(output: ModelOutput) -> str | None:
    """Return why this is not what the model said, None where it is: an empty text is, and a call of tools."""
    reason = reply_of(output, _PLAIN).missing
    return None if reason in (None, EMPTY) else reason
