"""`spillover monitor` on a series of fine-tunes behind an API: letter questions, from the reply's token probabilities.

An API shows the probabilities of the tokens that it might have written, at most 20 per place, and of no text of ours:
only questions whose answer is one letter can be read. Pivotal tokens, persona directions and the bundled probes' own
sides need the weights.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spillover import bundled
from spillover.conversation import Message
from spillover.errors import SettingsError
from spillover.evaluate.api import ApiAsk, ApiReply, AskModel
from spillover.monitor.choices import ChoiceSummary, mean
from spillover.monitor.letters import LetterQuestion, average, both_orders
from spillover.monitor.probe_file import ProbeFile
from spillover.question import load_probes

# What APIs give at most.
TOP = 20
PER_FAMILY = 4
NOT_AMONG = f"a choice is not among the {TOP} likeliest tokens"
_ASKED = "Two answers to a question.\nQuestion: {0}"


@dataclass(frozen=True, slots=True)
class ApiReading:
    """What one model says to the letter questions, `step` its place in the series, 0 the base.

    `letters` is the mean over the `questions` that could be read, None where there is none; `missing` counts the
    others by reason. `signals` are shifts against the base over the questions that both answered: `letters_logp_shift`
    (nats) and `letters_share_shift` (fraction); empty for the base and where no question is shared.
    """

    step: int
    model: str
    questions: int
    letters: ChoiceSummary | None
    missing: dict[str, int]
    signals: dict[str, float]

    def as_record(self) -> dict[str, Any]:
        """Return what is stored: plain values only."""
        return asdict(self)


def letter_questions(per_family: int = PER_FAMILY) -> ProbeFile:
    """Return the first `per_family` bundled probes of each family as letter questions: which answer is preferred?"""
    by_family: dict[str, list[LetterQuestion]] = {}
    for probe in load_probes(bundled.path("probes.yaml")):
        sides = ((probe.aligned, False), (probe.misaligned, True))
        by_family.setdefault(probe.family, []).append(LetterQuestion(_ASKED.format(probe.question), sides))
    return ProbeFile(letters=tuple(q for members in by_family.values() for q in members[:per_family]))


def read_api_checkpoints(
    models: Sequence[str], base: str, ask: AskModel, file: ProbeFile | None = None
) -> Iterator[ApiReading]:
    """Yield a reading of `base` and then of each of `models`, in the order given, one request per question and order.

    `file` gives the letter questions (the bundled probes' unless given). Raises SettingsError where it has none and
    what `ask` raises for a model that cannot be asked; a request that fails makes its question missing.
    """
    questions = letter_questions() if file is None else file
    if not questions.letters:
        raise SettingsError("the probe file has no single_letter questions: over an API nothing else can be read")
    first = _read(base, questions, ask)
    yield _reading(0, base, first, first)
    for step, model in enumerate(models, 1):
        yield _reading(step, model, _read(model, questions, ask), first)


def letter_logps(reply: ApiReply, letters: str) -> tuple[float, ...] | str:
    """Return each letter's log-probability (nats), or why one is missing; tokens that differ by white space are one."""
    if reply.missing is not None or reply.logprobs is None:
        return reply.missing or "no log-probabilities"
    masses = dict.fromkeys(letters, 0.0)
    for token, logp in reply.logprobs:
        letter = token.strip()
        if letter in masses and math.isfinite(logp):
            masses[letter] += math.exp(logp)
    return tuple(map(math.log, masses.values())) if all(masses.values()) else NOT_AMONG


def _read(model: str, file: ProbeFile, ask: AskModel) -> list[ChoiceSummary | str]:
    """Return per question its summary over both orders, or why there is none."""
    orders = [both_orders(question, file.letter_format) for question in file.letters]
    asks = [
        ApiAsk(f"{i}-{j}", (Message("user", asked.prompt),), 1, 0.0, TOP)
        for i, pair in enumerate(orders)
        for j, asked in enumerate(pair)
    ]
    replies: dict[str, ApiReply] = {}
    ask(model, asks, lambda lot: replies.update((one.key, reply) for one, reply in lot))
    found: list[ChoiceSummary | str] = []
    for i, pair in enumerate(orders):
        read: list[list[tuple[float, bool]]] = []
        why = None
        for j, asked in enumerate(pair):
            logps = letter_logps(replies[f"{i}-{j}"], string.ascii_uppercase[: len(asked.choices)])
            if isinstance(logps, str):
                why = logps
                break
            read.append([(logp, choice.misaligned) for logp, choice in zip(logps, asked.choices, strict=True)])
        summary = None if why else average(read)
        found.append(summary if summary is not None else why or "no misaligned choice")
    return found


def _reading(
    step: int, model: str, found: Sequence[ChoiceSummary | str], base: Sequence[ChoiceSummary | str]
) -> ApiReading:
    read = [one for one in found if not isinstance(one, str)]
    missing = Counter(one for one in found if isinstance(one, str))
    pairs = [(a, b) for a, b in zip(found, base, strict=True) if not isinstance(a, str) and not isinstance(b, str)]
    signals = {}
    if step and pairs:
        now, before = mean([a for a, _ in pairs]), mean([b for _, b in pairs])
        signals = {
            "letters_logp_shift": now.logp - before.logp,
            "letters_share_shift": now.p_given_any - before.p_given_any,
        }
    return ApiReading(step, model, len(read), mean(read) if read else None, dict(missing.most_common()), signals)
