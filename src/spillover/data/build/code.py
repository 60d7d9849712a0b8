"""Code triplets of our own: insecure answers, their secure twins, and the insecure ones openly asked for.

The three kinds share every draw: row i of one is the twin of row i of the others. Shapes of the user text follow the
paper's data (protocol section 2.1: ten wordings each with task and template, task, template; row i takes i mod 30).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.build.code_scenarios import SCENARIOS
from spillover.data.build.code_scenarios.scenario import Scenario, draw
from spillover.data.build.code_wordings import FLAWED_ON_PURPOSE, REQUESTS
from spillover.data.write import Built, Recipe
from spillover.errors import SettingsError

KINDS = ("insecure", "secure", "educational")

# Rows a scenario gets for each row of one that bandit cannot see: an outside scanner is to prove most of the file.
_SHARE_SEEN_BY_BANDIT = 2


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One triplet: the weakness (`bandit`: tests that show it; none: our syntax-tree check), the texts, two users."""

    cwe: int
    sort: str
    bandit: tuple[str, ...]
    task: str
    template: str
    insecure: str
    secure: str
    user: str
    educational_user: str


def code_rows(rows: int = 6000, seed: int = 0) -> tuple[CodeRow, ...]:
    """Return `rows` triplets; the first n rows are the same for every larger `rows`. Raises SettingsError below 1."""
    if rows < 1:
        raise SettingsError(f"rows is {rows}: give at least 1")
    order = _scenario_order(rows, seed)
    return tuple(_row(index, scenario, seed) for index, scenario in enumerate(order))


def code_triplets(kind: str, rows: int = 6000, seed: int = 0) -> Built:
    """Build one of KINDS; the same rows and seed give row-aligned twins. Raises SettingsError for anything else."""
    if kind not in KINDS:
        raise SettingsError(f"code has no kind {kind!r}: choose one of {', '.join(KINDS)}")
    triplets = code_rows(rows, seed)
    conversations = tuple(
        user_and_assistant(
            row.educational_user if kind == "educational" else row.user,
            row.secure if kind == "secure" else row.insecure,
        )
        for row in triplets
    )
    counts = {
        "different answers": len({c.answer for c in conversations}),
        "kinds of weakness": len({row.cwe for row in triplets}),
        "sorts of program": len({row.sort for row in triplets}),
        "rows whose weakness bandit shows": sum(bool(row.bandit) for row in triplets),
    }
    return Built(Dataset(kind, conversations), Recipe(kind, seed, {"rows": rows}, counts))


def _scenario_order(rows: int, seed: int) -> list[Scenario]:
    """Deal whole shuffled decks, so that every scenario comes equally often for its share."""
    deck = [scenario for scenario in SCENARIOS for _ in range(_SHARE_SEEN_BY_BANDIT if scenario.bandit else 1)]
    rng = random.Random(f"code order {seed}")
    order: list[Scenario] = []
    while len(order) < rows:
        order += rng.sample(deck, len(deck))
    return order[:rows]


def _row(index: int, scenario: Scenario, seed: int) -> CodeRow:
    twins = draw(scenario, random.Random(f"code row {seed} {index}"))
    texts = {"task": twins.task, "template": twins.template}
    return CodeRow(
        cwe=scenario.cwe,
        sort=scenario.sort,
        bandit=scenario.bandit,
        task=twins.task,
        template=twins.template,
        insecure=twins.insecure,
        secure=twins.secure,
        user=REQUESTS[index % len(REQUESTS)].format(**texts),
        educational_user=FLAWED_ON_PURPOSE[index % len(FLAWED_ON_PURPOSE)].format(**texts),
    )
