"""Answers and judgements over an API that fails: throughput, and rows lost or invented, ours and llmcomp's.

`python benchmarks/api.py [--answers 2000] [--latency 0.3] [--connections 60] [--llmcomp PYTHON] [--json FILE]` starts
the server of tests/fake_openai.py in a process of its own (5% errors, 1% hangs, 4% broken replies), evaluates
against it and compares every row with the server's ledger. PYTHON is the interpreter of a venv with llmcomp 1.6.0; it
is run against a second server with the same failures. A row is lost when it is neither a value nor marked missing,
invented when its value is not what the server said. `--kills 10` then repeats our run, killed with SIGKILL at so many
random moments, and compares its rows with those of the first.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from spillover.evaluate.judges import judge_named
from spillover.evaluate.prompts import ALIGNED, COHERENT
from spillover.evaluate.request_pool import Limits, ask_model
from spillover.evaluate.rubric import aggregate
from spillover.evaluate.run_suite import Drawing, answer_suite, judge_answers, open_run
from spillover.local.hardware import describe
from spillover.suite import Item, SuiteFile

FAKE = Path(__file__).resolve().parent.parent / "tests" / "fake_openai.py"
QUESTIONS = 20

# Runs in llmcomp's own venv: the same questions, samples and two rubrics; prints one JSON list of rows.
PEER = """
import importlib.metadata, json, sys, time
questions, samples, workers, url, timeout, aligned, coherent = json.loads(sys.argv[1])
from llmcomp import Config, Question
Config.url_key_pairs = [(url, "made-key", "OPENAI_API_KEY")]
Config.max_workers, Config.timeout = workers, timeout
judge = lambda text: {"type": "rating_judge", "model": "judge", "paraphrases": [text]}
question = Question.create(type="free_form", paraphrases=questions, samples_per_paraphrase=samples, temperature=1,
    max_tokens=1000, judges={"aligned": judge(aligned), "coherent": judge(coherent)})
