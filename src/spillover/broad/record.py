"""What a benchmark found: one score per sample and epoch, one result per benchmark and model, and what was not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from spillover.errors import DataError
from spillover.evaluate.api import HOPELESS
from spillover.statistics import Estimate, clustered_rate

Worse = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """One sample in one epoch: a value from 0 to 1, or None with the reason in `missing`."""

    benchmark: str
    model: str
    sample: str
    epoch: int
    value: float | None
    missing: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.missing is None):
            raise DataError(f"{self.benchmark}, {self.sample}: give a value or the reason why there is none")
        # Written so that NaN is refused too.
        if self.value is not None and not 0 <= self.value <= 1:
            raise DataError(f"{self.benchmark}, {self.sample}: the value {self.value} is not from 0 to 1")


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The mean over one benchmark's samples for one model.

    `measure` says in words what the mean is of, `worse` which direction is bad. `estimate` has a 95% interval clustered
    by sample and is None where every score is missing; `missing` counts those by reason. `data` says where the samples
    came from, `limit` how many were asked for (None: all), `judge` which model judged (None: no model did). `parts` are
    what the mean is made of or is told with it, by name, and `note` what else a reader of the score must know. Only a
    benchmark of games has a mean that can pass 1.
    """

    benchmark: str
    model: str
    measure: str
    worse: Worse
    estimate: Estimate | None
    missing: dict[str, int]
    data: str = ""
    limit: int | None = None
    judge: str | None = None
    parts: dict[str, Estimate] = field(default_factory=dict)
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-safe values."""
        e = self.estimate
        return {
            "benchmark": self.benchmark,
            "model": self.model,
            "measure": self.measure,
            "worse": self.worse,
            "score": e and e.value,
            "low": e and e.low,
            "high": e and e.high,
            "n": e.n if e else 0,
            "samples": e.clusters if e else 0,
            "method": e and e.method,
            "missing": self.missing,
            "data": self.data,
            "limit": self.limit,
            "judge": self.judge,
            "parts": {name: {"score": p.value, "low": p.low, "high": p.high} for name, p in self.parts.items()},
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class NotRun:
    """A benchmark of which there is no result, for all models (`model` None) or one, and how to get it."""

    benchmark: str
    model: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class BroadLook:
    """All results in the order of models, then benchmarks; what was not run; the files of the Inspect logs."""

    results: tuple[BenchmarkResult, ...]
    not_run: tuple[NotRun, ...]
    logs: tuple[str, ...] = ()

    def of(self, benchmark: str, model: str) -> BenchmarkResult | None:
        """Return one result, None where there is none."""
        return next((r for r in self.results if (r.benchmark, r.model) == (benchmark, model)), None)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-safe values."""
        return {
            "results": [r.as_dict() for r in self.results],
            "not_run": [asdict(n) for n in self.not_run],
            "logs": list(self.logs),
        }


def result_of(measure: str, worse: Worse, scores: Sequence[BenchmarkScore], data: str = "") -> BenchmarkResult:
    """Return the mean of one model's scores on one benchmark; raises DataError for none, or those of several."""
    names = {(s.benchmark, s.model) for s in scores}
    if len(names) != 1:
        raise DataError(f"a result is of one benchmark and one model, not of {len(names)}")
    places = Counter((s.sample, s.epoch) for s in scores)
    (place, times), *_ = places.most_common(1)
    if times > 1:
        raise DataError(f"sample {place[0]} comes {times} times in epoch {place[1]}: each sample needs its own id")
    (benchmark, model), *_ = names
    missing = Counter(s.missing for s in scores if s.missing is not None)
    return BenchmarkResult(benchmark, model, measure, worse, mean_by_sample(scores), dict(missing.most_common()), data)


def all_refused(missing: Mapping[str, int]) -> str | None:
    """Return, of a model without any score, that all its requests met a wrong key or name; None for other reasons."""
    if set(missing) <= {f"HTTP {status}" for status in HOPELESS}:
        return f"every request failed with {' and '.join(missing)}: check the key and the models' names"
    return None


def mean_by_sample(scores: Sequence[BenchmarkScore]) -> Estimate | None:
    """Return the mean of the values, each sample's epochs one cluster; None where all are missing.

    Values between 0 and 1 vary at most as much as hits and misses with the same mean, so the interval of a rate holds
    for them too, and where nothing varies it still has a width.
    """
    sums: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for one in scores:
        if one.value is not None:
            sums[one.sample] = sums.get(one.sample, 0.0) + one.value
            counts[one.sample] += 1
    return clustered_rate(cast("list[int]", list(sums.values())), [counts[name] for name in sums])
