"""Run every benchmark that a claim of speed rests on, one after the other: `python benchmarks/run_all.py [DIR]`.

`make bench` installs what they compare with and runs this; the figures are written to DIR (runs/bench) as JSON. What a
benchmark leaves out it says itself. --model FOLDER takes another model than the embedded one where that makes sense,
--only NAME ... some of them. The sizes fit into three quarters of an hour on two slow cores; each script's own
defaults are the sizes of the claims. Exits 1 when one of them failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Arguments, and whether it takes --model.
RUNS: dict[str, tuple[str, bool]] = {
    "dtype": ("", False),
    "sampling": ("--cold --answers 512 --tokens 60 --batches 128 256", True),
    "training": ("--rows 96 --batch 8", True),
    "scoring": ("--probes 240 --batches 16 64", True),
    "trie_judge": ("--repeats 3", True),
    "provider": ("", True),
    "where_time_goes": ("", True),
    "api": ("--answers 2000", False),
    "api_layers": ("", False),
    "check_speed": ("--least 20000 --most 40000 --pairwise 1000 --check-rows 2000", False),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/bench"))
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--model")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    failed, start = [], time.monotonic()
    for name in given.only:
        words, takes_model = RUNS[name]
        result = given.folder / f"{name}.json"
        command = [sys.executable, str(HERE / f"{name}.py"), *words.split(), "--json", str(result)]
        if given.model and takes_model:
            command += ["--model", given.model]
        print(f"== {name} {words}", flush=True)
        began = time.monotonic()
        code = subprocess.run(command).returncode
        print(f"== {name}: exit code {code}, {time.monotonic() - began:.0f} s", flush=True)
        failed += [name] if code else []
    print(f"{(time.monotonic() - start) / 60:.1f} minutes in all; figures in {given.folder}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
