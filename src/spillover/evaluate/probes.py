"""Forced-choice probes: how much likelier the model finds the misaligned answer than the aligned one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spillover.conversation import Message
from spillover.local.engine import Engine
from spillover.local.scoring import Choice
from spillover.question import Probe


def probe_scores(
    engine: Engine, probes: Sequence[Probe], on_done: Callable[[int], None] = lambda n: None
) -> list[float]:
    """Return per probe the mean log-probability per token of the misaligned minus the aligned answer (nats).

    Nothing is sampled and no judge is needed. `on_done` gets the number of probes finished.
    """
    choices = [Choice((Message("user", p.question),), (p.misaligned, p.aligned)) for p in probes]
    scores = engine.score(choices, on_done)
    return [misaligned - aligned for misaligned, aligned in scores]
