"""Where the time of sampling and of training goes: shares of the CPU's own time by kind of operation.

`python benchmarks/where_time_goes.py [--answers 512] [--tokens 60] [--steps 4] [--batch 8] [--top 8] [--model FOLDER]
[--json FILE]` runs torch's profiler over the in-process sampler (8 bundled questions) and over a few LoRA training
steps on bundled risky advice, and prints each kind's share of the self CPU time of all operations. What Python does
between operations is no operation and not in it, so the wall-clock time stands beside the sum. Operations that no kind
names are under "rest"; of the draws, sums and copies over the vocabulary count with sums and copies elsewhere. The
costliest operations are printed with their kinds. Loading and a warm-up do not count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from spillover import bundled
from spillover.conversation import Message
from spillover.data.build.advice import advice
from spillover.finetune.job import Job
from spillover.finetune.lora import train
from spillover.local.hardware import describe
from spillover.local.loading import load
from spillover.local.sampling import Ask, Sampling
from spillover.model import BUNDLED, ModelRef
from spillover.question import load_suite

QUESTIONS = 8
REST = "rest"
# The first kind one of whose words is in an operation's name has it; the order matters: attention before softmax.
KINDS: dict[str, tuple[str, ...]] = {
    "attention": ("attention", "flash"),
    "matrix products": ("::mm", "addmm", "bmm", "::linear", "mkldnn", "matmul", "::dot", "::mv", "addmv"),
    "softmax and logsumexp": ("softmax", "logsumexp", "cross_entropy", "nll_loss"),
    "sampling draws": (
        "::exp_",
        "searchsorted",
        "::amax",
        "multinomial",
        "exponential",
        "uniform",
        "argmax",
        "::topk",
        "::sort",
        "random",
        "cumsum",
    ),
    "copies and concatenation": (
        *(
            "copy",
            "::cat",
            "::stack",
            "clone",
            "::index",
            "::_index",
            "gather",
            "scatter",
            "::fill",
            "::zero",
            "embedding",
        ),
        *("contiguous", "repeat", "masked_fill"),
    ),
    "norm, activation and arithmetic": (
        *("norm", "silu", "gelu", "relu", "sigmoid", "::mul", "::add", "::pow", "::mean", "rsqrt", "::neg", "::sub"),
        *("::div", "::sum"),
    ),
}


def kind_of(name: str) -> str:
    """Return the kind of an operation by its profiler name."""
    return next((kind for kind, words in KINDS.items() if any(word in name.lower() for word in words)), REST)


def shares(spent: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return each kind's share of all time, largest first; empty where none was spent."""
    totals: dict[str, float] = {}
    for name, amount in spent:
        totals[kind_of(name)] = totals.get(kind_of(name), 0.0) + amount
    whole = sum(totals.values())
    ranked = sorted(totals.items(), key=lambda item: -item[1])
    return {kind: amount / whole for kind, amount in ranked} if whole > 0 else {}


def watched(work: Callable[[], Any], top: int) -> dict[str, Any]:
    """Run `work` under the profiler: its seconds by the clock, self CPU seconds, shares and costliest operations."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        start = time.monotonic()
        work()
        seconds = time.monotonic() - start
    # Microseconds.
    spent = [(event.key, event.self_cpu_time_total) for event in profiler.key_averages()]
    whole = sum(amount for _, amount in spent)
    costly = sorted(spent, key=lambda item: -item[1])[:top]
    return {
        "seconds": seconds,
        "self_cpu_seconds": whole / 1e6,
        "shares": shares(spent),
        "costliest": [{"name": n, "kind": kind_of(n), "share": amount / whole} for n, amount in costly],
    }


def sampling(ref: ModelRef, answers: int, tokens: int, top: int) -> dict[str, Any]:
    loaded = load(ref)
    suite = load_suite(bundled.path("questions.yaml"), "bundled questions").questions[:QUESTIONS]
    each = max(1, answers // QUESTIONS)
    asks = [Ask((Message("user", q.text),), tuple(range(i * each, (i + 1) * each))) for i, q in enumerate(suite)]
    loaded.sample([Ask(asks[0].prompt, (0, 1))], Sampling(4, temperature=1.0))
    return watched(lambda: loaded.sample(asks, Sampling(tokens, temperature=1.0)), top)


def training(ref: ModelRef, batch: int, steps: int, top: int) -> dict[str, Any]:
    data = advice("risky").dataset
    data = data.take(range(min(batch * steps, len(data))))
    job = Job(batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        train(load(ref), data, job, 1, Path(folder) / "warm", "benchmark")
        loaded = load(ref)
        return watched(lambda: train(loaded, data, job, steps, Path(folder) / "adapter", "benchmark"), top)


def told(stage: str, found: dict[str, Any]) -> str:
    lines = [f"{stage}: {found['seconds']:.1f} s by the clock, {found['self_cpu_seconds']:.1f} s in operations"]
    lines += [f"  {share:6.1%} {kind}" for kind, share in found["shares"].items()]
    lines += [f"    {one['share']:6.1%} {one['name']} ({one['kind']})" for one in found["costliest"]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--top", type=int, default=8)
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ref = ModelRef(given.model)
    stages = {
        "sampling": lambda: sampling(ref, given.answers, given.tokens, given.top),
        "training": lambda: training(ref, given.batch, given.steps, given.top),
    }
    asked = {"answers": given.answers, "tokens_at_most": given.tokens, "steps": given.steps, "batch": given.batch}
    found = {"machine": describe(), "threads": torch.get_num_threads(), "model": given.model, **asked, "stages": {}}
    for stage, run in stages.items():
        found["stages"][stage] = run()
        print(told(stage, found["stages"][stage]), flush=True)
    print(found["machine"])
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
