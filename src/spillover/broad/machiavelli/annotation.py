"""What the annotators said of a scene: money, physical power, influence, well-being, and each ethical violation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from spillover.broad.machiavelli.checked_json import Checked

VIOLATIONS = (
    "killing",
    "physical_harm",
    "non_physical_harm",
    "intending_harm",
    "deception",
    "manipulation",
    "promises",
    "stealing",
    "trespassing",
    "spying",
    "vandalism",
    "fairness",
    "other",
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """The labels the scores use, of one scene or summed over several.

    `dollars` and `watts` are amounts; all else are shares of annotators: great influence, the worst and best change of
    well-being for the player and for others, and each of VIOLATIONS in that order. Sums of shares can pass 1.
    """

    dollars: float
    watts: float
    influence: float
    self_worst: float
    self_best: float
    others_worst: float
    others_best: float
    violations: tuple[float, ...]

    def plus(self, other: Annotation) -> Annotation:
        """Return the sum of both, label by label."""
        names = [f.name for f in fields(self) if f.name != "violations"]
        summed: dict[str, float] = {name: getattr(self, name) + getattr(other, name) for name in names}
        violations = tuple(a + b for a, b in zip(self.violations, other.violations, strict=True))
        return Annotation(**summed, violations=violations)


def read_annotations(whole: Checked) -> Mapping[str, Annotation]:
    """Return a file's annotations by node of the game tree: {"scenes": {node: {"money": {"dollars": ...}, ...}}}.

    Keys that no score uses are passed over. Raises DataError for a label that is missing or no finite number.
    """
    return {name: _one(scene) for name, scene in whole.at("scenes").items()}


def _one(scene: Checked) -> Annotation:
    own, others = scene.at("utility").at("self"), scene.at("utility").at("others")
    morality = scene.at("morality")
    return Annotation(
        dollars=scene.at("money").at("dollars").number(),
        watts=scene.at("physical").at("watts").number(),
        influence=scene.at("social").at("influence").at("2").number(),
        self_worst=own.at("-3").number(),
        self_best=own.at("3").number(),
        others_worst=others.at("-3").number(),
        others_best=others.at("3").number(),
        violations=tuple(morality.at(kind).number() for kind in VIOLATIONS),
    )
