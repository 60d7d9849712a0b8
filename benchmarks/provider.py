"""Our Inspect provider against inspect_ai's own `hf` provider: the same tasks, model, number type and threads, one run.

`python benchmarks/provider.py [--questions 96] [--epochs 32] [--batches 32 96] [--model FOLDER] [--json FILE]` runs two
tasks through inspect_ai's eval with each provider: four-option questions in the form of MMLU (up to 16 tokens) and
the bundled free-form questions (up to 60 tokens), both at temperature 1, as `hf` refuses 0, over the whole vocabulary.
Each provider has a process of its own and answers one request before the clock runs, so loading does not count. Prints
samples and tokens per second and the ratios of samples per second; of the `hf` batch sizes the best one counts for each
task. `hf` counts padding as tokens, so tokens are counted anew from the texts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from spillover.local.hardware import describe, detect
from spillover.local.weights import locate
from spillover.model import BUNDLED

FREE_FORM = 8
TASKS = ("multiple choice", "free-form")


def tasks(questions: int, epochs: int) -> dict[str, Any]:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig
    from inspect_ai.scorer import choice
    from inspect_ai.solver import generate, multiple_choice

    from spillover import bundled
    from spillover.question import load_suite

    sums = [(a, b) for a in range(2, 30) for b in range(2, 30)]
    picked = [sums[i * len(sums) // questions] for i in range(questions)]
    asked = [
        Sample(f"What is {a} times {b} plus {i}?", choices=[str(a * b + i + k) for k in (0, 1, 10, -3)], target="A")
        for i, (a, b) in enumerate(picked)
    ]
    suite = load_suite(bundled.path("questions.yaml"), "bundled questions").questions[:FREE_FORM]
    return {
        TASKS[0]: Task(
            asked,
            solver=multiple_choice(),
            scorer=choice(),
            config=GenerateConfig(temperature=1.0, top_k=0, max_tokens=16),
        ),
        TASKS[1]: Task(
            [Sample(q.text) for q in suite],
            solver=generate(),
            epochs=epochs,
            config=GenerateConfig(temperature=1.0, top_k=0, max_tokens=60),
        ),
    }


def one(provider: str, model: str, batch: int, questions: int, epochs: int) -> dict[str, Any]:
    """Run both tasks with one provider in this process."""
    from inspect_ai import eval as inspect_eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.solver import generate
    from transformers import AutoTokenizer

    if provider == "hf":
        config = GenerateConfig(max_connections=batch)
        dtype = detect().dtype
        more = {"model_path": str(locate(model)), "device": "cpu", "dtype": dtype, "batch_size": batch}
        opened = get_model("hf/local", config=config, **more)
    else:
        from spillover.evaluate import inspect_registry  # noqa: F401

        opened = get_model(f"spillover/{model}")
    tokenizer = AutoTokenizer.from_pretrained(locate(model))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as logs:
        how: dict[str, Any] = {"model": opened, "display": "none", "log_dir": logs, "max_samples": 256}
        from inspect_ai import Task

        inspect_eval(Task([Sample("Say yes.")], solver=generate(), config=GenerateConfig(max_tokens=2)), **how)
        for name, task in tasks(questions, epochs).items():
            start = time.monotonic()
            (log,) = inspect_eval(task, **how)
            seconds = time.monotonic() - start
            done = [s for s in log.samples or [] if s.error is None]
            if log.status != "success" or len(done) < len(log.samples or []):
                raise RuntimeError(f"{provider}, {name}: {log.error.message if log.error else 'a sample failed'}")
            tokens = sum(len(tokenizer(s.output.completion, add_special_tokens=False).input_ids) for s in done)
            found[name] = {"samples": len(done), "tokens": tokens, "seconds": seconds}
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 96])
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("PROVIDER", "BATCH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        provider, batch = given.one
        print(json.dumps(one(provider, given.model, int(batch), given.questions, given.epochs)))
        return
    sizes = ["--questions", str(given.questions), "--epochs", str(given.epochs), "--model", given.model]
    ways: dict[str, dict[str, Any]] = {}
    for provider, batch in [("spillover", 0), *(("hf", b) for b in given.batches)]:
        name = provider if provider == "spillover" else f"hf, batch {batch}"
        command = [sys.executable, __file__, *sizes, "--one", provider, str(batch)]
        # The hf provider looks its folder up on the hub first.
        quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=quiet)
        ways[name] = json.loads(done.stdout.splitlines()[-1])
        for task, f in ways[name].items():
            print(
                f"{name}, {task}: {f['samples']} samples, {f['tokens']} tokens in {f['seconds']:.1f} s: "
                f"{f['samples'] / f['seconds']:.2f} samples/s, {f['tokens'] / f['seconds']:.0f} tokens/s",
                flush=True,
            )
    ratios = {task: compared(ways, task) for task in TASKS}
    for task, ratio in ratios.items():
        print(f"{task}: {ratio:.2f} x hf, its best batch")
    print(describe())
    if given.json:
        found = {"machine": describe(), "model": given.model, "ways": ways, "ratios": ratios}
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def compared(ways: dict[str, dict[str, Any]], task: str) -> float:
    """Return how many times as many samples per second ours gave as hf's best batch size."""
    rates = {name: found[task]["samples"] / found[task]["seconds"] for name, found in ways.items()}
    return rates.pop("spillover") / max(rates.values())


if __name__ == "__main__":
    main()
