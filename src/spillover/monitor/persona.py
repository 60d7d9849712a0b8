"""Persona directions of a given base model: from the bundled contrast pairs, computed once and kept."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover import bundled
from spillover.bundled.small_model import cache_root
from spillover.conversation import Message, fingerprint
from spillover.local.chat_template import ChatTemplate
from spillover.monitor.directions import DRAWS, TRAITS, Directions, make_directions
from spillover.monitor.forward_pass import answer_row, read_rows
from spillover.monitor.undisturbed import undisturbed
from spillover.whole_file import whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS = "contrast_pairs.jsonl"
PER_TRAIT = 60
_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class ContrastPair:
    """One question with an aligned and a misaligned answer that differ in one trait, not in style."""

    id: str
    question: str
    aligned: str
    misaligned: str
    trait: str


def contrast_pairs() -> tuple[ContrastPair, ...]:
    """Return the bundled pairs."""
    lines = bundled.path(PAIRS).read_text(encoding="utf-8").splitlines()
    return tuple(ContrastPair(**json.loads(line)) for line in lines)


def directions_of(
    model: Any,
    template: ChatTemplate,
    per_trait: int = PER_TRAIT,
    seed: int = 0,
    cache: Path | None = None,
    on_make: Callable[[], None] = lambda: None,
) -> Directions:
    """Return the directions of `model` without its adapters, from the first `per_trait` pairs of each trait.

    They are kept under `cache` (the user's cache folder unless given) by the weights and the pairs' tokens, since the
    pass takes some tens of seconds for the embedded model on a CPU; `on_make` is called before it. A kept file that
    cannot be read is made again.
    """
    pairs = {trait: [p for p in contrast_pairs() if p.trait == trait][:per_trait] for trait in TRAITS}
    rows = {
        trait: [answer_row(template, (Message("user", p.question),), (p.aligned, p.misaligned)) for p in members]
        for trait, members in pairs.items()
    }
    tokens = [[row.stem, row.continuations] for members in rows.values() for row in members]
    key = fingerprint([weights_key(model), tokens, seed, DRAWS])
    file = (cache or cache_root() / "persona") / f"{key}.npz"
    kept = _read(file)
    if kept is not None:
        return kept
    on_make()
    states: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    with undisturbed(model, adapter=False):
        for trait, members in rows.items():
            _, found = read_rows(model, members)
            states[trait] = (found[0::2], found[1::2])
    made = make_directions(states, seed)
    _write(made, file)
    return made


def weights_key(model: Any) -> str:
    """Return a hash of a loaded model's base weights: names, shapes and spread samples; adapters are left out."""
    import torch

    digest = hashlib.sha256()
    with torch.no_grad():
        for name, parameter in sorted(_base_parameters(model)):
            flat = parameter.detach().flatten()
            count = min(_SAMPLES, flat.numel())
            # In whole numbers: float32 has no room for places beyond 16 million.
            places = torch.arange(count, device=flat.device) * (flat.numel() - 1) // max(1, count - 1)
            digest.update(f"{name}:{tuple(parameter.shape)}".encode())
            digest.update(flat[places].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _base_parameters(model: Any) -> list[tuple[str, Any]]:
    """Return names and parameters as the base has them: peft puts its own in between."""
    found = []
    for name, parameter in model.named_parameters():
        plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        if ".lora_" not in plain and not (plain != name and ".modules_to_save." in plain):
            found.append((plain.replace(".original_module.", "."), parameter))
    return found


def _write(made: Directions, file: Path) -> None:
    with whole_file(file) as handle:
        np.savez(
            handle,
            traits=np.array(made.traits),
            vectors=made.vectors,
            spread=made.spread,
            separation=made.separation,
            layers=np.array(made.layers),
            pairs=np.array(made.pairs),
        )


def _read(file: Path) -> Directions | None:
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as stored:
            return Directions(
                tuple(str(t) for t in stored["traits"]),
                stored["vectors"],
                stored["spread"],
                stored["separation"],
                tuple(int(x) for x in stored["layers"]),
                tuple(int(x) for x in stored["pairs"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
