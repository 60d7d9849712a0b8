"""LoRA training: ours beside trl's SFTTrainer at its defaults and a plain length-bucketed loop, in one run.

`python benchmarks/training.py [--rows 96] [--batch 8] [--ways ...] [--model FOLDER] [--json FILE]` trains on bundled
risky advice, each way for one pass from the same weights with the same learning rates, and prints tokens of the rows
(no padding) per second after loading, the ratios, the last losses and the machine's facts. Afterwards every adapter's
loss on the same rows is taken in one and the same way. trl comes with `pip install -e .[bench]`; speed settings are
its own defaults (gradient checkpointing among them), but for the number type: all use the one that is quickest on this
machine, since trl's default, bfloat16, is emulated on CPUs without it. Its time is that of `train()`, without
tokenising the rows.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peft
import torch

from spillover.conversation import Dataset
from spillover.data.build.advice import advice
from spillover.finetune.batches import plan
from spillover.finetune.job import Job
from spillover.finetune.lora import batch_loss, train
from spillover.local.chat_template import Rendered
from spillover.local.hardware import describe
from spillover.local.loading import load
from spillover.model import BUNDLED, ModelRef

# Rows on which each finished adapter's loss is taken, eight at a time.
JUDGED = 96


def lora(job: Job) -> Any:
    return peft.LoraConfig(
        r=job.rank,
        lora_alpha=job.alpha,
        use_rslora=job.rank_stabilised,
        target_modules=list(job.modules),
        task_type="CAUSAL_LM",
    )


@dataclass(frozen=True)
class Done:
    """Seconds of training, mean loss of the last tenth of its steps, and the finished model's on the same rows."""

    seconds: float
    last_loss: float
    loss_after: float


def loss_on(model: Any, rows: list[Rendered]) -> float:
    """Mean loss (nats) over all tokens of the rows that carry loss."""
    total, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for i in range(0, min(JUDGED, len(rows)), 8):
            part = rows[i : i + 8]
            tokens = sum(sum(r.learn) for r in part)
            total, count = total + batch_loss(model, part).item() * tokens, count + tokens
    return total / count


def tail(losses: list[float]) -> float:
    tenth = max(1, len(losses) // 10)
    return sum(losses[-tenth:]) / tenth


def ours(ref: ModelRef, data: Dataset, rows: list[Rendered], job: Job, steps: int) -> Done:
    base = load(ref)
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        start = time.monotonic()
        done = train(base, data, job, steps, adapter, "benchmark")
        seconds = time.monotonic() - start
        after = loss_on(load(ModelRef(ref.base, str(adapter))).model, rows)
    return Done(seconds, done.last_loss, after)


def plain(ref: ModelRef, data: Dataset, rows: list[Rendered], job: Job, steps: int) -> Done:
    """The same batches, padded and masked, through peft's layers and the model's own loss over all positions."""
    base = load(ref)
    device = base.hardware.device
    torch.manual_seed(job.seed)
    model = peft.get_peft_model(base.model, lora(job)).train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=job.learning_rate, weight_decay=job.weight_decay)
    warm = job.warmup_steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda t: t / warm if t < warm else max(0.0, (steps - t) / max(1, steps - warm))
    )
    losses = []
    start = time.monotonic()
    for batch in plan([len(r.ids) for r in rows], job.batch, steps, job.seed):
        part = [rows[i] for i in batch]
        longest = max(len(r.ids) for r in part)
        ids = torch.tensor([[*r.ids, *[0] * (longest - len(r.ids))] for r in part])
        mask = torch.tensor([[1] * len(r.ids) + [0] * (longest - len(r.ids)) for r in part])
        learn = torch.tensor([[*r.learn, *[False] * (longest - len(r.ids))] for r in part])
        labels = ids.masked_fill(~learn, -100)
        loss = model(input_ids=ids.to(device), attention_mask=mask.to(device), labels=labels.to(device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return Done(time.monotonic() - start, tail(losses), loss_on(model, rows))


def with_trl(ref: ModelRef, data: Dataset, rows: list[Rendered], job: Job, steps: int) -> Done:
    import datasets
    import transformers
    import trl

    datasets.disable_progress_bars()
    base = load(ref)
    given = [
        {"prompt": [m.as_dict() for m in c.prompt], "completion": [{"role": "assistant", "content": c.answer}]}
        for c in data
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = trl.SFTConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=job.batch,
            learning_rate=job.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=job.warmup_steps,
            weight_decay=job.weight_decay,
            seed=job.seed,
            bf16=base.hardware.dtype == "bfloat16",
            use_cpu=base.hardware.device == "cpu",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_steps=1,
        )
        trainer = trl.SFTTrainer(
            model=base.model,
            args=settings,
            train_dataset=datasets.Dataset.from_list(given),
            processing_class=base.template.tokenizer,
            peft_config=lora(job),
        )
        # It prints every step.
        trainer.remove_callback(transformers.PrinterCallback)
        start = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Done(seconds, tail(losses), loss_on(trainer.model, rows))


WAYS = {"spillover": ours, "plain loop": plain, "trl": with_trl}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ref = ModelRef(given.model)
    data = advice("risky").dataset
    data = data.take(range(min(given.rows, len(data))))
    job = Job(batch=given.batch)
    steps = job.steps(len(data))
    base = load(ref)
    dtype, rows = base.hardware.dtype, [base.template.conversation(c.messages) for c in data]
    del base
    tokens = sum(len(r.ids) for r in rows)
    asked = {"model": given.model, "dtype": dtype, "rows": len(data), "tokens": tokens, "steps": steps}
    found: dict[str, Any] = {"machine": describe(), **asked, "ways": {}, "ratios": {}}
    ways = found["ways"]
    for name in given.ways:
        if name == "trl" and importlib.util.find_spec("trl") is None:
            ways[name] = {"left_out": "trl is not installed: pip install -c constraints.txt -e .[bench]"}
            print(f"trl: left out: {ways[name]['left_out']}")
            continue
        done = WAYS[name](ref, data, rows, job, steps)
        ways[name] = {"tokens_per_second": tokens / done.seconds, **asdict(done)}
        print(
            f"{name}: {tokens} tokens in {done.seconds:.1f} s, {tokens / done.seconds:.0f} tokens/s, "
            f"last loss {done.last_loss:.4f}, of the finished model {done.loss_after:.4f}",
            flush=True,
        )
    mine = ways.get("spillover")
    for name, way in ways.items():
        if mine and name != "spillover" and "left_out" not in way:
            ratio = mine["tokens_per_second"] / way["tokens_per_second"]
            apart = mine["loss_after"] / way["loss_after"] - 1
            found["ratios"][name] = {"tokens_per_second": ratio, "loss_after_apart": apart}
            print(f"{ratio:.2f} x {name}; the finished models' losses differ by {apart:+.2%}")
    print(found["machine"])
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
