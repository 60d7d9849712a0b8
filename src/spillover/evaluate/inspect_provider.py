"""Local models as an inspect_ai model provider: `--model spillover/bundled` or `spillover//path/to/model`.

Requests that come at the same time are drawn together by our sampler, in one thread: a batch waits until no more come
for a moment, and those that come while it is drawn make up the next one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    TopLogprob,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from spillover.conversation import Message, fingerprint
from spillover.errors import SpilloverError
from spillover.evaluate.inspect_messages import turns
from spillover.local import weights
from spillover.local.loading import LoadedModel, load
from spillover.local.sampling import Ask, Sampled, Sampling
from spillover.model import ModelRef

# A batch is drawn when nothing came for three such moments, or after the longest wait: inspect_ai takes about 0.03 s to
# start a sample, and a batch of a few costs nearly as much as one of many.
_GATHER_SECONDS = 0.05
_QUIET_MOMENTS = 3
_LONGEST_GATHER = 10.0
_MAX_TOKENS = 1000
# Answers drawn side by side; the sampler itself keeps to the memory there is.
_CONNECTIONS = 256
_PREFILL_TOKENS = 2048
# Two torch threads on the same cores slow each other manifold, so the models of a process take turns.
_ONE_AT_A_TIME = threading.Lock()

Tops = tuple[tuple[str, float], ...]


@dataclass(slots=True, eq=False)
class _Request:
    """One call of generate and, once it is drawn, its answer or what went wrong."""

    prompt: tuple[Message, ...]
    seed: int
    how: Sampling
    stops: tuple[str, ...] = ()
    tops: int = 0
    output: ModelOutput | None = None
    problem: Exception | None = None

    @property
    def done(self) -> bool:
        return self.output is not None or self.problem is not None


class LocalModel(ModelAPI):  # type: ignore[misc]
    """One local model; `-M adapter=FOLDER` puts a LoRA adapter on it.

    Temperature, top_p, top_k, max_tokens, stop sequences and seed count. Without a seed the answers to one prompt get
    different ones that follow from the prompt and how often it was asked. Log-probabilities are given for the one token
    of a request with temperature 0 and max_tokens 1, as judges ask for it. There are no tools.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - inspect_ai's own signature
        adapter: str | None = None,
        **model_args: Any,
    ) -> None:
        """Find the model; it is loaded when first asked. Raises PrerequisiteError where it is not there."""
        super().__init__(model_name, base_url, api_key, [], config)
        if model_args:
            names = ", ".join(model_args)
            raise PrerequisiteError(f"spillover: local models take no -M {names}: there is only -M adapter=FOLDER")
        base, plus, behind = model_name.partition("+")
        self.ref = ModelRef(base.removeprefix("hub:"), adapter or (behind if plus else None))
        try:
            weights.check_adapter(self.ref, weights.locate(self.ref.base))
        except SpilloverError as problem:
            raise PrerequisiteError(f"spillover: {problem}") from None
        if config.adaptive_connections is None:
            # The model's own settings are this object: else inspect_ai begins with 20 requests at once and feels its
            # way up, as with a server, and batches stay small.
            config.adaptive_connections = False
        self._loaded: list[LoadedModel] = []
        self._waiting: list[_Request] = []
        self._asked: Counter[str] = Counter()
        self._turn = anyio.Lock()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Draw one answer; raises ModelError for turns that are not text and where the model cannot be loaded."""
        if tools or (config.num_choices or 1) > 1:
            raise PrerequisiteError("spillover: local models have no tools and give one choice: use --epochs for more")
        request = self._request(turns(input), config)
        self._waiting.append(request)
        try:
            while not request.done:
                # Whoever gets the turn draws for all that wait; the others then find their answers there.
                async with self._turn:
                    if request in self._waiting:
                        await self._gather()
                        await anyio.to_thread.run_sync(self._draw, self._next_batch())
                if not request.done:
                    # Drawn by one that gave up waiting for the thread, or behind a batch of another kind.
                    await anyio.sleep(_GATHER_SECONDS)
        finally:
            if request in self._waiting:
                self._waiting.remove(request)
        if request.problem is not None:
            raise request.problem
        assert request.output is not None
        return request.output

    def max_tokens(self) -> int | None:
        """Longest answer where none is asked for."""
        return _MAX_TOKENS

    def max_connections(self) -> int:
        """Requests under way at once, and so the largest batch."""
        return _CONNECTIONS

    def connection_key(self) -> str:
        """Each model has connections of its own."""
        return f"{self.ref.base}+{self.ref.adapter or ''}"

    def close(self) -> None:
        """Let go of the weights."""
        self._loaded.clear()

    def _request(self, prompt: tuple[Message, ...], config: GenerateConfig) -> _Request:
        temperature = 1.0 if config.temperature is None else config.temperature
        top_p = 1.0 if config.top_p is None else config.top_p
        how = Sampling(config.max_tokens or _MAX_TOKENS, temperature, top_p, config.top_k or 0)
        seed = config.seed
        if seed is None:
            key = fingerprint([m.as_dict() for m in prompt])
            seed = int(fingerprint([key, self._asked[key]]), 16) >> 33
            self._asked[key] += 1
        judged = bool(config.logprobs) and how.max_tokens == 1 and temperature == 0
        return _Request(prompt, seed, how, tuple(config.stop_seqs or ()), (config.top_logprobs or 1) if judged else 0)

    async def _gather(self) -> None:
        """Wait until no more requests come."""
        start, seen, quiet = time.monotonic(), 0, 0
        while quiet < _QUIET_MOMENTS and len(self._waiting) < _CONNECTIONS:
            if time.monotonic() - start > _LONGEST_GATHER:
                return
            quiet = quiet + 1 if len(self._waiting) == seen else 0
            seen = len(self._waiting)
            await anyio.sleep(_GATHER_SECONDS)

    def _next_batch(self) -> list[_Request]:
        """Take, of the requests that wait, the first and all that are drawn in the same way."""
        first = self._waiting[0]
        batch = [r for r in self._waiting if (r.how, r.tops) == (first.how, first.tops)]
        self._waiting = [r for r in self._waiting if r not in batch]
        return batch

    def _draw(self, batch: Sequence[_Request]) -> None:
        """Fill in the requests' answers; what goes wrong is theirs and no one else's."""
        try:
            with _ONE_AT_A_TIME:
                if not self._loaded:
                    self._loaded.append(load(self.ref))
                self._answer(self._loaded[0], batch)
        except Exception as problem:
            for request in batch:
                if not request.done:
                    request.problem = problem

    def _answer(self, model: LoadedModel, batch: Sequence[_Request]) -> None:
        start = time.monotonic()
        lengths = [len(model.template.prompt(r.prompt)) for r in batch]
        groups: dict[int, dict[tuple[Message, ...], list[_Request]]] = {}
        for request, length in zip(batch, lengths, strict=True):
            room = min(request.how.max_tokens, model.context - length)
            if room < 1:
                request.output = ModelOutput.from_content(self.model_name, "", stop_reason="model_length")
            else:
                groups.setdefault(room, {}).setdefault(request.prompt, []).append(request)
        length_of = {id(r): n for r, n in zip(batch, lengths, strict=True)}
        for room, prompts in groups.items():
            first = next(iter(prompts.values()))[0].how
            how = Sampling(room, first.temperature, first.top_p, first.top_k)
            tops = _tops(model, list(prompts), batch[0].tops) if batch[0].tops else [()] * len(prompts)
            drawn = model.sample([Ask(p, tuple(r.seed for r in rs)) for p, rs in prompts.items()], how)
            for requests, rows, likely in zip(prompts.values(), drawn, tops, strict=True):
                for request, row in zip(requests, rows, strict=True):
                    seconds = time.monotonic() - start
                    request.output = self._output(request, row, likely, length_of[id(request)], seconds)

    def _output(self, request: _Request, row: Sampled, tops: Tops, length: int, seconds: float) -> ModelOutput:
        text, ended = _cut(row, request.stops)
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=text, model=self.model_name, source="generate"),
            stop_reason="stop" if ended else "max_tokens",
            logprobs=_logprobs(tops) if tops else None,
        )
        # The end mark is drawn like any token.
        out = row.tokens + row.ended
        usage = ModelUsage(input_tokens=length, output_tokens=out, total_tokens=length + out)
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage, time=seconds)


def _cut(row: Sampled, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text up to the first stop sequence, and whether the answer ended there or by itself."""
    found = [place for stop in stops if stop and (place := row.text.find(stop)) >= 0]
    return (row.text[: min(found)], True) if found else (row.text, row.ended)


