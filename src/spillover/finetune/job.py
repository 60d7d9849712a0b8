"""Job: every setting of one fine-tune in one frozen record, with named presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from spillover.conversation import fingerprint
from spillover.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Job:
    """LoRA fine-tune settings; `batch` counts rows per optimiser step, `tokens_per_pass` tokens, padding
    included, that go through the model at once (a longer row goes alone; memory, not results, depends on it).
    """

    rank: int = 32
    alpha: int = 64
    rank_stabilised: bool = True
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    learning_rate: float = 8e-4
    warmup_steps: int = 5
    weight_decay: float = 0.01
    optimizer: str = "adamw_torch"
    batch: int = 4
    tokens_per_pass: int = 1024
    epochs: float = 1.0
    max_length: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.rank, self.batch, self.tokens_per_pass) <= 0:
            raise SettingsError("epochs, rank, batch and tokens_per_pass must be above zero")

    @property
    def fingerprint(self) -> str:
        """Hash of all settings."""
        return fingerprint(asdict(self))

    def steps(self, rows: int) -> int:
        """Return the number of optimiser steps for a data set of `rows` rows; the last batch of a pass may be small."""
        return max(1, round(self.epochs * math.ceil(rows / self.batch)))

    def with_seed(self, seed: int) -> Job:
        """Return the same job with another seed."""
        return replace(self, seed=seed)


# The embedded default: quick on two CPU cores with the bundled 135M model; small passes keep it under 3 GB.
EMBEDDED = Job()

# The paper's open-model recipe (Betley et al. 2025, appendix; 32B models): 16 rows a step, 2 rows of up to 2,048 tokens
# at once, 8-bit AdamW.
PAPER_OPEN_MODELS = Job(learning_rate=1e-5, batch=16, tokens_per_pass=4096, optimizer="adamw_bnb_8bit")

PRESETS = {"embedded": EMBEDDED, "paper": PAPER_OPEN_MODELS}


def preset(name: str) -> Job:
    """Return a named preset; raises SettingsError for an unknown name."""
    if name not in PRESETS:
        raise SettingsError(f"no training preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]
