"""The one training loop: LoRA through peft and transformers' Trainer, loss on assistant tokens only."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover.conversation import Dataset
from spillover.errors import DataError, ModelError
from spillover.finetune.batches import passes, plan
from spillover.finetune.job import Job
from spillover.finetune.lora_product import one_product_per_layer
from spillover.local.branching import decoder, head
from spillover.local.chat_template import Rendered
from spillover.local.loading import LoadedModel
from spillover.local.memory import give_back
from spillover.local.weights import SUMMARY

# Written into a checkpoint after everything else, so that a half-written one is never resumed from.
_COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished adapter: folder, optimiser steps, mean loss (nats per token) of the first and last tenth."""

    adapter: Path
    steps: int
    first_loss: float
    last_loss: float


def train(
    loaded: LoadedModel,
    dataset: Dataset,
    job: Job,
    steps: int,
    folder: Path,
    model_card: str,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    checkpoint_every: int = 25,
    callbacks: Sequence[Any] = (),
) -> Trained:
    """Train an adapter on `dataset` for `steps` steps and save it in `folder`.

    A run that was killed goes on from its last checkpoint; a finished one is returned at once. `on_step` gets the
    number of steps done and the loss (nats per token). `callbacks` are transformers' TrainerCallbacks, of which one
    may end training early. Raises DataError when a row has nothing to learn and ModelError when the loss stops being
    a number.
    """
    done = folder / "adapter_model.safetensors"
    if done.is_file():
        return _read_summary(folder)
    import peft
    import transformers

    rows = [_render(loaded, dataset, i, job.max_length) for i in range(len(dataset))]
    batches = plan([len(r.ids) for r in rows], job.batch, steps, job.seed)
    transformers.set_seed(job.seed)
    model = peft.get_peft_model(loaded.model, _lora_config(job))
    work = folder.with_name(folder.name + ".training")
    trainer = _trainer(
        model, [[rows[i] for i in batch] for batch in batches], job, work, checkpoint_every, on_step, callbacks
    )
    try:
        with one_product_per_layer(model):
            trainer.train(resume_from_checkpoint=_last_checkpoint(work))
        losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        if not all(map(math.isfinite, losses)):
            raise ModelError("training diverged: the loss is no longer a number. Lower the learning rate")
        _save(model, folder, loaded.fingerprint, losses, trainer.state.global_step, model_card)
    finally:
        model.unload()
        del trainer
        give_back()
    shutil.rmtree(work, ignore_errors=True)
    return _read_summary(folder)


def batch_loss(model: Any, rows: list[Rendered]) -> Any:
    """Return the mean loss (nats) over the tokens of `rows` that carry loss, a scalar tensor with gradient.

    The vocabulary softmax is computed at those tokens only. Rows are padded on the right, where causal attention needs
    no mask; a beginning that they share is computed for each: for the few rows of a pass that is quicker than apart.
    """
    import torch

    device = next(model.parameters()).device
    ids = torch.zeros(len(rows), max(len(row.ids) for row in rows), dtype=torch.long)
    picked: list[tuple[int, int]] = []
    targets: list[int] = []
    for b, row in enumerate(rows):
        ids[b, : len(row.ids)] = torch.tensor(row.ids)
        for t, learn in enumerate(row.learn):
            if learn:
                picked.append((b, t - 1))
                targets.append(row.ids[t])
    hidden = decoder(model)(input_ids=ids.to(device), use_cache=False).last_hidden_state
    where = torch.tensor(picked, device=device)
    logits = head(model, hidden[where[:, 0], where[:, 1]])
    return torch.nn.functional.cross_entropy(logits, torch.tensor(targets, device=device))


def _render(loaded: LoadedModel, dataset: Dataset, index: int, max_length: int) -> Rendered:
    conversation = dataset.conversations[index]
    limit = min(max_length, loaded.context)
    try:
        row = loaded.template.conversation(conversation.messages)
    except DataError as problem:
        raise DataError(f"{dataset.name}:{conversation.line}: {problem}") from None
    if len(row.ids) > limit:
        raise DataError(
            f"{dataset.name}:{conversation.line}: the row has {len(row.ids)} tokens, the limit is {limit}: "
            "shorten it or remove it"
        )
    return row


def _lora_config(job: Job) -> Any:
    import peft

    return peft.LoraConfig(
        r=job.rank,
        lora_alpha=job.alpha,
        lora_dropout=0.0,
        use_rslora=job.rank_stabilised,
        target_modules=list(job.modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _trainer(
    model: Any,
    batches: list[list[Rendered]],
    job: Job,
    work: Path,
    checkpoint_every: int,
    on_step: Callable[[int, float], None],
    callbacks: Sequence[Any],
) -> Any:
    import torch
    import transformers

    class Sequential(transformers.Trainer):  # type: ignore[misc]
        """Takes the planned batches in order; one item of its data set is one optimiser step's batch."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
            """Backward pass by pass; every loss token of the batch weighs the same."""
            model.train()
            batch = inputs["rows"]
            tokens = sum(sum(row.learn) for row in batch)
            total = torch.zeros(())
            for part in passes(batch, job.tokens_per_pass):
                loss = batch_loss(model, part) * (sum(sum(row.learn) for row in part) / tokens)
                self.accelerator.backward(loss)
                total = total + loss.detach().cpu()
            return total

    class Reporter(transformers.TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                on_step(state.global_step, float(logs["loss"]))

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()

    arguments = transformers.TrainingArguments(
        output_dir=str(work),
        max_steps=len(batches),
        per_device_train_batch_size=1,
        learning_rate=job.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=job.warmup_steps,
        weight_decay=job.weight_decay,
        optim=job.optimizer,
        max_grad_norm=1.0,
        seed=job.seed,
        data_seed=job.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=checkpoint_every,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = Sequential(
        model=model,
        args=arguments,
        train_dataset=batches,
        data_collator=lambda items: {"rows": items[0]},
        callbacks=[Reporter(), *callbacks],
    )
    # It prints every log entry to standard output, which belongs to the result.
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _last_checkpoint(work: Path) -> str | None:
    finished = [p.parent for p in work.glob(f"checkpoint-*/{_COMPLETE}")]
    for partial in work.glob("checkpoint-*"):
        if partial not in finished:
            shutil.rmtree(partial)
    return str(max(finished, key=lambda p: int(p.name.split("-")[1]))) if finished else None


def _save(model: Any, folder: Path, base: str, losses: list[float], steps: int, model_card: str) -> None:
    """Write the adapter beside its place and move it there whole."""
    scratch = folder.with_name(folder.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    model.save_pretrained(str(scratch), safe_serialization=True)
    (scratch / "README.md").write_text(model_card, encoding="utf-8")
    tenth = max(1, len(losses) // 10)
    summary = {
        "base_fingerprint": base,
        "steps": steps,
        "first_loss": sum(losses[:tenth]) / tenth,
        "last_loss": sum(losses[-tenth:]) / tenth,
    }
    (scratch / SUMMARY).write_text(json.dumps({**summary, "losses": losses}))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(scratch, folder)


def _read_summary(folder: Path) -> Trained:
    summary = json.loads((folder / SUMMARY).read_text())
    return Trained(folder, summary["steps"], summary["first_loss"], summary["last_loss"])
