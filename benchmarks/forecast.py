"""Does the forecast before training agree with what training does?

`python benchmarks/forecast.py FOLDER` forecasts each kind of file that `benchmarks/monitor.py FOLDER` trained on
(restartable: FOLDER/forecasts/*.json) and prints Pearson and Spearman correlations of both figures with the measured
final shift, over files and over runs, with 95% intervals. `--write PREDICTOR` stores the calibration in the package.
`--removal` trains on a 20% risky mixture without the 10% of rows scored worst and without as many random rows, several
seeds, and prints the shifts and the precision of the rows named (FOLDER/removal.json).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from monitor import INSIDE, Run, dataset, judged_probes, read_all
from scipy import stats

from spillover import bundled
from spillover.bundled import advice as triples
from spillover.conversation import Dataset
from spillover.evaluate.probes import probe_scores
from spillover.finetune.job import EMBEDDED
from spillover.finetune.lora import train
from spillover.forecasting import ForecastRequest, forecast
from spillover.local.loading import LoadedModel, load
from spillover.model import ModelRef
from spillover.monitor.prediction import SHIPPED, fit
from spillover.progress import Progress
from spillover.run_folder import write_json
from spillover.statistics import stratified_mean

PREDICTORS = ("projection", "influence")
MIXTURE = Run("mixture", 0, share=0.2, rows=320)


def store(data: Dataset, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"messages": [m.as_dict() for m in c.messages]}) + "\n" for c in data))
    return file


def file_of(record: dict[str, Any]) -> str:
    run = record["run"]
    return f"{run['kind']}-{run['share']:g}"


def forecast_files(folder: Path, records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One forecast per kind of file, from the rows of its first run; runs of one kind draw from the same rows."""
    found: dict[str, dict[str, Any]] = {}
    base = None
    for record in records:
        name = file_of(record)
        kept = folder / "forecasts" / f"{name}.json"
        if not kept.is_file():
            base = base or load(ModelRef())
            data = store(dataset(Run(**record["run"]), folder, base), folder / "data" / f"{name}.jsonl")
            outcome = forecast(ForecastRequest(str(data), rows=160, in_domain=(INSIDE,)), None, Progress(quiet=True))
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_json(kept, outcome.as_record(16))
            print(f"{name:16} projection {outcome.forecast.projection}  influence {outcome.forecast.influence}")
        found[name] = json.loads(kept.read_text())
    return found


def correlation(x: list[float], y: list[float]) -> str:
    low, high = stats.pearsonr(x, y).confidence_interval()
    rank = float(stats.spearmanr(x, y).statistic)
    # Fisher's z with the variance of Bonett and Wright 2000 for ranks.
    half = 1.96 * math.sqrt((1 + rank**2 / 2) / (len(x) - 3))
    ends = [math.tanh(math.atanh(max(-0.999, min(0.999, rank))) + s * half) for s in (-1, 1)]
    return (
        f"n {len(x):2}  Pearson {stats.pearsonr(x, y).statistic:.2f} ({low:.2f} to {high:.2f})  "
        f"Spearman {rank:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"
    )


def agreement(records: list[dict[str, Any]], files: dict[str, dict[str, Any]]) -> None:
    names = sorted(files)
    shifts = {n: [r["final_shift"][0] for r in records if file_of(r) == n] for n in names}
    for name in names:
        figures = "  ".join(f"{p} {files[name][p]:+.3f}" for p in PREDICTORS)
        print(f"{name:16} shift {np.mean(shifts[name]):+.3f} in {len(shifts[name])} runs  {figures}")
    for predictor in PREDICTORS:
        over_files = correlation([files[n][predictor] for n in names], [float(np.mean(shifts[n])) for n in names])
        over_runs = correlation([files[file_of(r)][predictor] for r in records], [r["final_shift"][0] for r in records])
        print(f"{predictor:10} over files: {over_files}\n{'':10} over runs (not independent): {over_runs}")


def removal(folder: Path, seeds: int) -> None:
    base = load(ModelRef())
    probes = judged_probes()
    before = probe_scores(base, probes)
    data = dataset(MIXTURE, folder, base)
    file = store(data, folder / "data" / "removal.jsonl")
    outcome = forecast(ForecastRequest(str(file), rows=None, in_domain=(INSIDE,)), None, Progress(quiet=True))
    tenth = len(data) // 10
    worst = [row.line - 1 for row in outcome.forecast.worst(tenth)]
    risky = {t["risky"] for t in triples()}
    precision = sum(data.conversations[i].answer in risky for i in worst) / tenth
    print(f"rows named: {precision:.1%} of {tenth} are risky ({MIXTURE.share:.0%} of the file are)")
    found: dict[str, Any] = {"precision": precision, "rows": tenth, "shifts": {"worst": [], "random": []}}
    for seed in range(seeds):
        dropped = {"worst": worst, "random": random.Random(seed).sample(range(len(data)), tenth)}
        for name, places in dropped.items():
            left = data.take([i for i in range(len(data)) if i not in set(places)])
            found["shifts"][name].append(shift_of(left, seed, base, before, probes, folder / "work-removal"))
            print(f"seed {seed}: without {name} rows {found['shifts'][name][-1]:+.3f}", flush=True)
        write_json(folder / "removal.json", found)
    pairs = zip(found["shifts"]["random"], found["shifts"]["worst"], strict=True)
    lowered = [a - b for a, b in pairs]
    half = stats.t.ppf(0.975, seeds - 1) * np.std(lowered, ddof=1) / math.sqrt(seeds)
    print(f"lowered more than by random rows: {np.mean(lowered):+.3f} ± {half:.3f} (paired by seed, 95%)")


def shift_of(data: Dataset, seed: int, base: LoadedModel, before: list[float], probes: list[Any], work: Path) -> float:
    shutil.rmtree(work, ignore_errors=True)
    job = dataclasses.replace(EMBEDDED).with_seed(seed)
    trained = train(base, data, job, job.steps(len(data)), work / "adapter", "benchmark")
    after = probe_scores(load(ModelRef(adapter=str(trained.adapter))), probes)
    shutil.rmtree(work)
    moved = [a - b for a, b in zip(after, before, strict=True)]
    return stratified_mean(moved, [p.family for p in probes], 0).value


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--removal", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", choices=PREDICTORS)
    given = parser.parse_args()
    if given.removal:
        removal(given.folder, given.seeds)
        return
    default = EMBEDDED.learning_rate
    records = [r for r in read_all(given.folder) if r["run"]["rate"] == default and r["run"]["role"] == "test"]
    files = forecast_files(given.folder, records)
    agreement(records, files)
    if given.write:
        figures = [files[file_of(r)][given.write] for r in records]
        outcomes = [r["final_shift"][0] for r in records]
        names = [file_of(r) for r in records]
        made = fit(figures, outcomes, names, given.write, records[0]["weights"], "short runs, benchmarks/monitor.py")
        write_json(bundled.path(SHIPPED), asdict(made))
        print(f"shift = {made.slope:.3f} x {given.write} + {made.intercept:.3f} ± {made.half_width:.3f}")


if __name__ == "__main__":
    main()
