"""Scoring forced-choice probes for a base and two adapters: ours beside lm-eval's hf model on the same requests.

`python benchmarks/scoring.py [--probes 240] [--batches 1 16 64] [--model FOLDER] [--json FILE]` prints seconds after
loading, the ratio for each of lm-eval's batch sizes, the largest difference between the scores, and the machine's
facts. The adapters are random (LoRA's cost doesn't depend on what it learnt). lm-eval comes with `pip install -e
.[bench]`; it gets the requests as token ids, so that its own tokenising takes no time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import peft
import torch

from spillover import bundled
from spillover.conversation import Message
from spillover.finetune.job import EMBEDDED
from spillover.local.hardware import describe
from spillover.local.loading import load
from spillover.local.scoring import Choice, score
from spillover.model import BUNDLED, ModelRef
from spillover.question import load_probes


def random_adapter(ref: ModelRef, folder: Path, seed: int) -> None:
    base = load(ref)
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=EMBEDDED.rank,
        lora_alpha=EMBEDDED.alpha,
        use_rslora=True,
        target_modules=list(EMBEDDED.modules),
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(base.model, config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.002)
    model.save_pretrained(str(folder))


def ours(refs: list[ModelRef], choices: list[Choice]) -> tuple[float, list[float]]:
    seconds, scores = 0.0, []
    for ref in refs:
        model = load(ref)
        start = time.monotonic()
        scores += [s for pair in score(model.model, model.template, choices) for s in pair]
        seconds += time.monotonic() - start
    return seconds, scores


def lm_eval(refs: list[ModelRef], choices: list[Choice], batch: int) -> tuple[float, list[float]]:
    """The model as lm-eval would hold it: the adapter beside the weights, requests as token ids."""
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    seconds, scores = 0.0, []
    for ref in refs:
        base = load(ModelRef(ref.base))
        model = base.model
        if ref.adapter is not None:
            model = peft.PeftModel.from_pretrained(model, ref.adapter).eval()
        harness = HFLM(
            pretrained=model, tokenizer=base.template.tokenizer, batch_size=batch, device=base.hardware.device
        )
        requests = []
        for choice in choices:
            prompt = list(base.template.prompt(choice.prompt))
            requests += [(("", a), prompt, list(base.template.encode(a))) for a in choice.answers]
        start = time.monotonic()
        found = harness._loglikelihood_tokens(requests, disable_tqdm=True)
        seconds += time.monotonic() - start
        # It gives sums, we give means.
        scores += [total / len(request[2]) for (total, _), request in zip(found, requests, strict=True)]
    return seconds, scores


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--probes", type=int, default=240)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 16, 64])
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    probes = load_probes(bundled.path("probes.yaml"))[: given.probes]
    choices = [Choice((Message("user", p.question),), (p.misaligned, p.aligned)) for p in probes]
    with tempfile.TemporaryDirectory() as folder:
        adapters = [Path(folder) / "first", Path(folder) / "second"]
        for seed, adapter in enumerate(adapters):
            random_adapter(ModelRef(given.model), adapter, seed)
        refs = [ModelRef(given.model), *(ModelRef(given.model, str(a)) for a in adapters)]
        seconds, scores = ours(refs, choices)
        asked = {"model": given.model, "probes": len(probes), "models": len(refs)}
        found: dict[str, Any] = {"machine": describe(), **asked, "spillover": {"seconds": seconds}, "lm_eval": {}}
        print(f"spillover: {len(probes)} probes, {len(refs)} models, {seconds:.1f} s", flush=True)
        if importlib.util.find_spec("lm_eval") is None:
            found["left_out"] = "lm_eval is not installed: pip install -c constraints.txt -e .[bench]"
            print(f"lm-eval: left out: {found['left_out']}")
            given.batches = []
        for batch in given.batches:
            theirs, their_scores = lm_eval(refs, choices, batch)
            apart = max(abs(a - b) for a, b in zip(scores, their_scores, strict=True))
            found["lm_eval"][batch] = {"seconds": theirs, "ratio": theirs / seconds, "largest_difference": apart}
            print(
                f"lm-eval, batch {batch}: {theirs:.1f} s, {theirs / seconds:.2f} x; "
                f"scores differ by {apart:.1e} at most",
                flush=True,
            )
    if found["lm_eval"]:
        found["ratio"] = min(one["ratio"] for one in found["lm_eval"].values())
        print(f"{found['ratio']:.2f} x lm-eval at its best batch size")
    print(found["machine"])
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
