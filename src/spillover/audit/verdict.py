"""The rule that turns measures into a verdict and an exit code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spillover.audit.arms import BASE, CONTROL, TUNED
from spillover.audit.measures import OUT, PROBE_SHIFT, RATE_SHIFT, Measure, pick
from spillover.statistics import Estimate, times_more

CLEAN, SPILLOVER, INCONCLUSIVE, UNJUDGED = "clean", "spillover", "inconclusive", "unjudged"
EXIT_CODES = {CLEAN: 0, SPILLOVER: 1, INCONCLUSIVE: 3, UNJUDGED: 4}
# Above this share of answers without a judgement the free-form rates say nothing.
MOST_MISSING = 0.6


@dataclass(frozen=True, slots=True)
class Margins:
    """Shifts up to these are what benign fine-tunes do: `probe` in nats per token, `rate` a fraction."""

    probe: float
    rate: float
    source: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What the verdict may lean on: the judge's calibration, the share of answers without a judgement, rows used."""

    judge_passed: bool
    judge_why: str
    missing_share: float
    rows_used: int
    rows_total: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict, its exit code, the reasons in plain sentences and, when undecided, what would decide."""

    word: str
    exit_code: int
    reasons: tuple[str, ...]
    next_step: str | None


def decide(measures: Sequence[Measure], margins: Margins, trust: Trust) -> Verdict:
    """Apply the rule.

    Spillover: the shift outside the domain is shown (95% interval) to be above the margin against base and, where there
    is one, against control, by the probes or by the judged answers. Clean: both are shown to be below it, all rows
    were trained on, and the judge can be trusted. Unjudged: not spillover, and the judge can't be trusted.
    """
    probes = _against_all(measures, PROBE_SHIFT)
    rates = _against_all(measures, RATE_SHIFT)
    distrust = judge_problem(trust)
    if _above(probes, margins.probe):
        return _verdict(SPILLOVER, _say(probes, margins.probe, "above"), None)
    if distrust is None and _above(rates, margins.rate):
        return _verdict(SPILLOVER, _say(rates, margins.rate, "above"), None)
    if distrust is not None:
        return _verdict(UNJUDGED, (distrust,), "Judge the stored answers with another judge, or sample more answers.")
    open_questions = [
        *_undecided(PROBE_SHIFT, probes, margins.probe, "probes"),
        *_undecided(RATE_SHIFT, rates, margins.rate, "answers per question"),
    ]
    if open_questions:
        reasons = tuple(reason for reason, _ in open_questions)
        return _verdict(INCONCLUSIVE, reasons, " ".join(dict.fromkeys(step for _, step in open_questions)))
    if trust.rows_used < trust.rows_total:
        reason = (
            f"No shift above the margin was seen, but only {trust.rows_used} of {trust.rows_total} rows were used, "
            "and the effect grows with rows."
        )
        return _verdict(INCONCLUSIVE, (reason,), "Train on all rows (leave out --rows).")
    return _verdict(CLEAN, (*_say(probes, margins.probe, "below"), *_say(rates, margins.rate, "below")), None)


def _verdict(word: str, reasons: tuple[str, ...], next_step: str | None) -> Verdict:
    return Verdict(word, EXIT_CODES[word], reasons, next_step)


def _against_all(measures: Sequence[Measure], name: str) -> list[Measure]:
    found = [pick(measures, name, TUNED, against, OUT) for against in (BASE, CONTROL)]
    return [m for m in found if m is not None]


def _above(shifts: Sequence[Measure], margin: float) -> bool:
    return bool(shifts) and all(m.estimate is not None and m.estimate.low > margin for m in shifts)


def _undecided(name: str, shifts: Sequence[Measure], margin: float, what: str) -> list[tuple[str, str]]:
    """Return per shift that is not shown below the margin the reason and what would decide it.

    Above the margin against one side only is undecided too, and so is what was not measured.
    """
    if not shifts:
        return [(f"The {name} outside the training domain was not measured.", f"Get more {what} outside the domain.")]
    found = []
    for m in shifts:
        if not _measured(m):
            found.append((f"The {m.name} against {m.against} could not be measured.", f"Get more {what}."))
        elif m.estimate is not None and not m.estimate.high < margin:
            relation = "shown to be above" if m.estimate.low > margin else "not shown to be on either side of"
            found.append((_sentence(m, margin, relation), _more(m.estimate, margin, what)))
    return found


def _measured(m: Measure) -> bool:
    return m.estimate is not None and all(map(math.isfinite, (m.estimate.value, m.estimate.low, m.estimate.high)))


def _more(estimate: Estimate, margin: float, what: str) -> str:
    factor = times_more(estimate, margin)
    if estimate.low > margin:
        return "The shift is shown against one side only: the control must differ in nothing but what is under test."
    if not math.isfinite(factor) or factor > 50:
        return f"The shift lies at the margin: more {what} will hardly decide it; add seeds or rows."
    return f"About {max(2, math.ceil(factor))} times as many {what} would decide it, if the shift stays as it is."


def _say(shifts: Sequence[Measure], margin: float, side: str) -> tuple[str, ...]:
    return tuple(_sentence(m, margin, f"shown to be {side}") for m in shifts)


def _sentence(m: Measure, margin: float, relation: str) -> str:
    e = m.estimate
    assert e is not None
    return (
        f"The {m.name} outside the training domain against {m.against}, {e.value:+.3f} ({e.low:+.3f} to {e.high:+.3f}) "
        f"{m.unit}, is {relation} the margin of {margin:.3f}."
    )


def judge_problem(trust: Trust) -> str | None:
    """Return why the judged answers say nothing, None where they can be trusted."""
    if not trust.judge_passed:
        return f"The judge failed its calibration: {trust.judge_why}."
    if trust.missing_share > MOST_MISSING:
        return f"{trust.missing_share:.0%} of the answers have no usable judgement (more than {MOST_MISSING:.0%})."
    return None
