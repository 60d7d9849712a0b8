"""After the fact: readings of a folder of checkpoints, or of several adapters of one base."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spillover.errors import ModelError
from spillover.local.loading import load
from spillover.local.weights import SUMMARY
from spillover.model import ModelRef
from spillover.monitor.panel import TOKENS, make_panel
from spillover.monitor.persona import directions_of
from spillover.monitor.probe_file import ProbeFile
from spillover.monitor.read import Monitor, Reading, start

_NUMBER = re.compile(r"(\d{1,9})\D{0,40}$")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One saved state: `step`, its folder, and whether it is an adapter or whole weights."""

    step: int
    folder: Path
    adapter: bool


def find_checkpoints(paths: Sequence[Path]) -> tuple[Checkpoint, ...]:
    """Return the checkpoints among `paths` and in their folders, by step.

    The step is what training wrote beside the weights, else the last number in the folder's name; where one has
    neither, or two are alike, all are numbered in the order given. Raises ModelError for a path without a checkpoint.
    """
    folders: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if _kind(p) is not None) if path.is_dir() else []
        if _kind(path) is not None:
            folders.append(path)
        elif inside:
            folders += sorted(inside, key=lambda p: (_step(p) or 0, p.name))
        else:
            raise ModelError(
                f"no checkpoint at {path}: give a folder with adapter_config.json or config.json and .safetensors "
                "weights, or a folder of such folders"
            )
    steps = [_step(folder) for folder in folders]
    if None in steps or len(set(steps)) < len(steps):
        steps = list(range(1, len(folders) + 1))
    found = [Checkpoint(s or 0, f, _kind(f) == "adapter") for s, f in zip(steps, folders, strict=True)]
    return tuple(sorted(found, key=lambda c: c.step))


def read_checkpoints(
    checkpoints: Sequence[Checkpoint],
    base: str,
    in_domain: Sequence[str] = (),
    tokens: int = TOKENS,
    probe_file: ProbeFile | None = None,
    trust_remote_code: bool = False,
    on_start: Callable[[Monitor], None] = lambda monitor: None,
) -> Iterator[Reading]:
    """Yield a reading of each checkpoint against `base`; one model is in memory at a time.

    `on_start` gets the monitor once the base is read. Raises ModelError where a checkpoint does not load.
    """
    loaded = load(ModelRef(base), trust_remote_code)
    panel = make_panel(loaded.template, in_domain, tokens, probe_file=probe_file)
    monitor = start(loaded.model, loaded.template, panel, directions_of(loaded.model, loaded.template))
    on_start(monitor)
    del loaded
    for checkpoint in checkpoints:
        ref = ModelRef(base, str(checkpoint.folder)) if checkpoint.adapter else ModelRef(str(checkpoint.folder))
        yield monitor.read(load(ref, trust_remote_code).model, checkpoint.step)


def _kind(folder: Path) -> str | None:
    if (folder / "adapter_config.json").is_file():
        return "adapter"
    return "weights" if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) else None


def _step(folder: Path) -> int | None:
    for name, key in (("trainer_state.json", "global_step"), (SUMMARY, "steps")):
        try:
            value = json.loads((folder / name).read_text(encoding="utf-8"))[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(value, int) and value >= 0:
            return value
    match = _NUMBER.search(folder.name)
    return int(match[1]) if match else None
