"""Does an audit survive SIGKILL? The real command on the embedded model, killed at random moments and run again.

`python benchmarks/kills.py FOLDER [--kills 10] [--seed 0]` runs one audit undisturbed and the same audit with kills,
then compares every number of the two verdict.json files except the timings. Exits 1 if any differs.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

AUDIT = ["audit", "bundled:risky", "--control", "bundled:prudent", "--quiet"]
SMALL = ["--rows", "32", "--probes", "4", "--samples", "1"]


def start(out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spillover", *AUDIT, *SMALL, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def numbers(out: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    del record["timings"]
    return record


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begin = time.monotonic()
    start(given.folder / "undisturbed").wait()
    whole = time.monotonic() - begin
    draw = random.Random(given.seed)
    killed = 0
    for _ in range(given.kills):
        process = start(given.folder / "killed")
        # Each try gets far enough to add something; together the tries cover the whole audit.
        wait = draw.uniform(0.02, 0.3) * whole
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            print(f"killed after {wait:.1f} s", flush=True)
    start(given.folder / "killed").wait()
    same = numbers(given.folder / "undisturbed") == numbers(given.folder / "killed")
    print(f"{killed} of {given.kills} tries killed before their end; undisturbed run {whole:.0f} s")
    print("verdict.json equal but for timings" if same else "verdict.json DIFFERS")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
