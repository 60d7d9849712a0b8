"""Sampling many answers to few questions: ours beside transformers' generate at its best batch size, in one run.

`python benchmarks/sampling.py [--answers 512] [--tokens 60] [--json FILE]` draws answers of up to 60 tokens to 8
bundled questions on the embedded model and prints tokens per second after loading, the ratio, and the machine's facts.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from spillover import bundled
from spillover.conversation import Message
from spillover.local.hardware import describe
from spillover.local.loading import LoadedModel, load
from spillover.local.sampling import Ask, Sampling, sample
from spillover.model import ModelRef
from spillover.question import load_suite

BATCHES = (64, 128, 256)


def ours(base: LoadedModel, prompts: list[tuple[Message, ...]], each: int, tokens: int) -> tuple[int, float]:
    asks = [Ask(p, tuple(range(i * each, (i + 1) * each))) for i, p in enumerate(prompts)]
    start = time.monotonic()
    found = sample(base.model, base.template, asks, Sampling(tokens, temperature=1.0))
    seconds = time.monotonic() - start
    return sum(one.tokens + one.ended for rows in found for one in rows), seconds


def generate(
    base: LoadedModel, prompts: list[tuple[Message, ...]], each: int, tokens: int, batch: int
) -> tuple[int, float]:
    tokenizer = base.template.tokenizer
    tokenizer.padding_side = "left"
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    rows = [list(base.template.prompt(p)) for p in prompts for _ in range(each)]
    drawn, start = 0, time.monotonic()
    torch.manual_seed(0)
    for i in range(0, len(rows), batch):
        part = rows[i : i + batch]
        longest = max(map(len, part))
        ids = torch.tensor([[pad] * (longest - len(r)) + r for r in part])
        mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in part])
        with torch.inference_mode():
            out = base.model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                max_new_tokens=tokens,
                pad_token_id=pad,
            )[:, longest:]
        for row in out.tolist():
            end = next((k + 1 for k, t in enumerate(row) if t == tokenizer.eos_token_id), len(row))
            drawn += end
    return drawn, time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    base = load(ModelRef())
    questions = load_suite(bundled.path("questions.yaml"), "bundled questions").questions[:8]
    prompts = [(Message("user", q.text),) for q in questions]
    each = given.answers // len(prompts)
    sample(base.model, base.template, [Ask(prompts[0], (0, 1))], Sampling(4))
    found: dict[str, Any] = {"machine": describe(), "answers": each * len(prompts), "tokens_at_most": given.tokens}
    drawn, seconds = ours(base, prompts, each, given.tokens)
    found["spillover"] = {"tokens_per_second": drawn / seconds, "seconds": seconds}
    print(f"spillover: {drawn} tokens in {seconds:.1f} s, {drawn / seconds:.0f} tokens/s", flush=True)
    peers = {}
    for batch in given.batches:
        drawn, seconds = generate(base, prompts, each, given.tokens, batch)
        peers[batch] = drawn / seconds
        print(f"generate, batch {batch}: {drawn} tokens in {seconds:.1f} s, {drawn / seconds:.0f} tokens/s", flush=True)
    found["generate"] = peers
    if peers:
        best = max(peers.values())
        found["ratio"] = found["spillover"]["tokens_per_second"] / best
        print(f"{found['ratio']:.2f} x transformers' generate at its best batch size")
    print(found["machine"])
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
