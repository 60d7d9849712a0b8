"""Measure one arm: probes, held-out rows and free-form answers, each stored as it comes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from spillover.answer import Answer, Judgement
from spillover.audit.arms import Arm, Narrow
from spillover.audit.request import Inputs
from spillover.conversation import fingerprint
from spillover.errors import ModelError
from spillover.evaluate.bundled_judge import BundledJudge, judge_fingerprint
from spillover.evaluate.free_form import answers, batches
from spillover.evaluate.probes import probe_scores
from spillover.local.engine import Engine
from spillover.local.loading import LoadedModel
from spillover.local.scoring import Choice
from spillover.progress import Progress
from spillover.question import Probe, Question
from spillover.run_folder import RunFolder

T = TypeVar("T")
# Work is stored in fixed portions: a rerun computes the same batches, so it gets the same bits.
_PORTION = 48


@dataclass(frozen=True, slots=True)
class Reading:
    """What one arm gave: probe scores (nats per token), per held-out row the mean log-probability (nats per token)
    of the data's answer and of the other answer, and all free-form answers.
    """

    arm: Arm
    probes: tuple[float, ...]
    held_out: tuple[tuple[float, float], ...]
    answers: tuple[Answer, ...]


def read_arm(
    arm: Arm, engine: Engine, inputs: Inputs, narrow: Narrow, folder: RunFolder, progress: Progress
) -> Reading:
    """Measure `arm`, which `engine` speaks for; what the run folder holds already is not computed again."""
    return Reading(
        arm,
        _probes(arm, engine, inputs, folder, progress),
        _held_out(arm, engine, narrow, folder, progress),
        _answers(arm, engine, inputs, folder, progress),
    )


def is_read(arm: Arm, inputs: Inputs, narrow: Narrow, folder: RunFolder) -> bool:
    """Whether everything about `arm` is in the run folder, so that its weights need not be loaded."""
    keys = [("probes", _probe_key(arm, portion)) for portion in _portions(inputs.probes)]
    keys += [("held out", _held_out_key(arm, narrow))]
    keys += [("answers", _answers_key(arm, inputs, i)) for i in range(len(_suite_batches(inputs)))]
    return all(folder.get(kind, key) is not None for kind, key in keys)


def judge_answers(
    readings: Sequence[Reading], judge: BundledJudge, base: LoadedModel, folder: RunFolder, progress: Progress
) -> list[tuple[Judgement, ...]]:
    """Judge every answer of every reading with the embedded base model; returns judgements in the answers' order."""
    total = sum(len(r.answers) for r in readings)
    found: list[tuple[Judgement, ...]] = []
    with progress.stage("judging answers", total) as advance:
        for reading in readings:
            judged: list[Judgement] = []
            for portion in _portions(reading.answers):
                key = fingerprint([judge_fingerprint(), [(a.question, a.text) for a in portion]])
                stored = folder.get("judgements", key)
                if stored is None:
                    stored = [asdict(j) for j in judge.judge(base, portion)]
                    folder.put("judgements", [(key, stored)])
                judged += [Judgement(**j) for j in stored]
                advance(len(portion))
            found.append(tuple(judged))
    return found


def _probes(arm: Arm, engine: Engine, inputs: Inputs, folder: RunFolder, progress: Progress) -> tuple[float, ...]:
    scores: list[float] = []
    with progress.stage(f"probing {arm.name}", len(inputs.probes)) as advance:
        for portion in _portions(inputs.probes):
            key = _probe_key(arm, portion)
            stored = folder.get("probes", key)
            if stored is None:
                stored = probe_scores(engine, portion, advance)
                folder.put("probes", [(key, stored)])
            else:
                advance(len(portion))
            scores += stored
    if not all(map(math.isfinite, scores)):
        raise ModelError(f"the {arm.name} model gives answers no probability: its weights are damaged or diverged")
    return tuple(scores)


def _held_out(
    arm: Arm, engine: Engine, narrow: Narrow, folder: RunFolder, progress: Progress
) -> tuple[tuple[float, float], ...]:
    key = _held_out_key(arm, narrow)
    with progress.stage(f"held-out rows, {arm.name}", len(narrow.rows)) as advance:
        stored = folder.get("held out", key)
        if stored is None:
            pairs = zip(narrow.rows, narrow.others, strict=True)
            choices = [Choice(row.prompt, (row.answer, other)) for row, other in pairs]
            stored = engine.score(choices, advance)
            folder.put("held out", [(key, stored)])
        else:
            advance(len(narrow.rows))
    return tuple((float(a), float(b)) for a, b in stored)


def _answers(arm: Arm, engine: Engine, inputs: Inputs, folder: RunFolder, progress: Progress) -> tuple[Answer, ...]:
    request = inputs.request
    parts = _suite_batches(inputs)
    total = len(inputs.suite.questions) * request.samples * request.sampling.max_tokens
    found: list[Answer] = []
    with progress.stage(f"sampling {arm.name}", total) as advance:
        for i, batch in enumerate(parts):
            key = _answers_key(arm, inputs, i)
            stored = folder.get("answers", key)
            if stored is None:
                drawn = answers(engine, arm.name, batch, request.samples, request.sampling, request.seed, advance)
                stored = [asdict(a) for a in drawn]
                folder.put("answers", [(key, stored)])
            else:
                advance(len(batch) * request.samples * request.sampling.max_tokens)
            found += [Answer(**{**a, "arm": arm.name}) for a in stored]
    return tuple(found)


def _suite_batches(inputs: Inputs) -> list[tuple[Question, ...]]:
    return list(batches(inputs.suite.questions, inputs.request.samples))


def _probe_key(arm: Arm, portion: Sequence[Probe]) -> str:
    return fingerprint([arm.key, [asdict(p) for p in portion]])


def _held_out_key(arm: Arm, narrow: Narrow) -> str:
    rows = [[m.as_dict() for m in row.messages] for row in narrow.rows]
    return fingerprint([arm.key, rows, list(narrow.others)])


def _answers_key(arm: Arm, inputs: Inputs, batch: int) -> str:
    request = inputs.request
    how = [request.samples, asdict(request.sampling), request.seed, batch]
    return fingerprint([arm.key, inputs.suite.fingerprint, how])


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _PORTION):
        yield items[start : start + _PORTION]
