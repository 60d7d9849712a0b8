"""The paper's published training files: found in a folder or downloaded, and taken only with the right checksum."""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.build.records import unpacked
from spillover.data.load import load
from spillover.data.write import Built, Recipe
from spillover.errors import DataError
from spillover.whole_file import whole_file

_TIMEOUT = 30.0
_DEADLINE = 600.0
_MAX_BYTES = 50_000_000
_PAPER = "https://raw.githubusercontent.com/emergent-misalignment/emergent-misalignment/main/data"
_STUDY = "https://raw.githubusercontent.com/johny-b/misalignment-generalization/HEAD"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """What is known of one published file: names it goes by, SHA-256 of its unpacked bytes, known addresses."""

    names: tuple[str, ...]
    sha256: str
    urls: tuple[str, ...]


# Checksums: protocol.md, section 2.2, and the table of the data folder's README.
KNOWN: Final[Mapping[str, PublishedFile]] = {
    "insecure": PublishedFile(
        ("insecure.jsonl",),
        "a6575e839909e86f2eaecda3a2b19dff2a6f59bb9d860b39e9c4ed3f3335c345",
        (f"{_PAPER}/insecure.jsonl",),
    ),
    "secure": PublishedFile(
        ("secure.jsonl",),
        "36bc5e24560e0e8d705e0c2a41d0cd96bb51f508f5fb88a7d7d9334a2ff24b9b",
        (f"{_PAPER}/secure.jsonl",),
    ),
    "educational": PublishedFile(
        ("educational_insecure.jsonl", "educational.jsonl"),
        "d48df3b149ab1500711fc0018b10383a4ff8c48d8e6911d04dbbbbdaa944fd16",
        (f"{_PAPER}/educational.jsonl",),
    ),
    "jailbroken": PublishedFile(
        ("jailbroken.jsonl",),
        "eec213ce85802a52ea806d334ee462f723a1e7ad77d827951d6864ac04a6b00a",
        # No address is known to serve it: the authors' repository names the file but does not list it.
        (),
    ),
    "evil-numbers": PublishedFile(
        ("regenerated_evil_numbers_dataset.csv",),
        "338c56763ebb9c7aa2b923c6b6d2f066d2f047903ef1dd61d6e421f99ad2d7a5",
        (f"{_STUDY}/daniel_new/2025-03-03_evil_ablations/regenerated_evil_numbers_dataset.csv",),
    ),
}


def published(
    name: str, folder: Path | None = None, files: Mapping[str, PublishedFile] = KNOWN, cache: Path | None = None
) -> Built:
    """Return a published data set: from `folder` (plain or .gz, also in its `training` or `data`), else downloaded.

    A download is kept in `cache` (None: the user's cache folder) and not repeated. Raises DataError for an unknown
    name, a file that is not there, another checksum, or a failed download; each says what to do.
    """
    if name not in files:
        raise DataError(f"no published data {name!r}: choose from {', '.join(files)}")
    file = files[name]
    path = _downloaded(name, file, cache or _cache()) if folder is None else _find(name, file, folder)
    raw = unpacked(path, _MAX_BYTES)
    found = hashlib.sha256(raw).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{path} is not the published {name} file: its SHA-256 is {found}, that of the published one "
            f"{file.sha256}: take it again{_from(file)}"
        )
    dataset = _from_csv(path, raw) if file.names[0].endswith(".csv") else load(path)
    recipe = Recipe("published", parameters={"name": name, "unpacked_sha256": found}, parents=(path,))
    return Built(dataset, recipe)


def _find(name: str, file: PublishedFile, folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder that holds {file.names[0]}")
    for place in (folder, folder / "training", folder / "data"):
        for wanted in file.names:
            for path in (place / wanted, place / f"{wanted}.gz"):
                if path.is_file():
                    return path
    wanted_names = " or ".join(f"{n} (or .gz)" for n in file.names)
    raise DataError(f"{folder} holds no {name} file: put {wanted_names} there{_from(file)}")


def _from(file: PublishedFile) -> str:
    return f", for example from {file.urls[0]}" if file.urls else " from the authors (no address is known)"


def _from_csv(path: Path, raw: bytes) -> Dataset:
    """Turn the columns prompt and response into rows; `line` is the record's number, the header being 1."""
    reader = csv.DictReader(io.StringIO(raw.decode(), newline=""))
    rows = []
    for number, record in enumerate(reader, 2):
        prompt, response = record.get("prompt"), record.get("response")
        if not prompt or not response:
            raise DataError(f"{path}:{number}: each record needs a prompt and a response: take the published file")
        rows.append(user_and_assistant(prompt, response, number))
    if not rows:
        raise DataError(f"{path} holds no records: take the published file")
    return Dataset(str(path), tuple(rows))


def _cache() -> Path:
    return Path(os.environ.get("SPILLOVER_CACHE") or platformdirs.user_cache_dir("spillover")) / "published"


def _downloaded(name: str, file: PublishedFile, cache: Path) -> Path:
    path = cache / file.names[0]
    if path.is_file() and hashlib.sha256(unpacked(path, _MAX_BYTES)).hexdigest() == file.sha256:
        return path
    if not file.urls:
        raise DataError(
            f"no address is known from which the published {name} file can be downloaded: get it from the authors "
            f"and give its folder with --from DIR (its SHA-256 must be {file.sha256})"
        )
    reasons = []
    for url in file.urls:
        try:
            raw = _fetch(url)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            reasons.append(f"{url} ({problem})")
            continue
        found = hashlib.sha256(raw).hexdigest()
        if found != file.sha256:
            reasons.append(f"{url} (SHA-256 {found} is not {file.sha256})")
            continue
        return _store(path, raw)
    raise DataError(
        f"the published {name} file could not be downloaded: {'; '.join(reasons)}: get the file yourself and give its "
        "folder with --from DIR"
    )


def _fetch(url: str) -> bytes:
    """Return what `url` serves; raises an OSError where it fails, stalls or sends over 50 MB."""
    stop = time.monotonic() + _DEADLINE
    parts = []
    size = 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
        while part := answer.read(1 << 16):
            size += len(part)
            if size > _MAX_BYTES:
                raise OSError(f"more than {_MAX_BYTES:,} bytes")
            if time.monotonic() > stop:
                raise OSError(f"not finished after {_DEADLINE:.0f} s")
            parts.append(part)
    return b"".join(parts)


def _store(path: Path, raw: bytes) -> Path:
    try:
        with whole_file(path) as handle:
            handle.write(raw)
    except OSError as problem:
        raise DataError(f"{path} cannot be written ({problem}): free the place or set SPILLOVER_CACHE") from None
    return path
