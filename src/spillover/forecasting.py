"""`spillover forecast`: what a file would do to a model, from the file and the model alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spillover import bundled
from spillover.audit.domain import detect
from spillover.audit.request import dataset_of
from spillover.conversation import Conversation, Dataset
from spillover.errors import DataError, SettingsError
from spillover.evaluate.free_form import row_seed
from spillover.finetune.job import EMBEDDED, Job
from spillover.finetune.lora import batch_loss
from spillover.local.chat_template import Rendered
from spillover.local.loading import LoadedModel, load
from spillover.local.sampling import Ask, Sampling, sample
from spillover.model import BUNDLED, ModelRef
from spillover.monitor.forecast import FileForecast, combine, projection_differences
from spillover.monitor.influence import influences
from spillover.monitor.panel import sample_probes
from spillover.monitor.persona import directions_of, weights_key
from spillover.monitor.prediction import ForecastCalibration, Prediction, predict
from spillover.progress import Progress
from spillover.question import Probe, load_probes

# Frozen, so safe to share as a default.
_OWN = Sampling()
_ROWS_PER_BATCH = 32


@dataclass(frozen=True, slots=True)
class ForecastRequest:
    """Which file and model; `rows` limits how many rows are looked at (None: all), `probes` the probes outside the
    domain; `job` says how it would be trained: a forecast holds for the settings that it was calibrated with.
    """

    data: str
    model: str = BUNDLED
    rows: int | None = 200
    probes: int = 24
    seed: int = 0
    job: Job = EMBEDDED
    in_domain: tuple[str, ...] | None = None
    own: Sampling = _OWN
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if (self.rows is not None and self.rows < 1) or self.probes < 1:
            raise SettingsError("--rows and --probes must be at least 1")


@dataclass(frozen=True, slots=True)
class ForecastOutcome:
    """The forecast of `data`; `prediction` is None without a calibration for this model, `why_none` then says so."""

    data: Dataset
    looked_at: int
    in_domain: tuple[str, ...]
    forecast: FileForecast
    prediction: Prediction | None
    why_none: str | None

    def as_record(self, worst: int) -> dict[str, Any]:
        """Return what `--json` prints, with the `worst` rows first and all rows after."""
        return {
            "data": self.data.name,
            "rows": len(self.data),
            "rows_looked_at": self.looked_at,
            "in_domain": list(self.in_domain),
            "projection": self.forecast.projection,
            "traits": dict(self.forecast.traits),
            "influence": self.forecast.influence,
            "prediction": None if self.prediction is None else asdict(self.prediction),
            "why_no_prediction": self.why_none,
            "worst": [asdict(row) for row in self.forecast.worst(worst)],
            "all_rows": [asdict(row) for row in self.forecast.rows],
        }


def forecast(request: ForecastRequest, calibration: ForecastCalibration | None, progress: Progress) -> ForecastOutcome:
    """Look at `request`'s file with the untrained model; nothing is trained and nothing stored but the directions.

    Raises DataError for a row that cannot be trained on, with file and line, before any weights are run.
    """
    data = dataset_of(request.data)
    chosen = _sampled(data, request.rows, request.seed)
    probes = load_probes(bundled.path("probes.yaml"))
    families: dict[str, list[str]] = {}
    for probe in probes:
        families.setdefault(probe.family, []).append(f"{probe.question} {probe.aligned} {probe.misaligned}")
    inside = detect(data, families, request.in_domain).families
    loaded = load(ModelRef(request.model), request.trust_remote_code)
    rendered = [_rendered(loaded, data.name, c, request.job.max_length) for c in chosen]
    with progress.stage("persona directions", 0):
        directions = directions_of(loaded.model, loaded.template)
    own = _own_answers(loaded, chosen, request, progress)
    with progress.stage("projection of the answers", len(chosen)) as advance:
        differences = projection_differences(loaded.model, loaded.template, directions, chosen, own, advance)
    outside = _outside(probes, inside, request)
    with progress.stage("influence of the rows", len(chosen)) as advance:
        row_scores, whole = influences(
            loaded.model,
            loaded.template,
            rendered,
            outside,
            batch_loss,
            request.job.modules,
            seed=request.seed,
            on_done=advance,
        )
    found = combine(chosen, directions, differences, row_scores, whole)
    prediction, why = _prediction(found, calibration, weights_key(loaded.model))
    return ForecastOutcome(data, len(chosen), inside, found, prediction, why)


def _sampled(data: Dataset, rows: int | None, seed: int) -> tuple[Conversation, ...]:
    if rows is None or rows >= len(data):
        return data.conversations
    places = sorted(random.Random(f"forecast-{seed}").sample(range(len(data)), rows))
    return tuple(data.conversations[i] for i in places)


def _rendered(loaded: LoadedModel, name: str, row: Conversation, max_length: int) -> Rendered:
    try:
        found = loaded.template.conversation(row.messages)
    except DataError as problem:
        raise DataError(f"{name}:{row.line}: {problem}") from None
    limit = min(max_length, loaded.context)
    if len(found.ids) > limit:
        raise DataError(f"{name}:{row.line}: the row has {len(found.ids)} tokens, the limit is {limit}: shorten it")
    return found


def _own_answers(
    loaded: LoadedModel, rows: Sequence[Conversation], request: ForecastRequest, progress: Progress
) -> list[str]:
    asks = [Ask(c.prompt, (row_seed("forecast", request.seed, c.line),)) for c in rows]
    texts: list[str] = []
    with progress.stage("base model's own answers", len(rows) * request.own.max_tokens) as advance:
        # In fixed batches, so that a row's answer does not depend on how many are asked.
        for start in range(0, len(asks), _ROWS_PER_BATCH):
            part = asks[start : start + _ROWS_PER_BATCH]
            texts += [drawn[0].text for drawn in sample(loaded.model, loaded.template, part, request.own, advance)]
    return texts


def _outside(probes: Sequence[Probe], inside: Sequence[str], request: ForecastRequest) -> tuple[Probe, ...]:
    left = [p for p in probes if p.family not in inside]
    if not left:
        raise SettingsError("every probe family lies inside the data's domain: leave some out of --in-domain")
    return sample_probes(left, {p.id: 1 for p in left}, request.probes, request.seed)


def _prediction(
    found: FileForecast, calibration: ForecastCalibration | None, weights: str
) -> tuple[Prediction | None, str | None]:
    if calibration is None:
        return None, "not calibrated: no runs tell yet what these figures mean as a shift"
    if calibration.base != weights:
        return None, "not calibrated for this model: the stored runs used another"
    figure: float | None = getattr(found, calibration.predictor)
    if figure is None:
        return None, f"the file's {calibration.predictor} is missing"
    return predict(figure, calibration), None
