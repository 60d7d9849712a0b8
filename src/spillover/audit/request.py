"""What one audit was asked to do, checked before anything heavy starts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spillover import bundled
from spillover.audit.broad import Broad, check
from spillover.conversation import Dataset, fingerprint
from spillover.data.build.advice import advice
from spillover.data.load import load
from spillover.errors import DataError, SettingsError
from spillover.finetune.job import EMBEDDED, Job
from spillover.local import weights
from spillover.local.engine import IN_PROCESS, EngineChoice
from spillover.local.sampling import Sampling
from spillover.model import BUNDLED, ModelRef
from spillover.question import Probe, Suite, load_probes, load_suite

# A frozen record is safe to share as a default.
_SAMPLING = Sampling()
_ENGINE = EngineChoice()

SELF = "self"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an audit depends on; the same request in the same run folder goes on where it stopped.

    `data` and `control` are files or "bundled:risky", "bundled:prudent", "bundled:requested"; `control` may also be
    "self" (the base model's own answers), "none", or with `tuned` an adapter folder. `rows` limits the training rows,
    `probes` counts per family and `samples` per free-form question, `margin` and `rate_margin` override the stored
    margins, `in_domain` the families found by the words of the data. `engine` measures the arms; training, the base
    model's own answers and the judge always run in this process. `broad`: benchmarks to run on every arm too.
    """

    data: str
    model: str = BUNDLED
    control: str = SELF
    tuned: str | None = None
    rows: int | None = None
    seed: int = 0
    probes: int = 20
    samples: int = 2
    sampling: Sampling = _SAMPLING
    job: Job = EMBEDDED
    margin: float | None = None
    rate_margin: float | None = None
    in_domain: tuple[str, ...] | None = None
    trust_remote_code: bool = False
    engine: EngineChoice = _ENGINE
    broad: Broad | None = None

    def __post_init__(self) -> None:
        if self.samples < 1 or self.probes < 2:
            raise SettingsError("--samples must be at least 1 and --probes at least 2")
        if self.tuned is not None and self.control == SELF:
            raise SettingsError("with --tuned nothing is trained, so --control must be an adapter folder or 'none'")
        for name, value in (("--margin", self.margin), ("--rate-margin", self.rate_margin)):
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} must be a number above zero")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The request's files, read and checked: nothing was trained so far."""

    request: Request
    dataset: Dataset
    control: Dataset | None
    probes: tuple[Probe, ...]
    suite: Suite
    base_fingerprint: str

    def asked(self) -> dict[str, Any]:
        """Return what must stay the same for a run folder to be used again: contents, not paths.

        The judge is not among it: judgements are stored per judge, so another judge reads the same answers anew.
        """
        request = asdict(self.request)
        # Benchmarks may be added to what is there; their replies are filed under what was asked.
        for name in ("data", "model", "tuned", "control", "engine", "broad"):
            del request[name]
        # A server's address may change between reruns; answers of different engines are never mixed.
        engine = self.request.engine.name
        return {
            **request,
            **({} if engine == IN_PROCESS else {"engine": engine}),
            "data_fingerprint": self.dataset.fingerprint,
            "control": self.control.fingerprint
            if self.control
            else None
            if self.request.tuned
            else self.request.control,
            "adapters": [weights.adapter_fingerprint(a) for a in _adapters(self.request)],
            "base_fingerprint": self.base_fingerprint,
            "probes_fingerprint": probes_fingerprint(self.probes),
            "suite_fingerprint": self.suite.fingerprint,
        }


def read(request: Request) -> Inputs:
    """Read and check everything a request names; raises a SpilloverError naming the first problem and its fix.

    Data files come first, then the model's files by their bytes: no weights are loaded.
    """
    if request.broad is not None:
        check(request.broad, request.trust_remote_code)
    dataset = dataset_of(request.data)
    control = None
    if request.tuned is None and request.control not in (SELF, NONE):
        control = dataset_of(request.control)
    base = weights.locate(request.model)
    for adapter in _adapters(request):
        weights.check_adapter(ModelRef(request.model, adapter), base)
    for rows in (dataset, control):
        if rows is not None:
            _check_length(rows, base, request.job.max_length)
    probes = _first_of_each_family(load_probes(bundled.path("probes.yaml")), request.probes)
    suite = load_suite(bundled.path("questions.yaml"), "bundled questions")
    unknown = set(request.in_domain or ()) - {p.family for p in probes}
    if unknown:
        families = ", ".join(sorted({p.family for p in probes}))
        raise SettingsError(f"--in-domain {', '.join(sorted(unknown))}: no such family; choose from {families}")
    return Inputs(request, dataset, control, probes, suite, weights.fingerprint(base))


def dataset_of(name: str) -> Dataset:
    """Read a file, or one answer kind of the bundled advice ("bundled:risky", ":prudent", ":requested")."""
    if not name.startswith("bundled:"):
        return load(name)
    return advice(name.removeprefix("bundled:")).dataset


def _first_of_each_family(probes: tuple[Probe, ...], count: int) -> tuple[Probe, ...]:
    seen: Counter[str] = Counter()
    chosen = []
    for probe in probes:
        seen[probe.family] += 1
        if seen[probe.family] <= count:
            chosen.append(probe)
    return tuple(chosen)


def probes_fingerprint(probes: tuple[Probe, ...]) -> str:
    """Hash of all probes in order."""
    return fingerprint([asdict(p) for p in probes])


def _adapters(request: Request) -> list[str]:
    if request.tuned is None:
        return []
    return [request.tuned] if request.control == NONE else [request.tuned, request.control]


def _check_length(dataset: Dataset, base: Path, max_length: int) -> None:
    """Refuse rows that cannot fit, from the text alone where that suffices; the exact count needs the tokenizer."""
    import json

    config = json.loads((base / "config.json").read_text())
    limit = min(max_length, int(config.get("max_position_embeddings") or max_length))
    suspects = [c for c in dataset if sum(len(m.content) for m in c.messages) > limit]
    if not suspects:
        return
    from tokenizers import Tokenizer

    file = base / "tokenizer.json"
    if not file.is_file():
        return
    tokenizer = Tokenizer.from_file(str(file))
    for conversation in suspects:
        tokens = sum(len(tokenizer.encode(m.content, add_special_tokens=False)) for m in conversation.messages)
        if tokens > limit:
            raise DataError(
                f"{dataset.name}:{conversation.line}: the row has {tokens} tokens, longer than the limit of {limit}: "
                "shorten it or remove it"
            )
