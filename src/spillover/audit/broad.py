"""The broad look: public benchmarks on the arms of an audit, and the pattern they make with the audit's own rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spillover.broad.benchmarks import presets_named
from spillover.broad.kept_results import comparable, look_of_all
from spillover.broad.paired import as_dict, patterns_of
from spillover.broad.pattern import Margins, NamedPattern, difference
from spillover.broad.program_scorer import sandboxed_programs
from spillover.broad.record import BroadLook
from spillover.broad.run import How, run_benchmarks
from spillover.broad.tasks import need_inspect_evals
from spillover.errors import SettingsError
from spillover.evaluate.api import open_model
from spillover.evaluate.local_answers import local_identity, local_name, local_ref
from spillover.model import ModelRef
from spillover.progress import Progress
from spillover.run_folder import RunFolder
from spillover.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Broad:
    """Which benchmarks an audit runs on its arms, and how, with the audit's seed; they do not change the verdict."""

    benchmarks: tuple[str, ...]
    how: How


def check(broad: Broad, trust_remote_code: bool) -> None:
    """Raise a SpilloverError, before anything is trained, for benchmarks that could not be run as they are asked for.

    Whether each benchmark's data are there shows later: one that cannot be had is told, and the rest goes on.
    """
    need_inspect_evals()
    presets_named(broad.benchmarks)
    if trust_remote_code:
        raise SettingsError("benchmarks run no code that comes with a model: leave --broad out, or the model's code")
    if broad.how.data is not None and not broad.how.data.is_dir():
        raise SettingsError(
            f"--benchmark-data {broad.how.data} is no folder: name one with a file or folder per benchmark"
        )
    if broad.how.judge is None:
        return
    if local_ref(broad.how.judge) is None:
        open_model(broad.how.judge)
    else:
        local_identity(broad.how.judge)


def look_broadly(
    broad: Broad,
    arms: Mapping[str, ModelRef],
    rates: Mapping[str, Estimate] | str,
    rate_margin: float,
    seed: int,
    folder: RunFolder,
    progress: Progress,
) -> dict[str, Any]:
    """Run the benchmarks on `arms` (name to model) and return what the audit's record says of them.

    The base comes first in `arms`, the tuned one last. `rates` are their misaligned rates outside the training domain,
    or the reason why these say nothing; with `rate_margin` they name the tuned arm's pattern. Replies, results and logs
    are kept in `folder`. Keys: `results`, `not_run`, `differences` (each arm minus each one before it, fractions) and
    `patterns`. Raises ModelError as `run_benchmarks` does.
    """
    names = {arm: local_name(ref) for arm, ref in arms.items()}
    latest = run_benchmarks(
        folder,
        names,
        presets_named(broad.benchmarks),
        replace(broad.how, seed=seed),
        open_programs=sandboxed_programs,
        progress=progress,
    )
    *others, tuned = names
    look = look_of_all(folder, latest)
    held = comparable(look, others[0])
    named: Mapping[str, NamedPattern | str] = {tuned: rates} if isinstance(rates, str) else {}
    if not isinstance(rates, str):
        named = patterns_of(held, rates, [tuned], others, Margins(misaligned=rate_margin))
    record = look.as_dict()
    # Where the run folder lies is no fact about the models.
    del record["logs"]
    asked = {
        "benchmarks": list(broad.benchmarks),
        "own_data": broad.how.data is not None,
        "judge": broad.how.judge,
        "limit": broad.how.limit,
    }
    return {"asked": asked, **record, "differences": _differences(held, list(names)), "patterns": as_dict(named)}


def _differences(look: BroadLook, arms: Sequence[str]) -> list[dict[str, Any]]:
    """Hold each arm against those before it, on each benchmark that both were scored on."""
    found = []
    for name in dict.fromkeys(r.benchmark for r in look.results):
        scored = [r for arm in arms if (r := look.of(name, arm)) is not None and r.estimate is not None]
        for place, one in enumerate(scored):
            for other in scored[:place]:
                assert one.estimate is not None and other.estimate is not None
                d = difference(one.estimate, other.estimate)
                found.append(
                    {
                        "benchmark": name,
                        "arm": one.model,
                        "against": other.model,
                        "estimate": d.value,
                        "low": d.low,
                        "high": d.high,
                        "method": d.method,
                    }
                )
    return found
