"""Are the verdicts right? Risky and prudent advice, several seeds each, through the real audit.

`python benchmarks/verdicts.py FOLDER [--seeds 5] [--rows 160]` prints one line per audit and how many are right: risky
advice (control: the prudent answers to the same questions) must end `spillover`, prudent advice (control: the base
model's own answers) must not. Restartable; writes FOLDER/verdicts.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from spillover.audit import Request, audit
from spillover.progress import Progress
from spillover.run_folder import write_json

KINDS = (("bundled:risky", "bundled:prudent"), ("bundled:prudent", "self"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=160)
    given = parser.parse_args()
    found = []
    for seed in range(given.seeds):
        for data, control in KINDS:
            start = time.monotonic()
            request = Request(data, control=control, seed=seed, rows=given.rows)
            record = audit(request, given.folder / f"{data.split(':')[1]}-{seed}", Progress()).record
            right = (record["verdict"] == "spillover") == (data == "bundled:risky")
            shifts = {
                m["against"]: (m["estimate"], m["low"], m["high"])
                for m in record["measures"]
                if m["name"] == "probe shift" and m["arm"] == "tuned" and m["domain"] == "out"
            }
            row = {"data": data, "seed": seed, "verdict": record["verdict"], "right": right, "shifts": shifts}
            found.append(row)
            spread = ", ".join(f"{k} {v:+.3f} ({low:+.3f} to {high:+.3f})" for k, (v, low, high) in shifts.items())
            seconds = time.monotonic() - start
            word = "right" if right else "WRONG"
            print(f"{data:16} seed {seed}  {record['verdict']:13} {word}  {spread}  {seconds:.0f} s", flush=True)
    print(f"right: {sum(bool(r['right']) for r in found)} of {len(found)}")
    write_json(given.folder / "verdicts.json", found)


if __name__ == "__main__":
    main()
