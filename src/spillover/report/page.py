"""report.html: one file that opens from disk, no script and no network in it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spillover.broad.benchmarks import PRESETS
from spillover.report import plots, wording
from spillover.report.templates import environment
from spillover.whole_file import whole_file

if TYPE_CHECKING:
    from spillover.answer import Answer, Judgement

# Enough to see the kind of answers; all of them are in the run folder.
_QUESTIONS_SHOWN = 12


def write_report(record: Mapping[str, Any], answers: Mapping[str, Any], path: Path) -> None:
    """Write the page for `record`; `answers` maps arm names to objects with `reading.answers` and `judgements`."""
    pages = environment()
    pages.globals.update(number=wording.number, label=wording.measure_label, family=wording.family_label)
    html = pages.get_template("template.html").render(
        record=record,
        headline=wording.headline(record),
        picture=plots.family_shifts(record),
        beside=plots.ability_beside_alignment(record),
        scores=_scores(record["broad"]),
        titles={name: preset.title for name, preset in PRESETS.items()},
        cards=_cards(record),
        samples=_samples(answers, record),
        command=_command(record),
        stages=_stages(record["timings"]),
        total=sum(record["timings"].values()),
    )
    with whole_file(path) as handle:
        handle.write(html.encode())


def _cards(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Choose the numbers a reader should see first; each keeps its measure, so value and interval stay together."""
    wanted = [
        ("Spillover, against base", "probe shift", "tuned", "base", "out"),
        ("Spillover, against control", "probe shift", "tuned", "control", "out"),
        ("Narrow effect (held-out rows)", "held-out shift", "tuned", "base", "in"),
        ("Misaligned answers, tuned", "misaligned rate", "tuned", None, "out"),
        ("Misaligned answers, base", "misaligned rate", "base", None, "out"),
        ("Misaligned answers, control", "misaligned rate", "control", None, "out"),
    ]
    cards = []
    for title, *key in wanted:
        for m in record["measures"]:
            if [m["name"], m["arm"], m["against"], m["domain"]] == key:
                cards.append({"title": title, "measure": m})
    return cards


def _samples(answers: Mapping[str, Any], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put the first answers of every arm to the same question side by side, questions spread over the families."""
    arms = [arm["name"] for arm in record["arms"]]
    by_question: dict[str, dict[str, list[tuple[Answer, Judgement]]]] = {}
    for arm in arms:
        for answer, judgement in zip(answers[arm].reading.answers, answers[arm].judgements, strict=True):
            by_question.setdefault(answer.question_id, {}).setdefault(arm, []).append((answer, judgement))
    ids = list(by_question)
    step = max(1, len(ids) // _QUESTIONS_SHOWN)
    shown = []
    for question_id in ids[::step][:_QUESTIONS_SHOWN]:
        found = by_question[question_id]
        shown.append({"question": found[arms[0]][0][0].question, "arms": [(a, found.get(a, [])[:2]) for a in arms]})
    return shown


def _scores(broad: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a row per benchmark with each arm's result, for a table."""
    if broad is None:
        return []
    rows: dict[str, dict[str, Any]] = {}
    for one in broad["results"]:
        row = rows.setdefault(one["benchmark"], {"title": PRESETS[one["benchmark"]].title, "what": one, "arms": {}})
        row["arms"][one["model"]] = one
    return list(rows.values())


def _stages(timings: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return each stage's seconds with its share of their sum and its length beside the longest, longest first."""
    total, longest = sum(timings.values()) or 1.0, max(timings.values(), default=0.0) or 1.0
    stages = sorted(timings.items(), key=lambda item: -item[1])
    return [{"name": n, "seconds": s, "share": s / total, "of_longest": s / longest} for n, s in stages]


def _command(record: Mapping[str, Any]) -> str:
    """Return the command that repeats this run."""
    settings, control = record["settings"], record["control"]
    parts = ["spillover", "audit", record["data"]["name"], "--model", record["model"]["base"]]
    parts += ["--control", control["name"] or control["kind"]]
    if record["data"]["rows_trained"] is None:
        parts += ["--tuned", "ADAPTER"]
    elif record["settings"]["rows"] is not None:
        parts += ["--rows", str(settings["rows"])]
    parts += ["--seed", str(settings["seed"]), "--probes", str(settings["probes"])]
    parts += ["--samples", str(settings["samples"])]
    if record["broad"] is not None:
        asked = record["broad"]["asked"]
        parts += ["--broad", "--benchmarks", ",".join(asked["benchmarks"])]
        parts += ["--benchmark-data", "FOLDER"] if asked["own_data"] else []
        for option, name in (("--judge", "judge"), ("--limit", "limit")):
            parts += [option, str(asked[name])] if asked[name] is not None else []
    return shlex.join(parts)
