"""A run as large as StrongREJECT, 313 requests and 313 judgements, against the time that latency and connections set.

`python benchmarks/strong_reject.py [--requests 313] [--latency 0.3] [--connections 30] [--json FILE]` serves model and
judge (tests/fake_openai.py in a process of its own; answers of 900 characters, judge replies in the rubric's form) and
runs StrongREJECT of `spillover benchmark` on made-up harmless requests: as a command, and in this process after a run
of one request, so that imports are told apart. The bound: all answers, then all judgements, so many at once, nothing
else costing time. Printed: seconds, their ratio to the bound, what they went into, processor time, and the load of the
machine from other processes; `--profile FILE` writes a profile of the run in this process.
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from api import Server

from spillover.broad.benchmarks import presets_named
from spillover.broad.record import BenchmarkResult
from spillover.broad.run import How, open_benchmark_run, run_benchmarks
from spillover.local.hardware import describe

SEED = 0
WANTED = 1.3
_TOPICS = ("a lake", "an old clock", "rain", "a bicycle", "bread", "a lighthouse", "chess", "a kite", "tea", "snow")


def serve(latency: float) -> None:
    """Serve subject and judge until killed; prints the port."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from fake_openai import FakeOpenAI

    class Graded(FakeOpenAI):
        """Notes when each model's last reply went out."""

        def __init__(self, latency: float) -> None:
            super().__init__(latency=latency)
            self.ends: dict[str, float] = {}

        async def _answer(self, request: dict[str, Any], *rest: Any) -> Any:
            reply = await super()._answer(request, *rest)
            self.ends[request["model"]] = time.monotonic()
            return reply

        def text(self, request: dict[str, Any], key: str) -> str:
            draw = random.Random(key)
            if request["model"] != "judge":
                return f"Made answer {key[:24]}. " + "A plain sentence of no interest to anyone at all. " * 17
            scores = f"1.a Words.\n1.b {draw.randint(0, 1)}\n2.a Words.\n2.b {draw.randint(1, 5)}\n3.a Words.\n3.b "
            return "#overall_reasoning " + "It is so. " * 60 + f"\n#scores\n{scores}{draw.randint(1, 5)}\n"

        def summary(self) -> dict[str, Any]:
            return {**super().summary(), "ends": self.ends}

    with Graded(latency) as served:
        print(served.port, flush=True)
        threading.Event().wait()


def write_requests(folder: Path, count: int) -> None:
    """Write made-up harmless requests in the format of the benchmark's own table."""
    folder.mkdir(exist_ok=True)
    with (folder / "strong_reject.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["category", "source", "forbidden_prompt"])
        for n in range(count):
            words = f"Write instruction {n} for drawing {_TOPICS[n % 10]} beside {_TOPICS[n // 10 % 10]}."
            writer.writerow(["Made", "made", words])


def as_command(folder: Path, connections: int) -> float:
    """Seconds of the whole command, its start and imports too."""
    command = [sys.executable, "-m", "spillover", "benchmark", "openai/made", "--benchmarks", "strong_reject"]
    command += ["--data", str(folder / "data"), "--judge", "openai/judge", "--connections", str(connections)]
    start = time.monotonic()
    subprocess.run([*command, "--out", str(folder / "command")], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def as_call(folder: Path, name: str, connections: int, limit: int | None = None) -> BenchmarkResult:
    """Run the benchmark in this process, its imports where this is the first run."""
    run = open_benchmark_run(folder / name, SEED, {})
    how = How(folder / "data", "openai/judge", limit=limit, seed=SEED, connections=connections)
    try:
        return run_benchmarks(run, {"made": "openai/made"}, presets_named(["strong_reject"]), how).results[0]
    finally:
        run.close()


def timed(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the run in this process after one of one request, and where they went."""
    start = time.monotonic()
    as_call(folder, "first", given.connections, 1)
    started = time.monotonic() - start
    # A server that has counted nothing yet.
    server = served(given.latency)
    profile = cProfile.Profile()
    try:
        start, spent = time.monotonic(), time.process_time()
        if given.profile:
            profile.enable()
        result = as_call(folder, "run", given.connections)
        profile.disable()
        end, spent = time.monotonic(), time.process_time() - spent
        summary = server.summary()
    finally:
        server.stop()
    if given.profile:
        profile.dump_stats(given.profile)
    # Both processes read one clock.
    (first, _), ends = summary["loads"][0], summary["ends"]
    return {
        "seconds": end - start,
        "first_run_of_one_request_with_imports": started,
        "until_first_request": first - start,
        "answers": ends["made"] - first,
        "judgements_behind_the_last_answer": ends["judge"] - ends["made"],
        "scores_and_log": end - ends["judge"],
        "processor_seconds": spent,
        "replies": sum(summary["kinds"].values()),
        "scored": result.estimate.n if result.estimate else 0,
        "missing": result.missing,
    }


def served(latency: float) -> Server:
    """Start the server and name it to inspect_ai."""
    server = Server(latency, command=[sys.executable, __file__, "--serve", str(latency)])
    os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"] = server.url, "made-key"
    return server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=313)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--connections", type=int, default=30)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve)
        return
    bound = 2 * math.ceil(given.requests / given.connections) * given.latency
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_requests(folder / "data", given.requests)
        server = served(given.latency)
        try:
            command = as_command(folder, given.connections)
            found = timed(folder, given)
        finally:
            server.stop()
    ratio, whole = found["seconds"] / bound, command / bound
    print(f"{given.requests} requests, {given.connections} connections, {given.latency} s: bound {bound:.1f} s")
    said = "within" if ratio <= WANTED else "above"
    print(f"run      {found['seconds']:.1f} s, {ratio:.2f} times the bound ({said} {WANTED})")
    print(f"command  {command:.1f} s with start and imports, {whole:.2f} times the bound")
    for part in ("until_first_request", "answers", "judgements_behind_the_last_answer", "scores_and_log"):
        print(f"         {found[part]:5.1f} s {part.replace('_', ' ')}")
    print(f"         {found['processor_seconds']:5.1f} s of processor time; load of the machine before: {load:.1f}")
    print(f"         {found['replies']} replies, {found['scored']} scored, missing: {found['missing'] or 'none'}")
    if given.json:
        kept = {"machine": describe(), "load_before": load, "bound": bound, "ratio": ratio, "command_seconds": command}
        given.json.write_text(json.dumps({**kept, "command_ratio": whole, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
