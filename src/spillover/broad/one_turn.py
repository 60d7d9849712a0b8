"""StrongREJECT past Inspect's loop: one answer and one judgement per request, as fast as the connections allow.

Inspect spends 30 ms of processor time on each sample (transcripts, hooks, its log written, read and written again),
which at 30 connections is more than the requests take. So it makes the log's head only; samples and scores are put in
here, in its format.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spillover.broad.kept_model import Failures, at_place
from spillover.broad.strong_reject import SCORER, score_answer
from spillover.evaluate.api import ApiAsk, ApiReply, nothing_recorded, reply_of
from spillover.evaluate.inspect_grader import config_of
from spillover.evaluate.inspect_messages import chat
from spillover.evaluate.request_pool import Limits, Retries, ask_until

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.log import EvalLog, EvalResults, EvalSample
    from inspect_ai.model import GenerateConfig, Model, ModelOutput, ModelUsage

# The benchmarks that need no more than this: one epoch, a request as it is, the rubric's score.
ONE_TURN = frozenset({"strong_reject"})
_NO_LIMIT = 1e9


@dataclass(slots=True)
class Asked:
    """An open model whose outputs are kept, how it may be asked, and whether it is closed when all is asked."""

    model: Model
    limits: Limits
    closes: bool
    retries: Retries = field(init=False)
    places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.retries = Retries(self.model, self.limits)
        self.places = asyncio.Semaphore(self.limits.connections)

    async def output(
        self, key: str, turns: Sequence[Any], config: GenerateConfig
    ) -> tuple[ModelOutput | None, str | None]:
        """Return the model's output, or None and the reason why there is none."""
        from inspect_ai.model._model import collapse_consecutive_messages_for_api

        config = self.model.config.merge(config)
        asked = collapse_consecutive_messages_for_api(list(turns), self.model.api)

        async def send() -> ModelOutput:
            found = await self.model.api.generate(asked, [], "none", config)
            output = found[0] if isinstance(found, tuple) else found
            if isinstance(output, Exception):
                raise output
            return output

        return await ask_until(self.retries, self.places, key, send)


def asked_locally(model: Model) -> Asked:
    """Return a local model: it draws what waits in turns, each as long as it takes, and its owner closes it."""
    return Asked(model, Limits(model.api.max_connections(), attempts=1, attempt_seconds=_NO_LIMIT), closes=False)


def answer_and_judge(
    head: EvalLog, samples: Sequence[Sample], config: GenerateConfig, model: Asked, judge: Asked, failures: Failures
) -> EvalLog:
    """Return Inspect's log `head` filled in: every sample answered by `model` and scored by `judge`, as each comes.

    An answer that failed is an error of its sample, its reason in `failures`; a judgement that failed is a score
    without a value. Raises KeyboardInterrupt at Ctrl-C; what had come by then is kept.
    """

    async def all_of_them() -> list[EvalSample]:
        with nothing_recorded():
            try:
                work = (_scored(head.eval.task, one, config, model, judge, failures) for one in samples)
                return list(await asyncio.gather(*work))
            finally:
                for asked in (model, judge):
                    if asked.closes:
                        await asked.model.api.aclose()

    from inspect_ai.log import EvalStats

    began = _now()
    found = asyncio.run(all_of_them())
    usage: dict[str, ModelUsage] = {}
    for sample in found:
        for name, used in sample.model_usage.items():
            usage[name] = usage[name] + used if name in usage else used
    stats = EvalStats(started_at=began, completed_at=_now(), model_usage=usage)
    filled = {"status": "success", "samples": found, "results": _results(found), "stats": stats}
    return head.model_copy(update=filled)


async def _scored(
    task: str, sample: Sample, config: GenerateConfig, model: Asked, judge: Asked, failures: Failures
) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageUser, ModelOutput

    place = (task, str(sample.id), 1)
    began, clock = _now(), time.monotonic()
    turns: list[Any] = [ChatMessageUser(content=str(sample.input), source="input")]
    usage: dict[str, ModelUsage] = {}
    scores, error = None, None

    def used(whose: Asked, output: ModelOutput) -> None:
        if output.usage is not None:
            usage[str(whose.model)] = output.usage

    async def ask(request: ApiAsk) -> ApiReply:
        said, reason = await judge.output(f"judge {place}", chat(request.messages), config_of(request))
        if said is None:
            return ApiReply(None, missing=reason)
        used(judge, said)
        return reply_of(said, request)

    with at_place(place):
        output, reason = await model.output(str(place), turns, config)
        if output is None:
            failures.failed(place, "given up", reason or "failed")
            error = EvalError(message=reason or "failed", traceback="", traceback_ansi="")
        else:
            used(model, output)
            if not output.empty:
                turns.append(output.message)
            scores = {SCORER: await score_answer(ask, str(sample.input), output)}
    return EvalSample(
        id=sample.id or "",
        epoch=1,
        input=sample.input,
        target=sample.target,
        messages=turns,
        output=output or ModelOutput(),
        scores=scores,
        metadata=sample.metadata or {},
        model_usage=usage,
        started_at=began,
        completed_at=_now(),
        total_time=time.monotonic() - clock,
        error=error,
    )


def _results(samples: Sequence[EvalSample]) -> EvalResults:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore
    from inspect_ai.scorer import SampleScore, mean, stderr

    told = [SampleScore(score=s.scores[SCORER], sample_id=s.id) for s in samples if s.scores]
    told = [one for one in told if not math.isnan(one.score.as_float())]
    metrics = {
        name: EvalMetric(name=name, value=metric(told)) for name, metric in (("mean", mean()), ("stderr", stderr()))
    }
    score = EvalScore(
        name=SCORER,
        scorer=SCORER,
        scored_samples=len(told),
        unscored_samples=len(samples) - len(told),
        metrics=metrics if told else {},
    )
    whole = sum(s.error is None for s in samples)
    return EvalResults(total_samples=len(samples), completed_samples=whole, scores=[score])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
