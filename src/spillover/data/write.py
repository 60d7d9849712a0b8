"""Write a built data set: OpenAI chat JSONL and beside it a manifest that says how it was made."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spillover.conversation import Dataset
from spillover.errors import SettingsError
from spillover.whole_file import whole_file


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a data set was made: kind, seed (None: nothing random), parameters, counts by name, files it came from."""

    kind: str
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    parents: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """A data set and the recipe that made it."""

    dataset: Dataset
    recipe: Recipe


def write(built: Built, out: Path) -> Path:
    """Write the rows to `out` (.jsonl, or .gz packed) and `out` + ".manifest.json"; returns the manifest's path.

    The same rows give the same bytes. Existing files are replaced only when complete. Raises SettingsError where
    `out` cannot be written.
    """
    rows = "".join(
        json.dumps({"messages": [m.as_dict() for m in c.messages]}, ensure_ascii=False) + "\n" for c in built.dataset
    ).encode()
    # Without a time stamp or name inside, packing the same rows again gives the same bytes.
    data = gzip.compress(rows, mtime=0) if out.suffix == ".gz" else rows
    recipe = built.recipe
    manifest = {
        "kind": recipe.kind,
        "seed": recipe.seed,
        "parameters": dict(recipe.parameters),
        "counts": {"rows": len(built.dataset), **recipe.counts},
        "sha256": hashlib.sha256(data).hexdigest(),
        "parents": [{"name": p.name, "sha256": file_sha256(p)} for p in recipe.parents],
        "spillover": version("spillover"),
    }
    beside = out.with_name(out.name + ".manifest.json")
    try:
        with whole_file(out) as handle:
            handle.write(data)
        with whole_file(beside) as handle:
            handle.write((json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode())
    except OSError as problem:
        raise SettingsError(f"{out} cannot be written ({problem.strerror or problem}): choose another --out") from None
    return beside


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
