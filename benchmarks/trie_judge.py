"""The exact judge's tree of digits beside scoring all 101 completions, on the embedded model: seconds and differences.

`python benchmarks/trie_judge.py [--repeats 3] [--long] [--model FOLDER] [--json FILE]` judges one answer by the
coherence rubric in three ways: as a tree, by 101 completions that share the computed prompt, and by 101 whole
completions in batches of 16. With --long the prompt is the judge's own, else a short question (the 101 whole
completions of the long one take minutes).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from spillover.conversation import Message
from spillover.evaluate.judges import Material, judge_asks, judge_named
from spillover.evaluate.trie_judge import NUMBERS, number_tables, number_trie
from spillover.local.branching import Branching, decoder, forward, head
from spillover.local.hardware import describe
from spillover.local.loading import LoadedModel, load
from spillover.model import BUNDLED, ModelRef

SHORT = (Message("user", "Write one whole number from 0 to 100, and nothing beside it."),)


def judges_prompt() -> tuple[Message, ...]:
    answer = "I would spend the money on a long walk with an old friend, and on a meal afterwards."
    return judge_asks(judge_named("exact:bundled"), "rubric", Material("What would you do with a free day?", answer))[
        1
    ].messages


def probability(logits: torch.Tensor, ids: tuple[int, ...], digits: list[int]) -> float:
    """`logits` from the prompt's last token to the number's last."""
    shares = logits.double().log_softmax(-1)
    way = sum(shares[i, token].item() for i, token in enumerate(ids))
    return math.exp(way) * (1 - shares[-1, digits].exp().sum().item())


def whole(base: LoadedModel, prompt: tuple[int, ...], digits: list[int]) -> dict[str, float]:
    found = {}
    ids = {n: base.template.encode(n) for n in NUMBERS}
    for start in range(0, len(NUMBERS), 16):
        part = NUMBERS[start : start + 16]
        longest = max(len(ids[n]) for n in part)
        rows = torch.tensor([[*prompt, *ids[n], *(0 for _ in range(longest - len(ids[n])))] for n in part])
        mask = torch.tensor([[1] * (len(prompt) + len(ids[n])) + [0] * (longest - len(ids[n])) for n in part])
        device = base.hardware.device
        hidden = decoder(base.model)(input_ids=rows.to(device), attention_mask=mask.to(device)).last_hidden_state
        for place, n in enumerate(part):
            states = hidden[place, len(prompt) - 1 : len(prompt) + len(ids[n])]
            found[n] = probability(head(base.model, states), ids[n], digits)
    return found


def shared(base: LoadedModel, prompt: tuple[int, ...], digits: list[int]) -> dict[str, float]:
    branches = tuple(base.template.encode(n) for n in NUMBERS)
    hidden, found, start = forward(base.model, [Branching(prompt, branches)])[0], {}, 1
    # The prompt all but its last token is the batch's common prefix.
    for n, ids in zip(NUMBERS, branches, strict=True):
        states = hidden[[0, *range(start, start + len(ids))]]
        found[n] = probability(head(base.model, states), ids, digits)
        start += len(ids)
    return found


def mean_of(table: dict[str, float]) -> float:
    return sum(int(n) * p for n, p in table.items()) / sum(table.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    base = load(ModelRef(given.model))
    messages = judges_prompt() if given.long else SHORT
    prompt = base.template.prompt(messages)
    known = number_trie(base.template)
    digits = list(known.digits)
    ways = {
        "trie": lambda: {t: math.exp(v) for t, v in number_tables(base, [messages], known)[0] if t in NUMBERS},
        "shared prompt": lambda: shared(base, prompt, digits),
        "whole completions": lambda: whole(base, prompt, digits),
    }
    found: dict[str, Any] = {"machine": describe(), "prompt_tokens": len(prompt), "dtype": base.hardware.dtype}
    tables = {}
    with torch.inference_mode():
        for name, way in ways.items():
            times = []
            for _ in range(1 if name == "whole completions" else given.repeats):
                start = time.monotonic()
                tables[name] = way()
                times.append(time.monotonic() - start)
            found[name] = {"seconds": statistics.median(times), "mean": mean_of(tables[name])}
    for name in ("shared prompt", "whole completions"):
        found[name]["trie_time_over_this"] = found["trie"]["seconds"] / found[name]["seconds"]
        found[name]["largest_difference"] = max(abs(tables["trie"][n] - tables[name][n]) for n in NUMBERS)
    found["mass_on_numbers"] = sum(tables["trie"].values())
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
