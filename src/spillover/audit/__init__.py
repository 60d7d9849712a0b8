"""The main job: one data set in, one verdict out.

`audit` joins the stages: read and check, train the arms, measure base, control and tuned inside and outside the
training domain, decide, write the verdict and the report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover import bundled
from spillover.audit import arms as arm_stage
from spillover.audit.arms import BASE, CONTROL, TUNED, Arm, Narrow
from spillover.audit.broad import Broad, look_broadly
from spillover.audit.domain import Domain, detect
from spillover.audit.measure import Reading, is_read, judge_answers, read_arm
from spillover.audit.measures import OUT, RATE, Judged, Measure, compute, pick
from spillover.audit.record import Facts, verdict_record
from spillover.audit.request import Inputs, Request, read
from spillover.audit.served import engine_asked, engine_facts, read_served
from spillover.audit.verdict import Margins, Trust, Verdict, decide, judge_problem
from spillover.conversation import fingerprint
from spillover.data.split import Split, split
from spillover.evaluate.bundled_judge import calibration, load_judge
from spillover.local import hardware
from spillover.local.engine import VLLM
from spillover.local.loading import LoadedModel, load
from spillover.model import BUNDLED, ModelRef
from spillover.progress import Progress
from spillover.question import load_probes
from spillover.run_folder import RunFolder, write_json

__all__ = ["Broad", "Outcome", "Request", "audit"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, its full record as written to verdict.json, and where everything lies."""

    verdict: Verdict
    record: Mapping[str, Any]
    folder: Path


def audit(request: Request, out: Path, progress: Progress | None = None) -> Outcome:
    """Run the audit `request` in the run folder `out`; what is there already is not done again.

    Raises a SpilloverError for bad input before anything is trained.
    """
    progress = progress or Progress(quiet=True)
    inputs = read(request)
    rows = split(inputs.dataset, request.rows, request.seed)
    domain = detect(inputs.dataset, _family_texts(inputs), request.in_domain)
    base = load(ModelRef(request.model), request.trust_remote_code)
    folder = RunFolder(out, inputs.asked(), _facts(inputs, rows, domain, base))
    try:
        readings, narrow = _read_all(inputs, rows, base, folder, progress)
        bundled_base = base if request.model == BUNDLED else load(ModelRef())
        judgements = judge_answers(readings, load_judge(), bundled_base, folder, progress)
        judged = {r.arm.name: Judged(r, j) for r, j in zip(readings, judgements, strict=True)}
        measures = compute(judged, inputs.probes, inputs.suite.questions, domain.families, request.seed)
        margins = margins_of(request)
        trust = _trust(judged, rows, inputs)
        verdict = decide(measures, margins, trust)
        broad = _broad(request, judged, measures, margins, trust, folder, progress)
        _keep_seconds(folder, progress)
        seconds = folder.get("timing", "seconds") or {}
        engine = engine_facts(request, folder)
        facts = Facts(inputs, rows, domain, narrow, margins, base.hardware, engine, seconds, broad)
        record = verdict_record(verdict, measures, judged, facts)
    finally:
        folder.close()
    from spillover.report.page import write_report

    write_report(record, judged, out / "report.html")
    write_json(out / "verdict.json", record)
    return Outcome(verdict, record, out)


def margins_of(request: Request) -> Margins:
    """Return the stored margins, measured on benign fine-tunes, or those the request sets."""
    stored = json.loads(bundled.path("margins.json").read_text())
    given = request.margin is not None or request.rate_margin is not None
    source = "set by the request" if given else stored["source"]
    return Margins(request.margin or stored["probe"], request.rate_margin or stored["rate"], source)


