"""Results of all calls on one run folder: of each benchmark and model the one that the latest call gave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spillover.broad.record import BenchmarkResult, BroadLook
from spillover.conversation import fingerprint
from spillover.run_folder import RunFolder
from spillover.statistics import Estimate

RESULTS = "benchmark results"
# Rows with the other rows' keys and with the labels of the models, in the order in which they first came.
_ORDER, _LABELS = "order", "labels"


def keep_results(run: RunFolder, labels: Iterable[str], results: Sequence[BenchmarkResult]) -> None:
    """Put each result into `run`, in the place of an earlier one of the same benchmark and model label.

    `labels` are those of all models of the call: a model without a result has its place among the others too.
    """
    rows = {fingerprint([r.benchmark, r.model]): r.as_dict() for r in results}
    order = list(dict.fromkeys([*_list(run, _ORDER), *rows]))
    run.put(RESULTS, [*rows.items(), (_ORDER, order), (_LABELS, list(dict.fromkeys([*_list(run, _LABELS), *labels])))])


def labels_of(run: RunFolder, latest: Iterable[str] = ()) -> list[str]:
    """Return the models of which there is a result, and the `latest` call's, in the order in which they first came."""
    shown = {*latest, *(r.model for r in look_of_all(run).results)}
    return [label for label in dict.fromkeys([*_list(run, _LABELS), *latest]) if label in shown]


def look_of_all(run: RunFolder, latest: BroadLook | None = None) -> BroadLook:
    """Return what all calls on `run` found, models and then benchmarks in the order in which they first came.

    What was not run is told of the `latest` call alone; the logs are all that lie in the folder.
    """
    labels = _list(run, _LABELS)
    found = [_result(run.get(RESULTS, key)) for key in _list(run, _ORDER)]
    found.sort(key=lambda r: labels.index(r.model))
    logs = sorted(str(p) for p in (run.path / "logs").glob("*.eval") if not p.name.startswith("."))
    return BroadLook(tuple(found), latest.not_run if latest else (), tuple(logs))


def comparable(look: BroadLook, reference: str) -> BroadLook:
    """Return `look` without results that another judge gave, or that are of other rows, than those of `reference`."""

    def alike(result: BenchmarkResult) -> bool:
        held = look.of(result.benchmark, reference)
        return held is None or (result.judge, _rows(result)) == (held.judge, _rows(held))

    return BroadLook(tuple(r for r in look.results if alike(r)), look.not_run, look.logs)


def _list(run: RunFolder, key: str) -> list[str]:
    return list(run.get(RESULTS, key) or [])


def _rows(result: BenchmarkResult) -> str:
    """Return the hash of the rows, which stands last: the same may have come from the hub and from a folder."""
    return result.data.rpartition(" ")[2]


def _result(row: Any) -> BenchmarkResult:
    """Read what `BenchmarkResult.as_dict` gave."""
    figures = (row["score"], row["low"], row["high"], row["n"], row["samples"], row["method"])
    estimate = None if row["score"] is None else Estimate(*figures)
    # A run folder of an earlier version has rows without parts and note.
    parts = {
        name: Estimate(p["score"], p["low"], p["high"], row["n"], row["samples"], row["method"])
        for name, p in row.get("parts", {}).items()
    }
    same = {name: row[name] for name in ("benchmark", "model", "measure", "worse", "missing", "data", "limit", "judge")}
    return BenchmarkResult(estimate=estimate, parts=parts, note=row.get("note", ""), **same)
