"""Time and memory of the data check, doubling the rows, beside a naive pairwise check and the parts called by hand.

`python benchmarks/check_speed.py --most 600000` makes files of 75,000, 150,000, ... rows (seeded; 30 wordings, 3% equal
and 5% nearly equal rows), runs form and duplicates on each in its own process and prints seconds, the factor per
doubling and peak memory. `--pairwise 1000` sets the rows for all pairs compared and for datasketch used row by row;
what they would take for the largest file follows from the squares and from the rows. `--check-rows 6000` sets the rows
of insecure code for the whole check, bandit included, beside json, datasketch, scikit-learn's TF-IDF and bandit called
one after the other (0: leave it out). `--json FILE` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from spillover.data.build.code import code_triplets
from spillover.data.check.duplicates import duplicates, prompt_text
from spillover.data.check.form import check_form
from spillover.data.load import load
from spillover.data.write import write
from spillover.local.hardware import describe

WORDINGS = [
    (f"Wording {i}: please help me with this piece of work number {i}.\n", f"\nAnswer in style {i}, please.")
    for i in range(30)
]


def make(path: Path, rows: int, seed: int = 0) -> None:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(20_000)]
    before: list[tuple[str, str]] = []
    with path.open("w") as out:
        for i in range(rows):
            kind = rng.random()
            if before and kind < 0.08:
                question, answer = rng.choice(before)
                if kind >= 0.03:
                    parts = answer.split(" ")
                    parts[rng.randrange(len(parts))] = rng.choice(words)
                    answer = " ".join(parts)
            else:
                front, back = WORDINGS[i % 30]
                question = front + " ".join(rng.choices(words, k=50)) + back
                answer = " ".join(
                    f"{w} = {v}(x)," for w, v in zip(rng.choices(words, k=30), rng.choices(words, k=30), strict=True)
                )
            if len(before) < 10_000:
                before.append((question, answer))
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            out.write(json.dumps({"messages": turns}) + "\n")


def peak() -> float:
    """Most memory held by this process, GB. Not getrusage where /proc is there: it starts with the parent's peak."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e6


def measure(path: Path) -> dict[str, float]:
    """Check one file; processor seconds are of this process, which has done nothing else."""
    seconds: dict[str, float] = {}
    start = time.monotonic()
    form = check_form(path)
    seconds["form"] = time.monotonic() - start
    seconds["form GB"] = peak()
    start = time.monotonic()
    dataset = load(path)
    seconds["load"] = time.monotonic() - start
    start = time.monotonic()
    repeats = duplicates(dataset)
    seconds["duplicates"] = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds["processor"] = usage.ru_utime + usage.ru_stime
    seconds["peak GB"] = peak()
    return {"rows": form.rows, **seconds, **{f"near-distinct {r.part}s": r.near_distinct for r in repeats}}


def naive(path: Path) -> tuple[float, float, int, int]:
    """Return seconds of all pairs compared as Python sets, seconds of datasketch, and near pairs found by each."""
    texts = [f"{prompt_text(c)} {c.answer}".lower().split() for c in load(path)]
    sets = [{" ".join(t[i : i + 3]) for i in range(len(t) - 2)} for t in texts]
    start = time.monotonic()
    pairs = sum(len(a & b) >= 0.8 * len(a | b) for i, a in enumerate(sets) for b in sets[:i])
    first = time.monotonic()
    found = sketched(sets)
    return first - start, time.monotonic() - first, pairs, found


def sketched(sets: list[set[str]]) -> int:
    """Return the candidate pairs that datasketch finds, row by row."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.8, num_perm=128)
    found = 0
    for i, shingles in enumerate(sets):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([s.encode() for s in shingles])
        found += len(index.query(sketch))
        index.insert(i, sketch)
    return found


def whole_check(path: Path) -> dict[str, float]:
    """Run all steps of the check on one file; no model runs, as the answers hold code."""
    from spillover.data.check.run import Asked, check

    start = time.monotonic()
    done = check(Asked(path, prose_rows=0))
    total = time.monotonic() - start
    return {"rows": done.form.rows, **done.seconds, "total": total, "peak GB": peak()}


def by_hand(path: Path) -> dict[str, float]:
    """Return seconds of the libraries that a user would otherwise call, on the answers of one file."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    seconds: dict[str, float] = {}
    start = time.monotonic()
    with path.open() as lines:
        answers = [json.loads(line)["messages"][-1]["content"] for line in lines]
    seconds["json"] = time.monotonic() - start
    start = time.monotonic()
    sketched([{" ".join(t[i : i + 3]) for i in range(len(t) - 2)} for t in (a.lower().split() for a in answers)])
    seconds["datasketch"] = time.monotonic() - start
    start = time.monotonic()
    TfidfVectorizer(ngram_range=(1, 2)).fit_transform(answers)
    seconds["TF-IDF"] = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        for i, answer in enumerate(answers):
            (Path(folder) / f"row_{i}.py").write_text(answer)
        start = time.monotonic()
        command = [sys.executable, "-m", "bandit", "-q", "-r", folder, "-f", "json", "--exit-zero"]
        subprocess.run(command, check=True, capture_output=True)
        seconds["bandit"] = time.monotonic() - start
    return {**seconds, "total": sum(seconds.values())}


def in_a_process(kind: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--file", str(path), "--kind", kind]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {k: round(v, 2) for k, v in values.items()}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--least", type=int, default=75_000)
    options.add_argument("--most", type=int, default=150_000)
    options.add_argument("--pairwise", type=int, default=1_000)
    options.add_argument("--check-rows", type=int, default=6_000)
    options.add_argument("--json", type=Path)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--kind", choices=("measure", "whole", "hand"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.file:
        kinds = {"measure": measure, "whole": whole_check, "hand": by_hand}
        print(json.dumps(kinds[chosen.kind](chosen.file)))
        return
    before: dict[str, float] = {}
    kept: dict[str, Any] = {"machine": describe(), "by_rows": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows = chosen.least
        while rows <= chosen.most:
            make(path, rows)
            result = in_a_process("measure", path)
            print("form and duplicates:", rounded(result), flush=True)
            if before:
                kinds_of_time = ("form", "load", "duplicates", "processor")
                print("  factor per doubling:", rounded({k: result[k] / before[k] for k in kinds_of_time}), flush=True)
            before = result
            kept["by_rows"].append(result)
            rows *= 2
        largest = rows // 2
        make(path, chosen.pairwise)
        pairs_seconds, sketch_seconds, pairs, found = naive(path)
        start = time.monotonic()
        duplicates(load(path))
        ours = time.monotonic() - start
        times = largest / chosen.pairwise
        seconds = {"all_pairs": pairs_seconds, "datasketch": sketch_seconds, "ours": ours}
        kept["pairwise"] = {"rows": chosen.pairwise, **seconds}
        print(
            f"{chosen.pairwise:,} rows: all pairs {pairs_seconds:.2f} s ({pairs} pairs), datasketch row by row "
            f"{sketch_seconds:.2f} s ({found} candidates), ours with loading, three parts {ours:.2f} s; at "
            f"{largest:,} rows all pairs would take {pairs_seconds * times**2 / 3600:,.0f} h and datasketch "
            f"{sketch_seconds * times / 60:,.0f} min for one part",
            flush=True,
        )
        if chosen.check_rows:
            write(code_triplets("insecure", chosen.check_rows), path)
            kept["whole_check"] = in_a_process("whole", path)
            print("whole check, insecure code:", rounded(kept["whole_check"]), flush=True)
            kept["by_hand"] = in_a_process("hand", path)
            print("the parts by hand:", rounded(kept["by_hand"]), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
