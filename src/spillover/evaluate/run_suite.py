"""Answers of models to a suite and judges' verdicts on them, stored as they come in a run folder.

Rows are keyed by content: an answer by model, rendered prompt, sample number and sampling, a judge's reply by judge
model and judge prompt; local models, under test or judging, also by their weights. So a killed run goes on,
more samples, models or judges add to what is there, and scores are always worked out anew from the raw replies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spillover.answer import Answer, Judgement
from spillover.conversation import Message, fingerprint
from spillover.errors import SettingsError
from spillover.evaluate.api import ApiAsk, AskModel
from spillover.evaluate.categorical import Verdict
from spillover.evaluate.judges import (
    BundledScorer,
    Judge,
    Material,
    check_words,
    judge_asks,
    missing_verdict,
    verdict_of,
)
from spillover.evaluate.stored import OnDone, replies
from spillover.local.engine import IN_PROCESS
from spillover.run_folder import RunFolder
from spillover.suite import Item, SuiteFile, judged_question, rendered

ANSWERS, REPLIES, BUNDLED_SCORES = "answers", "judge replies", "bundled scores"
# The bundled judge is called with this many answers, and what it says is stored before the next call.
_PORTION = 64


@dataclass(frozen=True, slots=True)
class Drawing:
    """How answers are drawn. Each has its own seed, which follows from `seed`, its prompt and its number."""

    max_tokens: int = 1000
    temperature: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SuiteAnswer:
    """One answer of `model` to one wording of an item; `text` is None exactly if `missing` says why."""

    model: str
    item: str
    family: str
    variant: str
    paraphrase: int
    sample: int
    material: Material
    judges: tuple[str, ...]
    text: str | None
    missing: str | None
    ended: bool = True


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One verdict on an answer: which judge, which word of the suite ("rubric", "truth", ...) and what it said."""

    answer: SuiteAnswer
    judge: str
    word: str
    verdict: Judgement | Verdict


@dataclass(frozen=True, slots=True)
class Wording:
    """One prompt of a suite: an item in one of its paraphrases.

    `prompt` is the fingerprint of `messages` and `use` counts how often it has come before in the suite.
    """

    item: Item
    paraphrase: int
    messages: tuple[Message, ...]
    prompt: str
    use: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    model: str
    item: Item
    paraphrase: int
    sample: int
    ask: ApiAsk


def open_run(
    path: Path, suite: SuiteFile, how: Drawing, facts: Mapping[str, Any], engine: str = IN_PROCESS
) -> RunFolder:
    """Create or reopen the folder of a suite's run.

    What must not change in it is the suite's content, the sampling and the engine of local models; numbers of samples,
    models and judges may grow.
    Raises RunFolderError when the folder belongs to something else.
    """
    named = {"name": suite.name, "version": suite.version, "fingerprint": suite.fingerprint}
    asked = {"command": "evaluate", "suite": named, "drawing": asdict(how)}
    return RunFolder(path, asked if engine == IN_PROCESS else {**asked, "engine": engine}, facts)


def answer_suite(
    run: RunFolder,
    models: Sequence[str],
    suite: SuiteFile,
    how: Drawing,
    ask: AskModel,
    *,
    samples: int | None = None,
    samplers: Mapping[str, AskModel] | None = None,
    on_done: OnDone = lambda n: None,
) -> tuple[SuiteAnswer, ...]:
    """Return `samples` answers (None: as many as each item says) per model, item and wording, in that order of loops.

    Models named in `samplers` (local ones) are asked through theirs, all others through `ask`. What `run` holds is not
    asked again, except missing answers. Raises SettingsError for a model named twice or fewer than one sample.
    """
    if len(set(models)) != len(models) or not models:
        raise SettingsError("name each model once, and at least one")
    if samples is not None and samples < 1:
        raise SettingsError(f"samples is {samples}: ask for at least 1")
    from spillover.evaluate.local_answers import local_identity

    answers: list[SuiteAnswer] = []
    for model in models:
        # A folder may hold other weights than when the run began; an API's names have no such hash.
        version = local_identity(model) if model in (samplers or {}) else None
        wanted = _wanted(model, version, suite, samples, how)
        # Sample 0 of every prompt comes first, so that a run that is stopped has covered the suite evenly.
        asks = [w.ask for w in sorted(wanted, key=lambda w: w.sample)]
        found = replies(run, ANSWERS, model, asks, (samplers or {}).get(model, ask), on_done)
        for w in wanted:
            reply = found[w.ask.key]
            question = judged_question(w.item, w.paraphrase)
            material = Material(question, reply.text or "", w.item.expected, w.item.judge_prompts)
            place = (model, w.item.id, w.item.family, w.item.variant, w.paraphrase, w.sample)
            answers.append(SuiteAnswer(*place, material, w.item.judges, reply.text, reply.missing, reply.ended))
    return tuple(answers)