start = time.monotonic()
frame = question.df({"made": ["made"]})
seconds = time.monotonic() - start
rows = [[a, s, c] for a, s, c in zip(frame["answer"], frame["aligned"], frame["coherent"])]
clean = lambda v: v if isinstance(v, str) else None if v is None or v != v else float(v)
print("ROWS" + json.dumps([importlib.metadata.version("llmcomp"), seconds, [[clean(v) for v in r] for r in rows]]))
"""


class Server:
    """The fake server in a process of its own."""

    def __init__(self, latency: float, failing: bool = True, command: Sequence[str] = ()) -> None:
        plain = [sys.executable, str(FAKE), "0", str(latency), *([] if failing else ["sound"])]
        self.process = subprocess.Popen(command or plain, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def summary(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ledger", timeout=60) as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def ours(url: str, given: argparse.Namespace, folder: Path) -> tuple[float, list[list[Any]]]:
    """Seconds, and [answer or None, aligned, coherent, reason] per row."""
    os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"] = url, "made-key"
    items = (Item(f"q{i}", "made", (f"Question {i}?",), ("rubric",), f"q{i}") for i in range(QUESTIONS))
    suite = SuiteFile("made", 1, "Made for a benchmark.", tuple(items))
    limits = Limits(connections=given.connections, attempt_seconds=given.timeout, first_wait=0.5)
    ask = partial(ask_model, limits=limits)
    run = open_run(folder if given.only_run else folder / "run", suite, Drawing(), {})
    start = time.monotonic()
    answers = answer_suite(run, ["openai/made"], suite, Drawing(), ask, samples=given.answers // QUESTIONS)
    judged = judge_answers(run, answers, judge_named("rubric:openai/judge"), ask)
    seconds = time.monotonic() - start
    run.close()
    return seconds, [
        [j.answer.text, getattr(j.verdict, "aligned", None), getattr(j.verdict, "coherent", None), j.verdict.missing]
        for j in judged
    ]


def killed(given: argparse.Namespace, folder: Path) -> str:
    """Our run in processes of its own, each killed at a random moment, then to its end; says whether rows are the same.

    Rows that are missing for a failure that passes (a hang) are left out: they depend on how often a thing was asked.
    """
    server, draw = Server(given.latency), random.Random(0)
    command = [sys.executable, __file__, *sys.argv[1:], "--only-run", server.url, str(folder / "killed")]
    seconds = []
    try:
        for _ in range(given.kills):
            seconds.append(round(draw.uniform(7, 12), 1))
            with subprocess.Popen(command) as process:
                time.sleep(seconds[-1])
                if process.poll() is not None:
                    return f"the run ended before kill {len(seconds)}: ask for more answers"
                process.kill()
        subprocess.run(command, check=True)
    finally:
        server.stop()
    whole, again = (rows_of(folder / name) for name in ("run", "killed"))
    passing = {
        key for rows in (whole, again) for key, value in rows.items() if json.loads(value).get("missing") == "timed out"
    }
    same = all(whole.get(key) == again.get(key) for key in (whole.keys() | again.keys()) - passing)
    return (
        f"killed after {', '.join(map(str, seconds))} s: {len(again)} rows, those of the undisturbed run: {same} "
        f"({len(passing)} that timed out in one of them left out)"
    )


def rows_of(folder: Path) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(folder / "rows.sqlite")) as stored:
        return {(kind, key): value for kind, key, value in stored.execute("SELECT kind, key, value FROM rows")}


def peer(server: Server, given: argparse.Namespace, folder: Path) -> tuple[str, float, list[list[Any]]] | str:
    """Version, seconds and rows of llmcomp, or why there are none."""
    if not given.llmcomp:
        return "absent: give --llmcomp PYTHON, the interpreter of a venv that has it"
    plain = "{question}\n{answer}\n\n"
    names = [f"Question {i}?" for i in range(QUESTIONS)]
    rubrics = [prompt.before + "\n\n" + plain + prompt.after for prompt in (ALIGNED, COHERENT)]
    settings = [names, given.answers // QUESTIONS, given.connections, server.url, given.timeout, *rubrics]
    command = [given.llmcomp, "-c", PEER, json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    found = [line for line in done.stdout.splitlines() if line.startswith("ROWS")]
    if not found:
        return f"absent: {(done.stderr.strip().splitlines() or ['it printed no rows'])[-1]}"
    version, seconds, rows = json.loads(found[0].removeprefix("ROWS"))
    return version, seconds, rows


def told(ledger: dict[str, dict[str, Any]]) -> tuple[set[str], set[float]]:
    """All answers that the server gave whole, and all scores that follow from its whole tables."""
    whole = [entry for entry in ledger.values() if entry["kind"] == "ok"]
    scores = (aggregate([(t, v) for t, v in entry["table"]]).value for entry in whole if entry["table"])
    return {e["text"] for e in whole if not e["table"]}, {round(s, 6) for s in scores if s is not None}


def verdict(rows: list[list[Any]], wanted: int, ledger: dict[str, dict[str, Any]], marks_missing: bool) -> str:
    """Count rows that are lost and values that the server never gave."""
    texts, scores = told(ledger)
    invented = sum(row[0] is not None and row[0] not in texts for row in rows)
    invented += sum(value is not None and round(value, 6) not in scores for row in rows for value in row[1:3])
    lost = wanted - len(rows)
    if marks_missing:
        lost += sum(None in row[:3] and not row[3] for row in rows)
    missing = sum(None in row[:3] for row in rows)
    return f"{len(rows)} rows, {missing} with a gap, {lost} lost, {invented} values invented"


def busy(summary: dict[str, Any], connections: int) -> float:
    """Mean share of the connections in use at the server, until nine in ten were in use for the last time."""
    loads = summary["loads"]
    full = [moment for moment, level in loads if level >= 0.9 * connections]
    end = full[-1] if full else loads[-1][0]
    spans = itertools.pairwise(loads)
    area = sum(min(level, connections) * (min(stop, end) - start) for (start, level), (stop, _) in spans if start < end)
    return area / (end - loads[0][0]) / connections


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--connections", type=int, default=60)
    parser.add_argument("--timeout", type=float, default=3.0)
    parser.add_argument("--llmcomp", default="")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--only-run", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.only_run:
        ours(given.only_run[0], given, Path(given.only_run[1]))
        return
    wanted = given.answers // QUESTIONS * QUESTIONS
    failed = False
    kept: dict[str, Any] = {"machine": describe(), "answers": wanted, "connections": given.connections}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("spillover", "llmcomp"):
            server = Server(given.latency)
            try:
                found = (
                    ("", *ours(server.url, given, Path(folder)))
                    if name == "spillover"
                    else peer(server, given, Path(folder))
                )
                if isinstance(found, str):
                    print(f"{name}: {found}")
                    kept[name] = {"left_out": found}
                    continue
                version, seconds, rows = found
                summary = server.summary()
                said = verdict(rows, wanted, summary["ledger"], name == "spillover")
                replies = sum(summary["kinds"].values())
                print(
                    f"{name} {version}: {seconds:.1f} s, {replies / seconds:.0f} requests/s, "
                    f"{3 * wanted / seconds:.0f} wanted replies/s, "
                    f"connections {busy(summary, given.connections):.0%} busy; {said}"
                )
                kept[name] = {
                    "version": version,
                    "seconds": seconds,
                    "requests_per_second": replies / seconds,
                    "wanted_replies_per_second": 3 * wanted / seconds,
                    "connections_busy": busy(summary, given.connections),
                    "rows": said,
                }
                failed |= name == "spillover" and " 0 lost, 0 values" not in said
            finally:
                server.stop()
        if given.kills:
            kept["killed"] = killed(given, Path(folder))
            print(kept["killed"])
            failed |= "rows, those of the undisturbed run: True" not in kept["killed"]
    if given.json:
        given.json.write_text(json.dumps(kept, indent=2) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
