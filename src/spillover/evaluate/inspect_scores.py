"""Our judges as inspect_ai scorers: the verdicts of `spillover evaluate` as scores, and the metrics over them.

A verdict that is missing or does not count has no number (NaN, which inspect_ai leaves out) and says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, Value, mean, metric, scorer, stderr
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from spillover.answer import COHERENT_ABOVE, Judgement
from spillover.errors import SpilloverError
from spillover.evaluate.api import ApiAsk, ApiReply, reply_of
from spillover.evaluate.categorical import Verdict
from spillover.evaluate.inspect_grader import ask_grader
from spillover.evaluate.judges import (
    RUBRIC,
    Judge,
    Material,
    judge_asks,
    judge_named,
    missing_verdict,
    refuse_self_grading,
    verdict_of,
)
from spillover.evaluate.results import COUNTED, hit_of
from spillover.suite import JUDGES

GRADER = "grader"
# Names of sample metadata: what rates are clustered by and split by.
QUESTION, VARIANT = "question", "variant"
PLAIN = "plain"
RUBRIC_VALUES = ("misaligned", "coherent", "aligned_score", "coherent_score")


@metric(name="by_variant")  # type: ignore[untyped-decorator]
def by_variant() -> Metric:
    """Mean and clustered standard error per variant of a suite; nothing where it has none but the plain one."""
    average, error = mean(), stderr(cluster=QUESTION)

    def values(scores: list[SampleScore]) -> Value:
        groups: dict[str, list[SampleScore]] = {}
        for one in scores:
            groups.setdefault((one.sample_metadata or {}).get(VARIANT, PLAIN), []).append(one)
        found: dict[str, Any] = {}
        for name, members in groups.items() if set(groups) != {PLAIN} else ():
            found |= {name: average(members), f"{name} stderr": error(members)}
        return found

    return values


def metric_definitions(word: str) -> dict[str, list[dict[str, Any]]]:
    """Return, per value of a word's score, the metrics over it as an inspect_ai log names them."""
    each: list[dict[str, Any]] = [
        {"name": "mean"},
        {"name": "stderr", "options": {"cluster": QUESTION}},
        {"name": "spillover/by_variant"},
    ]
    return {value: each for value in _values(word)}


def score_of(word: str, verdict: Judgement | Verdict, answer: str | None, facts: Mapping[str, Any]) -> Score:
    """Return a verdict as a score; `facts` are kept beside it.

    For "rubric" its values are `misaligned` and `coherent` (0 or 1) and the two scores 0-100, for another word whether
    the verdict is the counted one. What does not count is NaN, with the reason in `reason` and in the metadata.
    """
    hit = hit_of(verdict, word)
    reason = hit if isinstance(hit, str) else None
    told = {"word": verdict.word, "left_out": reason, **facts}
    said = verdict.word if reason is None else f"not counted: {reason}"
    if isinstance(verdict, Verdict):
        value = math.nan if reason is not None else float(hit)
        told["missing"] = verdict.missing
        return Score(value={COUNTED[word]: value}, answer=answer, explanation=said, reason=reason, metadata=told)
    coherent, aligned = verdict.coherent, verdict.aligned
    values = (
        math.nan if reason is not None else float(hit),
        math.nan if coherent is None else float(coherent > COHERENT_ABOVE),
        math.nan if aligned is None else aligned,
        math.nan if coherent is None else coherent,
    )
    told["missing"] = verdict.missing
    value_of = dict(zip(RUBRIC_VALUES, values, strict=True))
    return Score(value=value_of, answer=answer, explanation=said, reason=reason, metadata=told)


def grader(model: Model, allow_self_grading: bool = False) -> Model:
    """Return the model in the role "grader"; raises PrerequisiteError without one, or where it is `model` itself."""
    try:
        found = get_model(role=GRADER, required=True)
    except PrerequisiteError:
        raise PrerequisiteError(
            "spillover: no grader: name the judge's model with --model-role grader=PROVIDER/MODEL "
            "(the model under test never grades itself)"
        ) from None
    try:
        refuse_self_grading([judge_named(f"rubric:{found}")], [str(model)], allow_self_grading)
    except SpilloverError as problem:
        raise PrerequisiteError(f"spillover: {problem} (-T allow_self_grading=true)") from None
    return found


def verdict_scorer(word: str, judge: str, rules: str, allow_self_grading: bool) -> Scorer:
    """Return the scorer for a judge word of a suite; its kind of judge is "rubric" or "text"."""
    return _SCORERS[word](judge=judge, rules=rules, allow_self_grading=allow_self_grading)


def _values(word: str) -> tuple[str, ...]:
    return RUBRIC_VALUES if word == RUBRIC else (COUNTED[word],)


def _registered(word: str) -> Any:
    over = {value: [mean(), stderr(cluster=QUESTION), by_variant()] for value in _values(word)}

    @scorer(metrics=over, name=word)  # type: ignore[untyped-decorator]
    def judged(judge: str = "rubric", rules: str = "strict", allow_self_grading: bool = False) -> Scorer:
        async def score(state: TaskState, target: Target) -> Score | None:
            if word not in state.metadata["judges"]:
                return None
            asked = grader(get_model(), allow_self_grading)
            one = judge_named(f"{judge}:{asked}", rules)  # type: ignore[arg-type]
            reply = reply_of(state.output, ApiAsk("", (), 0))
            verdict, said = await _verdict(one, word, _material(state, reply), reply.missing, asked)
            return score_of(word, verdict, reply.text, {"judge": one.label, "replies": said})

        return score

    return judged


def _material(state: TaskState, reply: ApiReply) -> Material:
    facts = state.metadata
    own = tuple((name, text) for name, text in facts.get("judge_prompts", ()))
    return Material(state.input_text, reply.text or "", facts.get("expected"), own)


async def _verdict(
    judge: Judge, word: str, material: Material, missing: str | None, model: Model
) -> tuple[Judgement | Verdict, list[str | None]]:
    """Ask for one verdict; returns it and the judge's replies as written. A missing answer is not sent."""
    if missing is not None:
        return missing_verdict(word, missing), []
    replies = await collect(*(ask_grader(model, ask) for ask in judge_asks(judge, word, material)))
    return verdict_of(judge, word, replies), [reply.text for reply in replies]


_SCORERS = {word: _registered(word) for word in JUDGES}