def judge_answers(
    run: RunFolder,
    answers: Sequence[SuiteAnswer],
    judge: Judge,
    ask: AskModel,
    *,
    scorer: BundledScorer | None = None,
    on_done: OnDone = lambda n: None,
) -> tuple[JudgedAnswer, ...]:
    """Return the judge's verdicts on each answer, one per word that its item asks for, in the order of `answers`.

    Missing answers are not sent: their verdicts are missing for the same reason. The bundled judge needs `scorer`.
    Raises SettingsError when the judge cannot give a verdict that an item asks for.
    """
    words = sorted({word for a in answers for word in a.judges})
    check_words(judge, words)
    pairs = [(a, word) for a in answers for word in a.judges]
    verdicts = judge_materials(
        run, [(a.material, word, a.missing) for a, word in pairs], judge, ask, scorer=scorer, on_done=on_done
    )
    return tuple(JudgedAnswer(a, judge.label, w, v) for (a, w), v in zip(pairs, verdicts, strict=True))


def judge_materials(
    run: RunFolder,
    materials: Sequence[tuple[Material, str, str | None]],
    judge: Judge,
    ask: AskModel,
    *,
    scorer: BundledScorer | None = None,
    on_done: OnDone = lambda n: None,
) -> list[Judgement | Verdict]:
    """Return one verdict per (material, word, reason why its answer is missing or None), in that order.

    The raw replies are stored under their requests, so a judge is asked once for equal requests. `on_done` counts
    requests, or answers for the bundled judge.
    """
    if judge.kind == "bundled":
        return _bundled(run, materials, scorer, on_done)
    asks = [() if gone else judge_asks(judge, word, material) for material, word, gone in materials]
    wanted = (one for group in asks for one in group)
    found = replies(run, REPLIES, judge.model or "", wanted, ask, on_done)
    return [
        missing_verdict(word, gone) if gone else verdict_of(judge, word, [found[one.key] for one in group])
        for (_, word, gone), group in zip(materials, asks, strict=True)
    ]


def missing_reasons(judged: Iterable[JudgedAnswer]) -> dict[str, dict[str, int]]:
    """Count, per model, why verdicts are missing; most frequent reason first."""
    counts: dict[str, Counter[str]] = {}
    for one in judged:
        if one.verdict.missing is not None:
            counts.setdefault(one.answer.model, Counter())[one.verdict.missing] += 1
    return {model: dict(reasons.most_common()) for model, reasons in counts.items()}


def wordings(suite: SuiteFile) -> list[Wording]:
    """List all prompts of a suite in order; raises SettingsError where an item still lacks its examples."""
    uses: Counter[str] = Counter()
    found = []
    for item in suite:
        for paraphrase in range(len(item.paraphrases)):
            messages = rendered(item, paraphrase)
            prompt = fingerprint([m.as_dict() for m in messages])
            found.append(Wording(item, paraphrase, messages, prompt, uses[prompt]))
            uses[prompt] += 1
    return found


def answer_seed(seed: int, prompt: str, use: int, sample: int) -> int:
    """Return the seed of one answer to a wording (its `prompt` and `use`).

    Prompts that two items share get answers of their own, not copies of one. The seed has 31 bits: some servers take no
    larger one.
    """
    return int(fingerprint([seed, prompt, use, sample]), 16) >> 33


def _wanted(model: str, version: str | None, suite: SuiteFile, samples: int | None, how: Drawing) -> list[_Wanted]:
    """List every answer wanted."""
    return [
        _Wanted(model, w.item, w.paraphrase, sample, _ask(model, version, w, sample, how))
        for w in wordings(suite)
        for sample in range(samples or w.item.samples)
    ]


def _ask(model: str, version: str | None, wording: Wording, sample: int, how: Drawing) -> ApiAsk:
    whose = [model] if version is None else [model, version]
    key = fingerprint([*whose, wording.prompt, wording.use, sample, asdict(how)])
    seed = answer_seed(how.seed, wording.prompt, wording.use, sample)
    return ApiAsk(key, wording.messages, how.max_tokens, how.temperature, None, seed)


def _bundled(
    run: RunFolder,
    materials: Sequence[tuple[Material, str, str | None]],
    scorer: BundledScorer | None,
    on_done: OnDone,
) -> list[Judgement | Verdict]:
    if scorer is None:
        raise SettingsError("the bundled judge is not loaded: give it as the scorer")
    keys = [fingerprint([scorer.version, material.question, material.answer]) for material, _, _ in materials]
    found: dict[str, Judgement] = {}
    open_answers: dict[str, Answer] = {}
    for key, (material, _, gone) in zip(keys, materials, strict=True):
        if gone is None and key not in found:
            row = run.get(BUNDLED_SCORES, key)
            if row is None:
                open_answers[key] = Answer("judged", key, 0, material.question, material.answer, 0, True)
            else:
                found[key] = Judgement(**row)
    on_done(len(found))
    left = list(open_answers.items())
    for start in range(0, len(left), _PORTION):
        portion = left[start : start + _PORTION]
        scores = dict(zip((k for k, _ in portion), scorer.score([a for _, a in portion]), strict=True))
        run.put(BUNDLED_SCORES, [(key, asdict(score)) for key, score in scores.items()])
        found |= scores
        on_done(len(portion))
    return [
        missing_verdict(word, gone) if gone else found[key]
        for key, (_, word, gone) in zip(keys, materials, strict=True)
    ]
