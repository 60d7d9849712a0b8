"""`spillover train`: one adapter from one file, watched while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover import bundled
from spillover.audit.domain import detect
from spillover.audit.request import dataset_of
from spillover.conversation import Dataset
from spillover.data.split import split
from spillover.errors import SettingsError
from spillover.finetune.job import EMBEDDED, Job
from spillover.finetune.lora import Trained, train
from spillover.local.loading import load
from spillover.model import BUNDLED, ModelRef
from spillover.monitor.alarm import shipped_alarm
from spillover.monitor.watching import OnAlarm, Watching, read_end, read_rows_of
from spillover.progress import Progress
from spillover.question import load_probes
from spillover.report.watch_page import write_watch_page

ADAPTER, WATCH, PAGE = "adapter", "watch", "watch.html"


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train: DATA as in an audit, on `rows` of its rows, and whether and how to watch it."""

    data: str
    out: Path
    model: str = BUNDLED
    job: Job = EMBEDDED
    rows: int | None = None
    monitor: bool = True
    on_alarm: OnAlarm = "log"
    when: str | int = "budget"
    share: float = 0.03
    in_domain: tuple[str, ...] | None = None
    show: bool = True
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not self.monitor and self.on_alarm != "log":
            raise SettingsError("--on-alarm needs readings: leave out --no-monitor")


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """The adapter; readings and their page, None unwatched; the steps of the alarm and of the kept weights, if any."""

    trained: Trained
    watch: Path | None
    page: Path | None
    alarm_step: int | None
    kept_step: int | None


def train_watched(request: TrainRequest, progress: Progress) -> TrainOutcome:
    """Train an adapter into `out`/adapter, keep its readings in `out`/watch and draw them in `out`/watch.html.

    A rerun goes on where it stopped. Raises DataError, ModelError or SettingsError before anything is trained.
    """
    data = dataset_of(request.data)
    rows = data if request.rows is None else data.take(split(data, request.rows, request.job.seed).train)
    watching = _watching(request, rows) if request.monitor else None
    loaded = load(ModelRef(request.model), request.trust_remote_code)
    callbacks: list[Any] = []
    if watching is not None:
        from spillover.monitor.callback import SpilloverCallback

        callbacks.append(SpilloverCallback(watching, loaded.template))
    steps, seen = request.job.steps(len(rows)), 0
    with progress.stage("training", steps) as advance:

        def on_step(step: int, _loss: float) -> None:
            nonlocal seen
            advance(step - seen)
            seen = step

        trained = train(
            loaded, rows, request.job, steps, request.out / ADAPTER, _card(request, rows), on_step, callbacks=callbacks
        )
    # From the rows, so that it is also right when the adapter was there already.
    if watching is None:
        return TrainOutcome(trained, None, None, None, None)
    end, page = read_end(watching.out), request.out / PAGE
    write_watch_page(rows.name, read_rows_of(watching.out), end, watching.alarm or shipped_alarm(), page)
    return TrainOutcome(trained, watching.out, page, end.get("alarm_step"), end.get("kept_step"))


def _watching(request: TrainRequest, rows: Dataset) -> Watching:
    families: dict[str, list[str]] = {}
    for probe in load_probes(bundled.path("probes.yaml")):
        families.setdefault(probe.family, []).append(f"{probe.question} {probe.aligned} {probe.misaligned}")
    inside = detect(rows, families, request.in_domain).families
    out = request.out / WATCH
    return Watching(out, request.when, request.share, request.on_alarm, in_domain=inside, show=request.show)


def _card(request: TrainRequest, rows: Dataset) -> str:
    return (
        f"---\nlibrary_name: peft\nbase_model: {request.model}\ntags: [spillover]\n---\n\n# Adapter trained by "
        f"spillover\n\nWhether its data cause misalignment outside their domain was {_watched(request)}. Audit it "
        "(`spillover audit --tuned`) before any use.\n\n"
        f"- data: {Path(rows.name).name} ({len(rows)} rows, fingerprint {rows.fingerprint})\n"
        f"- seed: {request.job.seed}\n"
    )


def _watched(request: TrainRequest) -> str:
    return "watched during training" if request.monitor else "not watched"
