"""A run on disk: the manifest says what was asked, SQLite rows keyed by content hold what was found."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spillover.errors import RunFolderError

_MANIFEST = "manifest.json"
_ROWS = "rows.sqlite"


class RunFolder:
    """Open or create a run folder.

    A rerun that asks for the same finds its rows again. Raises RunFolderError when the folder belongs to another
    request or holds something that is not a run.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Create or reopen `path`; `asked` must match what is there, `facts` are recorded beside it."""
        self.path = path
        manifest = path / _MANIFEST
        if manifest.is_file():
            self._check_same(_read_manifest(manifest), asked)
        elif path.exists() and (not path.is_dir() or any(p.name != _MANIFEST + ".partial" for p in path.iterdir())):
            raise RunFolderError(f"{path} exists and is not a run folder: choose another --out")
        else:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise RunFolderError(f"{path} cannot be made ({problem.strerror}): choose another --out") from None
            write_json(manifest, {"asked": dict(asked), **facts})
        try:
            self._rows = sqlite3.connect(path / _ROWS)
            self._rows.execute("PRAGMA journal_mode=WAL")
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS rows (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key))"
            )
            self._rows.commit()
        except sqlite3.DatabaseError as problem:
            raise RunFolderError(f"{path / _ROWS} is damaged ({problem}): delete {path} and run again") from None

    def get(self, kind: str, key: str) -> Any | None:
        """Return the value stored under `kind` and `key`, or None."""
        row = self._rows.execute("SELECT value FROM rows WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, kind: str, values: Iterable[tuple[str, Any]]) -> None:
        """Store key-value pairs, all or none of them."""
        with self._rows:
            self._rows.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
                [(kind, key, json.dumps(value)) for key, value in values],
            )

    def close(self) -> None:
        """Close the database."""
        self._rows.close()

    def _check_same(self, manifest: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        before = manifest["asked"]
        now = json.loads(json.dumps(dict(asked)))
        changed = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
        if changed:
            details = "; ".join(f"{k} was {before.get(k)!r}, now {now.get(k)!r}" for k in changed[:4])
            raise RunFolderError(f"{self.path} holds another run ({details}): choose another --out or delete it")


def _read_manifest(file: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("asked"), dict):
        raise RunFolderError(f"{file} is damaged: delete {file.parent} and run again")
    return manifest


def write_json(path: Path, value: object) -> None:
    """Write JSON beside its place and move it there whole."""
    scratch = path.with_name(path.name + ".partial")
    scratch.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, path)
