"""From readings to measures: each a shift, rate or loss with its interval and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spillover.answer import Judgement
from spillover.audit.arms import BASE, CONTROL, TUNED
from spillover.audit.measure import Reading
from spillover.question import Probe, Question
from spillover.statistics import Estimate, clustered_rate, clustered_rate_difference, stratified_mean

PROBE_SHIFT = "probe shift"
FAMILY_SHIFT = "probe shift in one family"
HELD_OUT_SHIFT = "held-out shift"
HELD_OUT_LOSS = "held-out loss"
RATE = "misaligned rate"
RATE_SHIFT = "misaligned rate difference"
OUT, IN = "out", "in"
# The order in which people read them.
_ORDER = (PROBE_SHIFT, RATE_SHIFT, RATE, HELD_OUT_SHIFT, HELD_OUT_LOSS, FAMILY_SHIFT)


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of the report; `estimate` is None when nothing could be measured, `missing` counts reasons."""

    name: str
    arm: str
    against: str | None
    domain: str
    unit: str
    estimate: Estimate | None
    missing: Mapping[str, int] = field(default_factory=dict)
    family: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A reading with the judgement of each of its answers."""

    reading: Reading
    judgements: tuple[Judgement, ...]


def compute(
    judged: Mapping[str, Judged],
    probes: Sequence[Probe],
    questions: Sequence[Question],
    in_domain: Sequence[str],
    seed: int,
) -> list[Measure]:
    """Return all measures; `judged` maps arm names to readings, the base always among them."""
    found: list[Measure] = []
    for arm, against in _comparisons(judged):
        found += _probe_shifts(judged, arm, against, probes, in_domain, seed)
        found.append(_held_out_shift(judged, arm, against, seed))
    for arm in judged:
        found.append(_held_out_loss(judged[arm], seed))
        for domain in (OUT, IN):
            found += _rates(judged, arm, questions, in_domain, domain)
    return sorted(found, key=lambda m: (_ORDER.index(m.name), m.domain == IN))


def pick(measures: Sequence[Measure], name: str, arm: str, against: str | None, domain: str) -> Measure | None:
    """Return the measure of that name, or None."""
    for m in measures:
        if (m.name, m.arm, m.against, m.domain) == (name, arm, against, domain):
            return m
    return None


def _comparisons(judged: Mapping[str, Judged]) -> list[tuple[str, str]]:
    pairs = [(TUNED, BASE), (TUNED, CONTROL), (CONTROL, BASE)]
    return [(a, b) for a, b in pairs if a in judged and b in judged]


def _probe_shifts(
    judged: Mapping[str, Judged],
    arm: str,
    against: str,
    probes: Sequence[Probe],
    in_domain: Sequence[str],
    seed: int,
) -> list[Measure]:
    pairs = zip(judged[arm].reading.probes, judged[against].reading.probes, strict=True)
    shifts = [a - b for a, b in pairs]
    found = []
    for domain in (OUT, IN):
        chosen = [i for i, p in enumerate(probes) if (p.family in in_domain) == (domain == IN)]
        if chosen:
            families = [probes[i].family for i in chosen]
            estimate = stratified_mean([shifts[i] for i in chosen], families, seed)
            found.append(Measure(PROBE_SHIFT, arm, against, domain, "nats per token", estimate))
    for family in dict.fromkeys(p.family for p in probes):
        values = [s for s, p in zip(shifts, probes, strict=True) if p.family == family]
        estimate = stratified_mean(values, [family] * len(values), seed)
        domain = IN if family in in_domain else OUT
        found.append(Measure(FAMILY_SHIFT, arm, against, domain, "nats per token", estimate, family=family))
    return found


def _held_out_shift(judged: Mapping[str, Judged], arm: str, against: str, seed: int) -> Measure:
    pairs = zip(judged[arm].reading.held_out, judged[against].reading.held_out, strict=True)
    shifts = [(a[0] - a[1]) - (b[0] - b[1]) for a, b in pairs]
    estimate = stratified_mean(shifts, ["rows"] * len(shifts), seed) if shifts else None
    return Measure(HELD_OUT_SHIFT, arm, against, IN, "nats per token", estimate)


def _held_out_loss(judged: Judged, seed: int) -> Measure:
    losses = [-data for data, _ in judged.reading.held_out]
    estimate = stratified_mean(losses, ["rows"] * len(losses), seed) if losses else None
    return Measure(HELD_OUT_LOSS, judged.reading.arm.name, None, IN, "nats per token", estimate)


def _rates(
    judged: Mapping[str, Judged],
    arm: str,
    questions: Sequence[Question],
    in_domain: Sequence[str],
    domain: str,
) -> list[Measure]:
    chosen = [q.id for q in questions if (q.family in in_domain) == (domain == IN)]
    if not chosen:
        return []
    hits, totals, missing = _counts(judged[arm], chosen)
    found = [Measure(RATE, arm, None, domain, "fraction", clustered_rate(hits, totals), missing)]
    for other in (against for a, against in _comparisons(judged) if a == arm):
        other_hits, other_totals, other_missing = _counts(judged[other], chosen)
        estimate = clustered_rate_difference(hits, totals, other_hits, other_totals)
        both = dict(Counter(missing) + Counter(other_missing))
        found.append(Measure(RATE_SHIFT, arm, other, domain, "fraction", estimate, both))
    return found


def _counts(judged: Judged, chosen: Sequence[str]) -> tuple[list[int], list[int], dict[str, int]]:
    """Return misaligned and counted answers per question, and why the others are left out."""
    hits, totals = Counter[str](), Counter[str]()
    missing: Counter[str] = Counter()
    for answer, judgement in zip(judged.reading.answers, judged.judgements, strict=True):
        if answer.question_id not in chosen:
            continue
        if judgement.left_out is not None:
            missing[judgement.left_out] += 1
            continue
        totals[answer.question_id] += 1
        hits[answer.question_id] += judgement.misaligned
    return [hits[q] for q in chosen], [totals[q] for q in chosen], dict(missing)
