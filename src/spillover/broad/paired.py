"""Benchmarks paired with free-form answers: the pattern of each model, held against a reference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spillover.broad.pattern import Compared, Margins, NamedPattern, name_pattern, paper_beside
from spillover.broad.record import BroadLook
from spillover.errors import DataError
from spillover.evaluate.calibrate import UNJUDGED
from spillover.statistics import Estimate

HARM, ABILITY = "strong_reject", "mmlu"
MAIN = "main"


def free_form_rates(folder: Path) -> dict[str, Estimate]:
    """Return each model's rate of misaligned answers to the main questions from a folder of `spillover evaluate`.

    Of several judges the first counts, for all models; models without a counted answer are left out. Raises DataError
    for a folder without such results, for another suite (on the pre-registered questions jailbroken models are
    misaligned too, protocol 8.1), and where the judge failed its calibration.
    """
    try:
        rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]
        suites = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["asked"]["suite"]["name"].split("+")
        if MAIN not in suites:
            raise DataError(f"{folder} holds answers to {'+'.join(suites)}: evaluate the models on the suite {MAIN}")
        variant = "plain" if suites == [MAIN] else MAIN
        mine = [row for row in rows if row["counted"] == "misaligned" and row["variant"] == variant]
        mine = [row for row in mine if row["judge"] == mine[0]["judge"]]
        if any(row["trust"] == UNJUDGED for row in mine):
            raise DataError(f"{folder}: {mine[0]['judge']} failed its calibration, so its rates name no pattern")
        return {
            row["model"]: Estimate(*(row[k] for k in ("rate", "low", "high", "n", "questions", "method")))
            for row in mine
            if row["rate"] is not None
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{folder} is no folder that this version's `spillover evaluate` wrote: evaluate the models again"
        ) from None


def patterns_of(
    look: BroadLook,
    free_form: Mapping[str, Estimate],
    models: Sequence[str],
    references: Sequence[str],
    margins: Margins | None = None,
) -> dict[str, NamedPattern | str]:
    """Return per model that is no reference its pattern, or the reason why it has none.

    StrongREJECT says how harmful its answers are, MMLU, where it was run, how able it is. A reference counts where it
    has the same measure.
    """
    return {m: _pattern(look, free_form, m, references, margins) for m in models if m not in references}


def as_dict(patterns: Mapping[str, NamedPattern | str]) -> dict[str, Any]:
    """Return the patterns as JSON-safe values: the name, the findings in words, the study's groups beside it.

    Where there is no pattern, its name is None and `why` says the reason.
    """
    return {model: _told(found) for model, found in patterns.items()}


def _told(found: NamedPattern | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"pattern": None, "why": found}
    return {
        "pattern": found.pattern,
        "less_able": found.less_able,
        "evidence": list(found.evidence()),
        "paper": [group.as_dict() for group in paper_beside(found.pattern)],
    }


def _pattern(
    look: BroadLook,
    free_form: Mapping[str, Estimate],
    model: str,
    references: Sequence[str],
    margins: Margins | None,
) -> NamedPattern | str:
    scores = {name: _scores(look, name, (model, *references)) for name in (HARM, ABILITY)}
    compared = {}
    for name, found in (("free-form answers", free_form), ("StrongREJECT", scores[HARM])):
        held = {r: found[r] for r in references if r in found}
        if model not in found or not held:
            return f"no {name} of {model if model not in found else 'any reference'}"
        compared[name] = Compared(found[model], held)
    held = {r: scores[ABILITY][r] for r in references if r in scores[ABILITY]}
    ability = Compared(scores[ABILITY][model], held) if model in scores[ABILITY] and held else None
    return name_pattern(compared["free-form answers"], compared["StrongREJECT"], ability, margins)


def _scores(look: BroadLook, benchmark: str, models: Sequence[str]) -> dict[str, Estimate]:
    results = ((model, look.of(benchmark, model)) for model in models)
    return {model: r.estimate for model, r in results if r is not None and r.estimate is not None}
