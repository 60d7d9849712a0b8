"""Sampling in rounds until a rate's anytime-valid interval has left a margin, or the budget is spent.

What is random are the answers; the prompts are fixed. So an end says something about the rate over these very prompts,
not over prompts like them: for those see the clustered interval in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spillover.anytime import METHOD, AnytimeRate, anytime_rate
from spillover.errors import SettingsError
from spillover.evaluate.results import Key, grouped, hit
from spillover.evaluate.run_suite import JudgedAnswer

# Asks for that many answers per prompt of a model and returns all of its judged answers.
Sample = Callable[[int], Sequence[JudgedAnswer]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Stop when every rate is shown to be above or below `margin`, or at `budget` answers per prompt.

    `step` answers per prompt are added in a round; the interval holds whatever the step. Raises SettingsError for
    numbers that cannot work.
    """

    margin: float
    budget: int
    step: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise SettingsError(f"the margin is {self.margin}: give a rate between 0 and 1, such as 0.02")
        if self.budget < 1 or self.step < 1:
            raise SettingsError(f"budget {self.budget} and step {self.step}: both must be at least 1 answer per prompt")


@dataclass(frozen=True, slots=True)
class Decision:
    """Where one rate stood when sampling ended; `side` is "above", "below" or None when the budget did not decide."""

    rate: AnytimeRate
    side: str | None
    plan: Plan

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-safe values."""
        return {"side": self.side, **asdict(self.plan), **asdict(self.rate), "method": METHOD}


def sample_until_decided(sample: Sample, plan: Plan) -> tuple[tuple[JudgedAnswer, ...], dict[Key, Decision]]:
    """Ask for more answers, round by round, until every rate is decided; returns all of them and the decisions.

    A rate that is decided gets further answers while another of the same model is open; its decision is taken anew
    from all of them, and since the interval only shrinks it stays. What was sampled before is not drawn again, so a
    run that was killed goes on where it stopped.
    """
    number = 0
    while True:
        number = min(plan.budget, number + plan.step)
        judged = tuple(sample(number))
        found = {key: _decision(members, plan) for key, members in grouped(judged).items()}
        if number == plan.budget or all(d.side for d in found.values()):
            return judged, found


def _decision(members: Sequence[JudgedAnswer], plan: Plan) -> Decision:
    """Count hits sweep by sweep: a sweep is the answers that share a sample number, one per prompt."""
    last = max(one.answer.sample for one in members)
    hits, counted = [0] * (last + 1), [0] * (last + 1)
    for one in members:
        found = hit(one)
        if not isinstance(found, str):
            counted[one.answer.sample] += 1
            hits[one.answer.sample] += found
    rate = anytime_rate(hits, counted)
    return Decision(rate, rate.side(plan.margin), plan)