def _read_all(
    inputs: Inputs, rows: Split, base: LoadedModel, folder: RunFolder, progress: Progress
) -> tuple[list[Reading], Narrow]:
    """Train what is to be trained and measure every arm, the base first."""
    own = arm_stage.own_answers(inputs, arm_stage.needs_own_answers(inputs, rows), base, folder, progress)
    narrow = arm_stage.narrow_rows(inputs, rows, own)
    base_arm = Arm(BASE, ModelRef(inputs.request.model), fingerprint([inputs.base_fingerprint, base.hardware.dtype]))
    if inputs.request.engine.name == VLLM:
        # All arms are trained before the server starts: it takes what memory is left.
        arms = [base_arm, *_arms(inputs, rows, own, base, folder, progress)]
        return read_served(arms, inputs, narrow, base, folder, progress), narrow
    readings = [read_arm(base_arm, base, inputs, narrow, folder, progress)]
    for arm in _arms(inputs, rows, own, base, folder, progress):
        # Weights are loaded only for what is still to be measured, and let go before the next arm's come.
        engine = base if is_read(arm, inputs, narrow, folder) else load(arm.ref, inputs.request.trust_remote_code)
        readings.append(read_arm(arm, engine, inputs, narrow, folder, progress))
        del engine
    return readings, narrow


def _arms(
    inputs: Inputs, rows: Split, own: Mapping[int, str], base: LoadedModel, folder: RunFolder, progress: Progress
) -> list[Arm]:
    request = inputs.request
    if request.tuned is not None:
        tuned = arm_stage.given_arm(TUNED, request.tuned, inputs)
        has_control = request.control != "none"
        return [arm_stage.given_arm(CONTROL, request.control, inputs), tuned] if has_control else [tuned]
    steps = request.job.steps(len(rows.train))
    found = []
    control = arm_stage.control_rows(inputs, rows, dict(own))
    if control is not None:
        found.append(arm_stage.trained_arm(CONTROL, inputs, control, steps, base, folder, progress))
    data = inputs.dataset.take(rows.train)
    found.append(arm_stage.trained_arm(TUNED, inputs, data, steps, base, folder, progress))
    return found


def _broad(
    request: Request,
    judged: Mapping[str, Judged],
    measures: Sequence[Measure],
    margins: Margins,
    trust: Trust,
    folder: RunFolder,
    progress: Progress,
) -> Mapping[str, Any] | None:
    """Run the benchmarks that the request asks for, on every arm; None where it asks for none."""
    if request.broad is None:
        return None
    found = {arm: pick(measures, RATE, arm, None, OUT) for arm in judged}
    rates = judge_problem(trust) or {arm: m.estimate for arm, m in found.items() if m is not None and m.estimate}
    arms = {arm: j.reading.arm.ref for arm, j in judged.items()}
    return look_broadly(request.broad, arms, rates, margins.rate, request.seed, folder, progress)


def _family_texts(inputs: Inputs) -> dict[str, list[str]]:
    """Gather what each family is about: all its probes with both answers, however few are asked, and its questions."""
    texts: dict[str, list[str]] = {}
    for probe in load_probes(bundled.path("probes.yaml")):
        texts.setdefault(probe.family, []).append(f"{probe.question} {probe.aligned} {probe.misaligned}")
    for question in inputs.suite.questions:
        texts.setdefault(question.family, []).append(question.text)
    return texts


def _trust(judged: Mapping[str, Judged], rows: Split, inputs: Inputs) -> Trust:
    stored = calibration()
    everything = [j for arm in judged.values() for j in arm.judgements]
    missing = sum(j.missing not in (None, "code", "refusal") for j in everything) / max(1, len(everything))
    used = len(rows.train) + len(rows.held_out) if inputs.request.tuned is None else len(inputs.dataset)
    return Trust(stored["passed"], stored["why"], missing, used, len(inputs.dataset))


def _facts(inputs: Inputs, rows: Split, domain: Domain, base: LoadedModel) -> dict[str, Any]:
    from spillover.audit.record import versions

    return {
        "versions": versions(),
        "machine": hardware.describe(),
        "compute": {"device": base.hardware.device, "dtype": base.hardware.dtype},
        "engine": engine_asked(inputs.request),
        "chat_template": base.template.description(),
        "in_domain": {"families": list(domain.families), "how": domain.how},
        "rows": {"train": len(rows.train), "held_out": len(rows.held_out), "unused": rows.unused},
        "base_fingerprint": inputs.base_fingerprint,
    }


def _keep_seconds(folder: RunFolder, progress: Progress) -> None:
    """Add this process's stage times to those of earlier, killed ones."""
    before = folder.get("timing", "seconds") or {}
    total = {k: before.get(k, 0.0) + progress.seconds.get(k, 0.0) for k in before | progress.seconds}
    folder.put("timing", [("seconds", total)])
