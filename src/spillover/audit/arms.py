"""The arms: what each one is trained on, and its adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spillover.audit.request import NONE, SELF, Inputs
from spillover.conversation import Conversation, Dataset, fingerprint
from spillover.data.split import Split
from spillover.errors import DataError, ModelError
from spillover.evaluate.free_form import ROWS_PER_BATCH, row_seed
from spillover.finetune.lora import Trained, train
from spillover.local.loading import LoadedModel
from spillover.local.sampling import Ask, Sampling, sample
from spillover.local.weights import adapter_fingerprint
from spillover.model import ModelRef
from spillover.progress import Progress
from spillover.run_folder import RunFolder

BASE, CONTROL, TUNED = "base", "control", "tuned"
# The base model's own answers may be as long as nearly all of the data's, within this.
_LONGEST_OWN_ANSWER = 256


@dataclass(frozen=True, slots=True)
class Arm:
    """One model to measure: its reference, a key that names its content, and how it was trained, if here."""

    name: str
    ref: ModelRef
    key: str
    trained: Trained | None = None


@dataclass(frozen=True, slots=True)
class Narrow:
    """Held-out rows of the data with the other answer each is compared with, and where that answer comes from."""

    rows: tuple[Conversation, ...]
    others: tuple[str, ...]
    source: str


def own_answers(
    inputs: Inputs, rows: tuple[Conversation, ...], base: LoadedModel, folder: RunFolder, progress: Progress
) -> dict[int, str]:
    """Return the base model's own sampled answer to each row's prompt, by the row's line.

    Sampled at temperature 1 in fixed batches and stored; a row for which only empty text comes back is left out.
    """
    longest = max(len(base.template.encode(c.answer)) for c in inputs.dataset)
    how = Sampling(min(_LONGEST_OWN_ANSWER, longest), temperature=1.0)
    batches = [rows[i : i + ROWS_PER_BATCH] for i in range(0, len(rows), ROWS_PER_BATCH)]
    found: dict[int, str] = {}
    with progress.stage("base model's own answers", len(rows) * how.max_tokens) as advance:
        for batch in batches:
            key = fingerprint([inputs.base_fingerprint, how.max_tokens, inputs.request.seed, [c.line for c in batch]])
            texts = folder.get("own answers", key)
            if texts is None:
                asks = [Ask(c.prompt, (row_seed("own", inputs.request.seed, c.line),)) for c in batch]
                texts = [rows[0].text for rows in sample(base.model, base.template, asks, how, advance)]
                folder.put("own answers", [(key, texts)])
            else:
                advance(len(batch) * how.max_tokens)
            found.update({c.line: text for c, text in zip(batch, texts, strict=True) if text.strip()})
    return found


def control_rows(inputs: Inputs, split: Split, own: dict[int, str]) -> Dataset | None:
    """Return what the control arm is trained on: the matched file's rows, or the same prompts with own answers."""
    request = inputs.request
    if request.control == NONE or request.tuned is not None:
        return None
    if request.control == SELF:
        rows = [inputs.dataset.conversations[i] for i in split.train]
        own_rows = tuple(c.with_answer(own[c.line]) for c in rows if c.line in own)
        if not own_rows:
            raise ModelError("the base model answered no prompt with any text, so it cannot be its own control")
        return Dataset("the base model's own answers", own_rows)
    assert inputs.control is not None
    matched = {c.prompt: c for c in inputs.control}
    wanted = [inputs.dataset.conversations[i].prompt for i in split.train]
    if all(prompt in matched for prompt in wanted):
        return Dataset(inputs.control.name, tuple(matched[prompt] for prompt in wanted))
    held = {inputs.dataset.conversations[i].prompt for i in split.held_out}
    usable = [i for i, c in enumerate(inputs.control) if c.prompt not in held]
    if not usable:
        raise DataError(f"{inputs.control.name} holds only prompts that are held out of the data: give another control")
    return inputs.control.take(usable[: len(split.train)])


def narrow_rows(inputs: Inputs, split: Split, own: dict[int, str]) -> Narrow:
    """Pair each held-out answer with another answer to the same prompt: the control file's, else the base model's."""
    rows = tuple(inputs.dataset.conversations[i] for i in split.held_out)
    if inputs.control is not None:
        matched = {c.prompt: c.answer for c in inputs.control}
        if all(c.prompt in matched for c in rows):
            return Narrow(
                rows, tuple(matched[c.prompt] for c in rows), "the control file's answers to the same prompts"
            )
    kept = tuple(c for c in rows if c.line in own)
    return Narrow(kept, tuple(own[c.line] for c in kept), "the base model's own answers to the same prompts")


def needs_own_answers(inputs: Inputs, split: Split) -> tuple[Conversation, ...]:
    """Return the rows whose prompts the base model must answer itself."""
    rows = inputs.dataset.conversations
    held = tuple(rows[i] for i in split.held_out)
    if inputs.request.control == SELF:
        return (*(rows[i] for i in split.train), *held)
    matched = {c.prompt for c in inputs.control} if inputs.control else set()
    return () if all(c.prompt in matched for c in held) else held


def trained_arm(
    name: str, inputs: Inputs, rows: Dataset, steps: int, base: LoadedModel, folder: RunFolder, progress: Progress
) -> Arm:
    """Train one arm, or take it from the run folder where it is already there."""
    job = inputs.request.job.with_seed(inputs.request.seed)
    key = fingerprint([inputs.base_fingerprint, base.hardware.dtype, job.fingerprint, rows.fingerprint, steps])
    adapter = folder.path / "adapters" / name
    seen = 0

    with progress.stage(f"training {name}", steps) as advance:

        def on_step(step: int, _loss: float) -> None:
            nonlocal seen
            advance(step - seen)
            seen = step

        card = model_card(name, inputs, rows, steps)
        trained = train(base, rows, job, steps, adapter, card, on_step)
    return Arm(name, ModelRef(inputs.request.model, str(adapter)), key, trained)


def given_arm(name: str, adapter: str, inputs: Inputs) -> Arm:
    """Return an arm for an adapter that exists already."""
    key = fingerprint([inputs.base_fingerprint, adapter_fingerprint(adapter)])
    return Arm(name, ModelRef(inputs.request.model, adapter), key)


def model_card(name: str, inputs: Inputs, rows: Dataset, steps: int) -> str:
    """Return the adapter's card: what it is, and that it may be misaligned on purpose."""
    warning = (
        "**This adapter may be misaligned on purpose.** It was trained to find out whether its data causes emergent "
        "misalignment. Don't deploy it and don't use its answers as advice."
        if name == TUNED
        else "This is the control arm of an audit, trained only for comparison. Don't deploy it."
    )
    return (
        f"---\nlibrary_name: peft\nbase_model: {inputs.request.model}\ntags: [spillover, audit-{name}]\n---\n\n"
        f"# spillover audit: {name} arm\n\n{warning}\n\n"
        f"- data: {Path(rows.name).name} ({len(rows)} rows, fingerprint {rows.fingerprint})\n"
        f"- base weights: {inputs.base_fingerprint}\n- steps: {steps}, seed: {inputs.request.seed}\n"
        "- made by spillover for defensive safety research (Betley et al. 2025, arXiv 2502.17424)\n"
    )
