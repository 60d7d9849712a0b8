"""Time and memory of the form and duplicate checks, doubling the rows, beside a naive pairwise check and datasketch.

`python benchmarks/check_speed.py --most 600000` makes files of 75,000, 150,000, ... rows (seeded; 30 wordings, 3% equal
and 5% nearly equal rows), checks each in its own process and prints seconds, the factor per doubling and peak memory.
`--pairwise 1000` sets the rows for the naive check and for datasketch used row by row.
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

from spillover.data.check.duplicates import duplicates, prompt_text
from spillover.data.check.form import check_form
from spillover.data.load import load

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


def measure(path: Path) -> dict[str, float]:
    """Check one file; processor seconds are of this process, which has done nothing else."""
    seconds: dict[str, float] = {}
    start = time.monotonic()
    form = check_form(path)
    seconds["form"] = time.monotonic() - start
    seconds["form GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.monotonic()
    dataset = load(path)
    seconds["load"] = time.monotonic() - start
    start = time.monotonic()
    repeats = duplicates(dataset)
    seconds["duplicates"] = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds["processor"] = usage.ru_utime + usage.ru_stime
    seconds["peak GB"] = usage.ru_maxrss / 1e6
    return {"rows": form.rows, **seconds, **{f"near-distinct {r.part}s": r.near_distinct for r in repeats}}


def naive(path: Path) -> tuple[float, float, int, int]:
    """Return seconds of all pairs compared as Python sets, seconds of datasketch, and near pairs found by each."""
    from datasketch import MinHash, MinHashLSH

    texts = [f"{prompt_text(c)} {c.answer}".lower().split() for c in load(path)]
    sets = [{" ".join(t[i : i + 3]) for i in range(len(t) - 2)} for t in texts]
    start = time.monotonic()
    pairs = sum(len(a & b) >= 0.8 * len(a | b) for i, a in enumerate(sets) for b in sets[:i])
    first = time.monotonic()
    index = MinHashLSH(threshold=0.8, num_perm=128)
    found = 0
    for i, shingles in enumerate(sets):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([s.encode() for s in shingles])
        found += len(index.query(sketch))
        index.insert(i, sketch)
    return first - start, time.monotonic() - first, pairs, found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--least", type=int, default=75_000)
    options.add_argument("--most", type=int, default=150_000)
    options.add_argument("--pairwise", type=int, default=1_000)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.file:
        print(json.dumps(measure(chosen.file)))
        return
    before: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows = chosen.least
        while rows <= chosen.most:
            make(path, rows)
            command = [sys.executable, __file__, "--file", str(path)]
            result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print({k: round(v, 2) for k, v in result.items()})
            if before:
                kinds = ("form", "load", "duplicates", "processor")
                print("  factor per doubling:", {k: round(result[k] / before[k], 2) for k in kinds})
            before = result
            rows *= 2
        make(path, chosen.pairwise)
        pairs_seconds, sketch_seconds, pairs, found = naive(path)
        start = time.monotonic()
        duplicates(load(path))
        ours = time.monotonic() - start
        print(
            f"{chosen.pairwise:,} rows: all pairs {pairs_seconds:.2f} s ({pairs} pairs), datasketch row by row "
            f"{sketch_seconds:.2f} s ({found} candidates), ours with loading, three parts {ours:.2f} s"
        )


if __name__ == "__main__":
    main()
