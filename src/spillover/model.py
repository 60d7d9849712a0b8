"""ModelRef: which model to run, without its weights."""

from __future__ import annotations

from dataclasses import dataclass

BUNDLED = "bundled"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What to load: `base` is "bundled", a local folder or a hub id; `adapter` a LoRA folder on top of it."""

    base: str = BUNDLED
    adapter: str | None = None
