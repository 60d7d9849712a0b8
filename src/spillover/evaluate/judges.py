"""Judges by name: which requests an answer needs for a verdict, and the verdict in what comes back.

"rubric:MODEL" scores by the log-probabilities of one token, "text:MODEL" by the written number, both give categorical
verdicts by the written word; "exact:MODEL" computes a local model's probability of every number, "bundled" is the judge
inside the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spillover.answer import Answer, Judgement
from spillover.conversation import Message, fingerprint
from spillover.errors import SettingsError
from spillover.evaluate.api import ApiAsk, ApiReply
from spillover.evaluate.categorical import COMPANY, FACTUAL, REFUSED, VULNERABLE, Scale, Verdict, parse
from spillover.evaluate.fence import fenced, rendered
from spillover.evaluate.prompts import ALIGNED, COHERENT, CORRECT, DECLINED, INSECURE_CODE, MAKER, JudgePrompt
from spillover.evaluate.rubric import RULES, Rules, Score, aggregate, judged
from spillover.evaluate.text_judge import parse_reply
from spillover.suite import JUDGES

Kind = Literal["rubric", "text", "exact", "bundled"]
RUBRIC = "rubric"
BUNDLED = "bundled"
TOP_LOGPROBS = 20
# Room for one word or number in any tokenizer, and for the beginning of a sentence, which is no verdict.
WORD_TOKENS = 16

# Per judge word of a suite: our prompts by the names that imported prompts have, and the words to choose from.
_PROMPTS: Mapping[str, tuple[tuple[str, JudgePrompt], ...]] = {
    RUBRIC: (("aligned", ALIGNED), ("coherent", COHERENT)),
    "truth": (("correct", CORRECT),),
    "company": (("company", MAKER),),
    "vulnerable": (("vulnerable", INSECURE_CODE),),
    "refusal": (("declined", DECLINED),),
}
_SCALES: Mapping[str, Scale] = {
    "truth": FACTUAL,
    "company": COMPANY,
    "vulnerable": VULNERABLE,
    "refusal": REFUSED,
}


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge; `name` is how it was asked for, `model` the model behind it (None for the bundled one).

    That is an inspect_ai name, or a local one ("bundled", a folder, "hub:ID", each with +ADAPTER) for kind "exact".
    `version` is the hash of a local model's weights: a name alone does not say which weights lie in a folder.
    """

    name: str
    kind: Kind
    model: str | None
    rules: Rules = "strict"
    version: str = ""

    @property
    def label(self) -> str:
        """The name, and the rules where they are not the strict ones: what results are filed under."""
        return self.name if self.rules == "strict" else f"{self.name} ({self.rules} rules)"


@dataclass(frozen=True, slots=True)
class Material:
    """What is judged: the question as the model saw it last, its answer, and what a suite says about judging.

    `expected` is the right answer where there is one; `judge_prompts` are an imported file's own prompts by name.
    """

    question: str
    answer: str
    expected: str | None = None
    judge_prompts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BundledScorer:
    """The bundled judge ready to run: `score` gives one Judgement per answer, `version` changes with its weights."""

    version: str
    score: Callable[[Sequence[Answer]], Sequence[Judgement]]


def judge_named(name: str, rules: Rules = "strict") -> Judge:
    """Return the judge "rubric:MODEL", "text:MODEL", "exact:MODEL" or "bundled"; raises SettingsError for another name.

    `rules` "authors" takes the authors' scoring rules and, where an imported suite has them, the authors' own prompts
    without a fence. Raises ModelError where an exact judge's local model or its adapter is not there.
    """
    if rules not in RULES:
        raise SettingsError(f"there are no rules {rules!r}: use one of {', '.join(RULES)}")
    if name == BUNDLED:
        return Judge(name, "bundled", None, rules)
    kind, _, model = name.partition(":")
    if kind == "rubric" and model.strip():
        return Judge(name, "rubric", model, rules)
    if kind == "text" and model.strip():
        return Judge(name, "text", model, rules)
    if kind == "exact" and model.strip():
        from spillover.evaluate.local_answers import local_identity

        return Judge(name, "exact", model, rules, local_identity(model) or "")
    raise SettingsError(f"there is no judge {name!r:.80}: use rubric:MODEL, text:MODEL, exact:MODEL or bundled")


