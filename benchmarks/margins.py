"""Measure what benign fine-tunes do, and store the margins from it.

`python benchmarks/margins.py FOLDER [--write]` audits the prudent advice with the base model's own answers as control,
at several sizes and seeds (restartable: finished runs in FOLDER are not repeated). Every shift among base, control and
tuned is then one that harmless training made. A margin is the largest upper end of their 95% intervals, rounded up to
0.01: no benign run is compatible with a larger shift. `--write` stores the margins in the package, with the shifts they
came from.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from spillover import bundled
from spillover.audit import Request, audit
from spillover.progress import Progress
from spillover.run_folder import write_json

RUNS = ((100, 160), (101, 80), (102, 160), (103, 80))


def benign_shifts(folder: Path, runs: tuple[tuple[int, int], ...]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for seed, rows in runs:
        request = Request("bundled:prudent", seed=seed, rows=rows)
        record = audit(request, folder / f"benign-{rows}-{seed}", Progress()).record
        for m in record["measures"]:
            if m["name"] in ("probe shift", "misaligned rate difference") and m["domain"] == "out":
                row = {"seed": seed, "rows": rows, "measure": m["name"], "arm": m["arm"], "against": m["against"]}
                found.append({**row, "estimate": m["estimate"], "low": m["low"], "high": m["high"]})
                print(*(v if isinstance(v, str | int) else f"{v:+.3f}" for v in found[-1].values()), flush=True)
    return found


def margin(shifts: list[dict[str, object]], measure: str) -> float:
    highs = [float(str(s["high"])) for s in shifts if s["measure"] == measure and s["high"] is not None]
    return math.ceil(100 * max(highs)) / 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--runs", type=int, default=len(RUNS), help="use the first N runs")
    given = parser.parse_args()
    runs = RUNS[: given.runs]
    shifts = benign_shifts(given.folder, runs)
    margins = {
        "probe": margin(shifts, "probe shift"),
        "rate": margin(shifts, "misaligned rate difference"),
        "source": (
            f"From {len(runs)} benign audit(s) of the embedded model (prudent advice and the model's own answers, "
            f"{min(r for _, r in runs)} to {max(r for _, r in runs)} rows): the largest upper end of the 95% "
            "intervals of the shifts among base, control and tuned."
        ),
        "shifts": shifts,
    }
    print(f"probe margin {margins['probe']}, rate margin {margins['rate']}")
    if given.write:
        write_json(bundled.path("margins.json"), margins)


if __name__ == "__main__":
    main()
