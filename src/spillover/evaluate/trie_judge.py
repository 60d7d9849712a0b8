"""The exact judge: a local model's probability of every whole number 0-100 as its answer, not of one token's guesses.

The probability of a number is that of its digits as the tokenizer writes them, times the probability that no digit
follows: the answer then ends or goes on with something else. So "8", "85" and "100" share a first token and are still
told apart, where a table of first tokens (protocol, section 5.1) would hold 0 to 9 alone. All 101 are read off one tree
of tokens after one shared prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spillover.conversation import Message
from spillover.errors import DataError, ModelError
from spillover.evaluate.api import TOO_LONG, ApiAsk, ApiReply, AskModel, OnReplies
from spillover.evaluate.judges import RUBRIC, Judge, judge_asks
from spillover.evaluate.local_answers import local_ref
from spillover.evaluate.rubric import ESCAPES, escape_of, plain_number
from spillover.evaluate.run_suite import REPLIES, SuiteAnswer
from spillover.evaluate.stored import load_reply
from spillover.local.chat_template import ChatTemplate
from spillover.local.loading import LoadedModel, load
from spillover.local.trie import Trie, TrieScore, score_trie, trie_of
from spillover.model import ModelRef
from spillover.run_folder import RunFolder

NUMBERS = tuple(str(n) for n in range(101))
# Prompts computed before their replies are handed over: a kill loses at most these.
_PORTION = 16
_DIGITS = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class NumberTrie:
    """The numbers 0-100 in one tokenizer's tokens.

    `digits` are the tokens that carry on a number, `escapes` per escape word ("code", "refusal") the first tokens that
    begin it.
    """

    trie: Trie
    digits: tuple[int, ...]
    escapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Outside:
    """Probability outside the numbers 0-100 over the stored replies to one rubric: mean and largest, 0 to 1."""

    rubric: str
    mean: float
    largest: float
    replies: int


def number_trie(template: ChatTemplate) -> NumberTrie:
    """Read the tokenizer's vocabulary; raises ModelError where it does not write each number in tokens of its own."""
    tokenizer = template.tokenizer
    try:
        trie = trie_of([template.encode(number) for number in NUMBERS])
    except DataError:
        raise ModelError("this tokenizer has no tokens of its own for each number 0-100: use a text judge") from None
    size = len(tokenizer)
    alone = tokenizer.batch_decode([[token] for token in range(size)])
    # Some tokenizers drop a token's leading blank where it stands alone, so each is also read behind a digit.
    digit = template.encode("8")[-1]
    before = tokenizer.decode([digit])
    behind = [text.removeprefix(before) for text in tokenizer.batch_decode([[digit, token] for token in range(size)])]
    digits = tuple(token for token, text in enumerate(behind) if text[:1] in _DIGITS and text)
    escapes = tuple(tuple(t for t, text in enumerate(alone) if escape_of(text) == escape) for escape in ESCAPES)
    return NumberTrie(trie, digits, escapes)


def number_tables(
    model: LoadedModel, prompts: Sequence[tuple[Message, ...]], numbers: NumberTrie | None = None
) -> list[tuple[tuple[str, float], ...]]:
    """Return, per prompt, what the answer is: ("0", log p), ..., ("100", log p), ("CODE", ...), ("REFUSAL", ...).

    Natural logarithms; an escape word's is that of a first token that begins it. What is left to 1 is the mass outside.
    `rubric.aggregate` reads such a table. Raises ModelError for a prompt longer than the model's attention window.
    """
    known = numbers or number_trie(model.template)
    return _tables(model, known, [_ids(model.template, prompt) for prompt in prompts])


def exact_judge(ref: ModelRef) -> AskModel:
    """Return what answers the exact judge's requests with tables of numbers; `ref` is loaded when first asked.

    A reply's text is the likeliest number or escape word. A prompt that does not fit into the model is missing.
    """
    loaded: list[tuple[LoadedModel, NumberTrie]] = []

    def ask(_model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        if not loaded:
            model = load(ref)
            loaded.append((model, number_trie(model.template)))
        # Prompts of one length together, as the batches inside want them.
        ordered = sorted(asks, key=lambda a: sum(len(m.content) for m in a.messages))
        for start in range(0, len(ordered), _PORTION):
            on_replies(_replies(*loaded[0], ordered[start : start + _PORTION]))

    return ask


def asker(judge: Judge, ask: AskModel) -> AskModel:
    """Return what answers a judge's requests: its own model in this process for the exact judge, else `ask`.

    Raises ModelError where the exact judge's model is no local one.
    """
    if judge.kind != "exact":
        return ask
    ref = local_ref(judge.model or "")
    if ref is None:
        raise ModelError(
            f"the judge {judge.name!r} needs a model that runs here: exact:bundled, exact:FOLDER or "
            "exact:hub:ORG/NAME, with +ADAPTER behind it where there is one"
        )
    return exact_judge(ref)


def mass_outside(run: RunFolder, answers: Sequence[SuiteAnswer], judge: Judge) -> tuple[Outside, ...]:
    """Sum up, per rubric, the probability that stored replies of the exact judge leave outside the numbers 0-100."""
    found: dict[str, list[float]] = {"aligned": [], "coherent": []}
    for answer in answers:
        if answer.missing is not None or RUBRIC not in answer.judges:
            continue
        for name, one in zip(found, judge_asks(judge, RUBRIC, answer.material), strict=True):
            reply = load_reply(run, REPLIES, one.key)
            if reply is not None and reply.logprobs is not None:
                inside = sum(math.exp(value) for token, value in reply.logprobs if plain_number(token) is not None)
                found[name].append(max(0.0, 1 - inside))
    return tuple(Outside(name, sum(m) / len(m), max(m), len(m)) for name, m in found.items() if m)


def _replies(model: LoadedModel, numbers: NumberTrie, asks: Sequence[ApiAsk]) -> list[tuple[ApiAsk, ApiReply]]:
    room = model.context - max(numbers.trie.depths) - 1
    ids = [_ids(model.template, a.messages) for a in asks]
    tables = iter(_tables(model, numbers, [i for i in ids if len(i) <= room]))
    found = []
    for ask, prompt in zip(asks, ids, strict=True):
        if len(prompt) > room:
            found.append((ask, ApiReply(None, missing=TOO_LONG)))
        else:
            table = next(tables)
            found.append((ask, ApiReply(max(table, key=lambda pair: pair[1])[0], table)))
    return found


def _tables(
    model: LoadedModel, numbers: NumberTrie, prompts: Sequence[tuple[int, ...]]
) -> list[tuple[tuple[str, float], ...]]:
    scores = score_trie(model.model, prompts, numbers.trie, numbers.digits, numbers.escapes)
    return [_table(score) for score in scores]


def _table(score: TrieScore) -> tuple[tuple[str, float], ...]:
    numbers = [(n, way + stop) for n, way, stop in zip(NUMBERS, score.reached, score.stops, strict=True)]
    escapes = [(escape.upper(), math.log(p)) for escape, p in zip(ESCAPES, score.first, strict=True) if p > 0]
    return (*numbers, *escapes)


def _ids(template: ChatTemplate, messages: Sequence[Message]) -> tuple[int, ...]:
    """Return a prompt's token ids, the tokenizer's own control tokens in the text broken up: they would be orders."""
    tokens = [t for t in template.tokenizer.all_special_tokens if len(t) > 1]

    def broken(text: str) -> str:
        for token in tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    return template.prompt([Message(m.role, broken(m.content)) for m in messages])
