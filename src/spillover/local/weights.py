"""Find and identify model files by their bytes alone; importing torch would cost seconds before any error is shown."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spillover.bundled import small_model
from spillover.errors import ModelError
from spillover.model import BUNDLED, ModelRef

# Our training loop writes this beside an adapter: steps, losses and the base weights it was trained on.
SUMMARY = "training.json"

_SAMPLES = 64
_SAMPLE_BYTES = 4096


def locate(base: str) -> Path:
    """Return the local folder of `base` ("bundled", a folder, or a hub id, which is downloaded once).

    Raises ModelError when there is no such model or it holds no safetensors weights.
    """
    if base == BUNDLED:
        return small_model.cached_folder()
    folder = Path(base).expanduser()
    if not folder.exists() and base.count("/") == 1 and not base.startswith((".", "/", "~")):
        folder = _download(base)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"no model at {base!r}: give 'bundled', a folder with config.json and safetensors weights, "
            "or a hub id such as org/name"
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{base!r} holds no .safetensors weights: other formats can run code and are not read")
    return folder


def fingerprint(folder: Path) -> str:
    """Return a hash of the weight files: names, sizes, headers and evenly spread samples of their bytes."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}".encode())
        with file.open("rb") as handle:
            for i in range(_SAMPLES):
                handle.seek(max(0, (size - _SAMPLE_BYTES) * i // (_SAMPLES - 1)))
                digest.update(handle.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def context_length(folder: Path) -> int:
    """Return how many tokens the model in `folder` can attend to, 2048 where its configuration does not say."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return int((config.get("text_config") or config).get("max_position_embeddings") or 2048)


def adapter_fingerprint(adapter: str) -> str:
    """Return a hash of an adapter's settings and weights."""
    folder = Path(adapter).expanduser()
    digest = hashlib.sha256((folder / "adapter_config.json").read_bytes())
    digest.update((folder / "adapter_model.safetensors").read_bytes())
    return digest.hexdigest()[:16]


def adapter_modules(adapter: str | Path) -> frozenset[str]:
    """Return the names of the matrices that an adapter changes, such as "q_proj", from its weights' header."""
    header = _header(Path(adapter).expanduser() / "adapter_model.safetensors")
    paths = {name.partition(".lora_")[0] for name in header if ".lora_" in name}
    return frozenset(path.rpartition(".")[2] for path in paths)


def check_adapter(ref: ModelRef, base: Path) -> None:
    """Check that the adapter of `ref` is a LoRA in safetensors that fits the weights in `base`; raises ModelError."""
    if ref.adapter is None:
        return
    folder = Path(ref.adapter).expanduser()
    weights = folder / "adapter_model.safetensors"
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(f"no adapter at {folder}: the folder needs adapter_config.json and adapter_model.safetensors")
    if not weights.is_file():
        raise ModelError(f"{folder} has no adapter_model.safetensors: other formats can run code and are not read")
    summary = folder / SUMMARY
    made_for = json.loads(summary.read_text()).get("base_fingerprint") if summary.is_file() else None
    if made_for and made_for != fingerprint(base):
        raise ModelError(
            f"the adapter {folder} was trained on another base model (weights {made_for}, here {fingerprint(base)}): "
            "name its base with --model"
        )
    _check_shapes(weights, base, folder)


def _check_shapes(weights: Path, base: Path, folder: Path) -> None:
    """Compare each LoRA pair with the matrix it adapts, from the files' headers."""
    known = {name: meta["shape"] for file in base.glob("*.safetensors") for name, meta in _header(file).items()}
    for name, meta in _header(weights).items():
        module, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        if not part:
            continue
        target = known.get(f"{module}.weight")
        fits = target is not None and (
            meta["shape"][1] == target[1] if part.startswith(("A", "embedding_A")) else meta["shape"][0] == target[0]
        )
        if not fits:
            found = "has no such matrix" if target is None else f"has {module} of shape {tuple(target)}"
            raise ModelError(
                f"the adapter {folder} does not fit this base model: {name} has shape {tuple(meta['shape'])}, the base "
                f"{found}: name the adapter's base with --model"
            )


def _header(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 0 < length < 100_000_000:
                raise ValueError("header length out of range")
            header: dict[str, Any] = json.loads(handle.read(length))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{file} is not a readable safetensors file ({problem}): save it again") from None
    header.pop("__metadata__", None)
    return header


def _download(hub_id: str) -> Path:
    import huggingface_hub

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=wanted))
    except Exception as problem:  # the hub client raises many kinds; each means: not to be had
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(
            f"no model {hub_id!r}: there is no such folder, and the hub did not give it ({reason}). "
            "Check the name, log in if it is gated, or give a local folder"
        ) from None
