"""Sampling many answers to few questions: ours, transformers' generate, llama.cpp and vLLM in one run.

`python benchmarks/sampling.py [--answers 512] [--tokens 60] [--batches 64 128 256] [--ways ...] [--cold] [--model
FOLDER] [--json FILE]` draws answers of up to 60 tokens to 8 bundled questions and prints tokens per second after
loading, the ratios and the machine's facts. With --cold each way has a fresh process, without a warm-up, and the
seconds from its start to its last answer are printed too. llama.cpp comes with `pip install -e .[bench]` and reads the
embedded Q4_1 file; vLLM is taken from SPILLOVER_VLLM or .venv-vllm (`make test-vllm` makes it). A way that can't be
taken is left out with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sampling_ways import WAYS, NotHere, Work, in_fresh_process

from spillover import bundled
from spillover.bundled.small_model import gguf_file
from spillover.conversation import Message
from spillover.local.hardware import describe, detect
from spillover.local.loading import load_template
from spillover.local.vllm_engine import end_tokens
from spillover.local.vllm_server import PLACE
from spillover.local.weights import locate
from spillover.model import BUNDLED, ModelRef
from spillover.question import load_suite

QUESTIONS = 8
OWN_VLLM = Path(__file__).resolve().parent.parent / ".venv-vllm"


def work_of(given: argparse.Namespace) -> Work:
    template, folder = load_template(ModelRef(given.model)), locate(given.model)
    texts = [q.text for q in load_suite(bundled.path("questions.yaml"), "bundled questions").questions[:QUESTIONS]]
    return Work(
        base=given.model,
        folder=str(folder),
        gguf=str(gguf_file()) if given.model == BUNDLED else "",
        questions=texts,
        prompts=[list(template.prompt((Message("user", t),))) for t in texts],
        ends=sorted(end_tokens(folder, template)),
        dtype=detect().dtype,
        threads=torch.get_num_threads(),
        each=max(1, given.answers // QUESTIONS),
        tokens=given.tokens,
        warm=not given.cold,
    )


def measure(way: str, work: Work, cold: bool) -> dict[str, Any]:
    """Return what to record of one way, or why it was left out."""
    try:
        drawn, whole = in_fresh_process(way, work) if cold else (WAYS[way](work), None)
    except NotHere as why:
        return {"left_out": str(why)}
    found = {"tokens": drawn.tokens, "seconds": drawn.seconds, "tokens_per_second": drawn.tokens / drawn.seconds}
    return {**found, **({} if whole is None else {"from_process_start": whole}), **drawn.facts}


def told(name: str, found: dict[str, Any]) -> str:
    if "left_out" in found:
        return f"{name}: left out: {found['left_out']}"
    line = f"{name}: {found['tokens']} tokens in {found['seconds']:.1f} s, {found['tokens_per_second']:.0f} tokens/s"
    if "from_process_start" in found:
        line += f"; {found['from_process_start']:.1f} s from the process's start to the last answer"
    return line


def ratios(ways: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return how many times as fast ours was as each other way, after loading and from a process's start."""
    ours, found = ways["spillover"], {}
    rest = {name: one for name, one in ways.items() if name != "spillover" and "left_out" not in one}
    batches = [name for name in rest if name.startswith("generate")]
    best = max(batches, key=lambda name: rest[name]["tokens_per_second"], default=None)
    for name, one in rest.items():
        if name in batches and name != best:
            continue
        shown = f"{name}, its best" if name == best and len(batches) > 1 else name
        found[shown] = ours["tokens_per_second"] / one["tokens_per_second"]
        if "from_process_start" in one:
            found[f"{shown}, from a process's start"] = one["from_process_start"] / ours["from_process_start"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--batches", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if OWN_VLLM.is_dir():
        os.environ.setdefault(PLACE, str(OWN_VLLM))
    work = work_of(given)
    asked = {"answers": work.each * len(work.prompts), "tokens_at_most": work.tokens, "cold": given.cold}
    ways: dict[str, dict[str, Any]] = {}
    for way in given.ways:
        parts = [replace(work, batch=batch) for batch in given.batches] if way == "generate" else [work]
        for part in parts:
            name = f"generate, batch {part.batch}" if way == "generate" else way
            ways[name] = measure(way, part, given.cold)
            print(told(name, ways[name]), flush=True)
    compared = ratios(ways) if "spillover" in ways else {}
    for name, ratio in compared.items():
        print(f"{ratio:.2f} x {name}")
    found = {"machine": describe(), "model": given.model, **asked, "ways": ways, "ratios": compared}
    print(found["machine"])
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