def _tops(model: LoadedModel, prompts: Sequence[tuple[Message, ...]], count: int) -> list[Tops]:
    """Return, per prompt, the `count` likeliest first tokens with their log-probabilities (nats)."""
    import torch

    from spillover.local.branching import Branching, common_prefix, forward, head
    from spillover.local.scoring import batches_by_length

    rows = [Branching(model.template.prompt(p)) for p in prompts]
    decode, found = model.template.tokenizer.decode, {}
    with torch.inference_mode():
        for batch in batches_by_length(rows, _PREFILL_TOKENS):
            picked = [rows[i] for i in batch]
            past, hidden = len(common_prefix(picked)), forward(model.model, picked)
            for place, index in enumerate(batch):
                last = hidden[place, len(rows[index]) - 1 - past]
                values, ids = head(model.model, last).log_softmax(-1).topk(count)
                pairs = zip(ids.tolist(), values.tolist(), strict=True)
                found[index] = tuple((decode([token]), value) for token, value in pairs)
    return [found[index] for index in range(len(rows))]


def _logprobs(tops: Tops) -> Logprobs:
    token, value = tops[0]
    listed = [TopLogprob(token=t, logprob=v) for t, v in tops]
    return Logprobs(content=[Logprob(token=token, logprob=value, top_logprobs=listed)])