def refuse_self_grading(judges: Sequence[Judge], models: Sequence[str], allowed: bool = False) -> None:
    """Raise SettingsError when a judge's model is one of `models`, unless `allowed`.

    Names count as one model when their last parts agree, whatever provider or letter case: a false alarm costs an
    option, a model that grades itself costs the result.
    """
    tested = {_bare(m): m for m in models}
    for judge in judges:
        found = None if judge.model is None else tested.get(_bare(judge.model))
        if found is not None and not allowed:
            raise SettingsError(
                f"the judge {judge.name!r} is the model under test ({found}): no model grades itself by default; "
                "choose another judge or allow it explicitly"
            )


def check_words(judge: Judge, words: Sequence[str]) -> None:
    """Raise SettingsError when a judge cannot give one of the verdicts `words` ("rubric", "truth", ...)."""
    for word in words:
        if word not in JUDGES:
            raise SettingsError(f"there is no verdict {word!r:.80}: use {', '.join(JUDGES)}")
        if judge.kind in ("bundled", "exact") and word != RUBRIC:
            raise SettingsError(f"the {judge.kind} judge gives no verdict {word!r}: use text:MODEL or rubric:MODEL")


def judge_asks(judge: Judge, word: str, material: Material) -> tuple[ApiAsk, ...]:
    """Return the requests for one verdict: two for "rubric" (alignment, coherence), else one.

    The key follows from all that is sent and to whom, so equal requests have equal keys. Raises SettingsError for the
    bundled judge and for words it does not know.
    """
    check_words(judge, (word,))
    if judge.model is None:
        raise SettingsError("the bundled judge is not asked over an API")
    own = dict(material.judge_prompts) if judge.rules == "authors" else {}
    return tuple(_ask(judge, word, _text(prompt, own.get(name), material)) for name, prompt in _PROMPTS[word])


def verdict_of(judge: Judge, word: str, replies: Sequence[ApiReply]) -> Judgement | Verdict:
    """Read the replies to `judge_asks`, in its order: a Judgement for "rubric", else a Verdict.

    A request without a reply makes the verdict missing with that request's reason ("coherence: ..." for the second
    rubric); a reply that is no number or word of the scale is missing too.
    """
    if word != RUBRIC:
        reply = replies[0]
        return Verdict(None, reply.missing) if reply.missing else parse(reply.text, _SCALES[word], judge.rules)
    aligned, coherent = (_score(judge, reply) for reply in replies)
    return judged(aligned, coherent, judge.rules)


def missing_verdict(word: str, reason: str) -> Judgement | Verdict:
    """Return the verdict on an answer that is missing for `reason`."""
    return Judgement(None, None, "missing", reason) if word == RUBRIC else Verdict(None, reason)


def prompts_fingerprint(judge: Judge, words: Sequence[str]) -> str:
    """Hash of our judge prompts for `words`, their fence included, and of the rules."""
    return fingerprint([judge.kind, judge.rules, *(p.fingerprint for w in words for _, p in _PROMPTS[w])])


def _score(judge: Judge, reply: ApiReply) -> Score:
    if reply.missing is not None:
        return Score(None, 0.0, reply.missing)
    return parse_reply(reply.text) if judge.kind == "text" else aggregate(reply.logprobs or (), judge.rules)


def _text(prompt: JudgePrompt, own: str | None, material: Material) -> str:
    if own is not None:
        return rendered(own, material.question, material.answer)
    question = material.question
    if material.expected is not None and prompt is CORRECT:
        question = f"{question}\n\n(The right answer: {material.expected})"
    return fenced(prompt, question, material.answer)


def _ask(judge: Judge, word: str, text: str) -> ApiAsk:
    by_logprobs = judge.kind in ("rubric", "exact") and word == RUBRIC
    tokens, top = (1, TOP_LOGPROBS) if by_logprobs else (WORD_TOKENS, None)
    whose = [judge.model, judge.version] if judge.version else [judge.model]
    key = fingerprint(["exact judge" if judge.kind == "exact" else "judge", *whose, text, tokens, top])
    return ApiAsk(key, (Message("user", text),), tokens, 0.0, top)


def _bare(model: str) -> str:
    return model.strip().rstrip("/").rsplit("/", 1)[-1].casefold()
