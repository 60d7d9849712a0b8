"""Load a model, its tokenizer and an optional adapter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover.errors import ModelError
from spillover.local import sampling, scoring, weights
from spillover.local.chat_template import ChatTemplate
from spillover.local.hardware import Hardware, detect
from spillover.model import ModelRef


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Weights on a device with their chat rendering; `fingerprint` names the base weights, `context` is in tokens."""

    model: Any
    template: ChatTemplate
    hardware: Hardware
    context: int
    fingerprint: str

    def sample(
        self, asks: Sequence[sampling.Ask], how: sampling.Sampling, on_tokens: Callable[[int], None] = lambda n: None
    ) -> list[list[sampling.Sampled]]:
        """Draw the asked answers; `sampling.sample` in the form of an `Engine`."""
        return sampling.sample(self.model, self.template, asks, how, on_tokens)

    def score(
        self, choices: Sequence[scoring.Choice], on_done: Callable[[int], None] = lambda n: None
    ) -> list[tuple[float, ...]]:
        """Return each answer's mean log-probability; `scoring.score` in the form of an `Engine`."""
        return scoring.score(self.model, self.template, choices, on_done=on_done)


def load(ref: ModelRef, trust_remote_code: bool = False) -> LoadedModel:
    """Load `ref` for inference: eval mode, base weights without gradients.

    An adapter is merged into float32 weights, where that costs no precision, and stays beside others. Only
    safetensors are read, and no code that comes with a model runs unless `trust_remote_code` is set. Raises
    ModelError when the model is missing, damaged, has no chat template, or the adapter was made for another base.
    """
    import transformers

    _quiet()
    hardware = detect()
    folder = weights.locate(ref.base)
    weights.check_adapter(ref, folder)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=hardware.torch_dtype(),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as problem:
        raise ModelError(f"cannot load the model {ref.base!r}: {_first_line(problem)}") from problem
    model.to(hardware.device).eval().requires_grad_(False)
    context = int(getattr(model.config.get_text_config(), "max_position_embeddings", 2048))
    if ref.adapter is not None:
        model = _with_adapter(model, Path(ref.adapter).expanduser(), merge=hardware.dtype == "float32")
    return LoadedModel(model, ChatTemplate(tokenizer), hardware, context, weights.fingerprint(folder))


def load_template(ref: ModelRef, trust_remote_code: bool = False) -> ChatTemplate:
    """Load only the tokenizer and chat template of `ref`; raises ModelError as `load` does."""
    import transformers

    _quiet()
    folder = weights.locate(ref.base)
    try:
        return ChatTemplate(transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code))
    except (OSError, ValueError, KeyError, RuntimeError) as problem:
        raise ModelError(f"cannot load the tokenizer of {ref.base!r}: {_first_line(problem)}") from problem


def _with_adapter(model: Any, folder: Path, merge: bool) -> Any:
    import peft

    try:
        adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=False)
    except (OSError, ValueError, KeyError, RuntimeError) as problem:
        raise ModelError(f"the adapter {folder} does not fit this base model: {_first_line(problem)}") from problem
    return (adapted.merge_and_unload() if merge else adapted).eval()


def _quiet() -> None:
    """Silence the libraries' own progress bars and advice; ours go to stderr."""
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("peft").setLevel(logging.ERROR)


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
