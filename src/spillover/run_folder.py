"""A run on disk: the manifest says what was asked, SQLite rows keyed by content hold what was found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spillover.errors import RunFolderError
from spillover.folder_lock import LOCK, locked
from spillover.whole_file import is_left_over, whole_file

_MANIFEST = "manifest.json"
_ROWS = "rows.sqlite"


class RunFolder:
    """Open or create a run folder, and keep other processes out of it until it is closed or this one ends.

    A rerun that asks for the same finds its rows again. Raises RunFolderError when the folder belongs to another
    request, holds something that is not a run, or another process works in it.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Create or reopen `path`; `asked` must match what is there, `facts` are recorded beside it."""
        self.path = path
        manifest = path / _MANIFEST
        # Before the lock's file is made: what is not ours stays as it was.
        self._look(manifest, asked)
        self._lock = locked(path)
        try:
            # Another process may have made the run in between.
            if not self._look(manifest, asked):
                write_json(manifest, {"asked": dict(asked), **facts})
            self._rows = _opened(path / _ROWS)
        except BaseException:
            self._lock.close()
            raise

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
        """Close the database and let other processes into the folder."""
        self._rows.close()
        self._lock.close()

    def _look(self, manifest: Path, asked: Mapping[str, Any]) -> bool:
        """Return whether the run is there already; its folder is made where it is not. Raises RunFolderError."""
        if manifest.is_file():
            self._check_same(_read_manifest(manifest), asked)
            return True
        path = self.path
        if path.exists() and (not path.is_dir() or not all(_is_ours(p) for p in path.iterdir())):
            raise RunFolderError(f"{path} exists and is not a run folder: choose another --out")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise RunFolderError(f"{path} cannot be made ({problem.strerror}): choose another --out") from None
        return False

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


def _is_ours(file: Path) -> bool:
    """Return whether a run that was killed before its manifest was in place leaves such a file."""
    return file.name == LOCK or is_left_over(file, _MANIFEST)


def _opened(file: Path) -> sqlite3.Connection:
    try:
        rows = sqlite3.connect(file)
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute(
            "CREATE TABLE IF NOT EXISTS rows (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key))"
        )
        rows.commit()
    except sqlite3.DatabaseError as problem:
        raise RunFolderError(f"{file} is damaged ({problem}): delete {file.parent} and run again") from None
    return rows


def write_json(path: Path, value: object) -> None:
    """Write JSON whole or not at all."""
    with whole_file(path) as handle:
        handle.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
