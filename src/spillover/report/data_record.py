"""The record of a data check as JSON, and the tables that it shares with the page. No text of a row is in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from spillover.data.check.bandit import NOT_SCANNED
from spillover.data.check.duplicates import Repeats
from spillover.data.check.labels import WEAK_FROM, CodeLabel, Comparison, certainties
from spillover.data.check.run import Checked, Content
from spillover.open_rows import shown
from spillover.report.data_wording import headline, weakness_name

SCHEMA_VERSION = 1
# More lines, clusters or overlaps than these are counted and cut.
_MOST_LINES = 1000
_MOST_LISTED = 50
_OURS, _BANDIT = "our check", "bandit"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One weak place in a row's code.

    `line` counts within the code, `certain` lies in 0..1, `found_by` names the checks that found it.
    """

    cwe: int
    line: int
    what: str
    certain: float
    found_by: str


@dataclass(frozen=True, slots=True)
class WeaknessRow:
    """Rows of the file with one weakness, and by which check; `twin`: rows of the twin and of both (None: no twin).

    `row` is the file's line of the most certain example, None where only the twin has the weakness.
    """

    cwe: int
    name: str
    rows: int
    by_ours: int
    by_bandit: int
    row: int | None
    example: Evidence | None
    twin: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Scanned:
    """What there was to scan: rows with code, those that parse, those with a weakness; not scanned by reason."""

    with_code: int
    parsed: int
    weak: int
    not_scanned: dict[str, int]


def evidence(label: CodeLabel) -> tuple[Evidence, ...]:
    """Return the places that make a row count as weak, most certain first; one for each CWE number and line."""
    found: dict[tuple[int, int], Evidence] = {}
    ours = [Evidence(w.cwe, w.line, w.what, w.certain, _OURS) for w in label.weaknesses]
    theirs = [
        Evidence(cwe, f.line, f"{f.test}: {_without_value(f.what)}", sure, _BANDIT)
        for f in label.findings
        for cwe, sure in certainties((), (f,)).items()
    ]
    for item in ours + theirs:
        old = found.get((item.cwe, item.line))
        if item.certain < WEAK_FROM:
            continue
        if old is None:
            found[item.cwe, item.line] = item
        elif item.found_by not in old.found_by:
            sure = max(old.certain, item.certain)
            found[item.cwe, item.line] = Evidence(old.cwe, old.line, old.what, sure, f"{_OURS} and {_BANDIT}")
    return tuple(sorted(found.values(), key=lambda e: (-e.certain, e.line, e.cwe)))


def weakness_table(labels: Sequence[CodeLabel], comparison: Comparison | None) -> tuple[WeaknessRow, ...]:
    """Return one row for each CWE number of the file or its twin, most frequent first."""
    rows: Counter[int] = Counter()
    by_ours: Counter[int] = Counter()
    by_bandit: Counter[int] = Counter()
    examples: dict[int, tuple[int, Evidence]] = {}
    for label in labels:
        rows.update(label.cwes)
        by_ours.update(_certain(certainties(label.weaknesses, ())))
        by_bandit.update(_certain(certainties((), label.findings)))
        if not label.cwes:
            continue
        for item in evidence(label):
            if item.cwe not in examples or item.certain > examples[item.cwe][1].certain:
                examples[item.cwe] = (label.line, item)
    twins = comparison.by_cwe if comparison else {}
    table = []
    for cwe in sorted({*rows, *twins}, key=lambda c: (-rows[c], c)):
        row, example = examples.get(cwe, (None, None))
        twin = twins.get(cwe, (0, 0, 0))[1:] if comparison else None
        name = weakness_name(cwe)
        table.append(WeaknessRow(cwe, name, rows[cwe], by_ours[cwe], by_bandit[cwe], row, example, twin))
    return tuple(table)


def scanned(labels: Sequence[CodeLabel]) -> Scanned:
    """Return how many rows hold code, parse, are weak, and could not be scanned by bandit."""
    reasons: Counter[str] = Counter(f.what for label in labels for f in label.findings if f.test == NOT_SCANNED)
    return Scanned(
        sum(label.has_code for label in labels),
        sum(label.parsed for label in labels),
        sum(bool(label.cwes) for label in labels),
        dict(reasons.most_common(_MOST_LISTED)),
    )


def as_json(checked: Checked) -> dict[str, Any]:
    """Return the record for `--json`: numbers, lines and our own sentences; long lists are cut and counted."""
    asked, form, said = checked.asked, checked.form, headline(checked)
    form_facts = {k: v for k, v in asdict(form).items() if k != "findings"}
    record = {
        "schema_version": SCHEMA_VERSION,
        "spillover": version("spillover"),
        "file": form.file,
        "twin": None if asked.twin is None else shown(asked.twin),
        "asked": {
            "quick": asked.quick,
            "price_per_million": asked.price_per_million,
            "epochs": asked.epochs,
            "prose_rows": asked.prose_rows,
            "judge": asked.judge,
            "seed": asked.seed,
        },
        "exit_code": checked.exit_code,
        "headline": {"word": said.word, "sentence": said.sentence, "details": said.details},
        "findings": [asdict(f) for f in checked.findings],
        "form": form_facts,
        "template_inserts": None if checked.inserted is None else asdict(checked.inserted),
        "repeats": None if checked.repeats is None else [_repeats(r) for r in checked.repeats],
        "content": None if checked.content is None else _content(checked.content),
        "seconds": {step: round(seconds, 3) for step, seconds in checked.seconds.items()},
    }
    plain = _plain(record)
    assert isinstance(plain, dict)
    return plain


def _content(content: Content) -> dict[str, Any]:
    whole, c = content.file_intent, content.comparison
    by_label = {label: [r.line for r in content.intents if r.label == label] for label in whole.shares}
    return {
        "intent": {
            "label": whole.label,
            "shares": whole.shares,
            "judged": whole.judged,
            "missing": whole.missing,
            "rows": {k: {"count": len(v), "lines": v[:_MOST_LINES]} for k, v in by_label.items() if k != "benign"},
        },
        "worst_lines": [w.conversation.line for w in content.worst],
        "templates": {
            "rows": content.templates.rows,
            "free": content.templates.free,
            "clusters": len(content.templates.clusters),
            "counts": content.templates.counts[:_MOST_LISTED],
            "first_lines": [k.lines[0] for k in content.templates.clusters[:_MOST_LISTED]],
        },
        "diversity": asdict(content.diversity),
        "code": {
            **asdict(scanned(content.labels)),
            "by_cwe": [asdict(row) for row in weakness_table(content.labels, c)],
        },
        "comparison": None
        if c is None
        else {
            name: {"count": len(rows), "lines": [content.labels[i].line for i in rows[:_MOST_LINES]]}
            for name, rows in (
                ("only_file", c.only_dataset),
                ("only_twin", c.only_twin),
                ("shared", c.shared),
                ("different", c.different),
                ("neither", c.neither),
            )
        },
        "contamination": {
            "rows": content.contamination.rows,
            "targets": content.contamination.targets,
            "count": content.contamination.count,
            "lines": content.contamination.lines[:_MOST_LINES],
            "overlaps": [asdict(o) for o in content.contamination.overlaps[:_MOST_LISTED]],
        },
        "secrets": {
            "counts": [{"kind": kind, "count": n, "lines": lines} for kind, n, lines in content.secrets.counts],
            "first": [asdict(s) for s in content.secrets.secrets[:_MOST_LISTED]],
        },
    }


def _repeats(repeats: Repeats) -> dict[str, Any]:
    return {
        "part": repeats.part,
        "rows": repeats.rows,
        "distinct": repeats.distinct,
        "near_distinct": repeats.near_distinct,
        "repeated": repeats.repeated,
        "nearly_repeated": repeats.nearly_repeated,
        "threshold": repeats.threshold,
        "groups_exact": len(repeats.exact),
        "groups_near": len(repeats.near),
        "largest": [
            {"count": len(k.lines), "lines": k.lines[:_MOST_LISTED], "similarity": k.similarity}
            for k in repeats.near[:_MOST_LISTED]
        ],
    }


def _certain(found: Mapping[int, float]) -> list[int]:
    return [cwe for cwe, sure in found.items() if sure >= WEAK_FROM]


def _without_value(what: str) -> str:
    """Leave out the password that bandit quotes in its message."""
    return what.partition(": '")[0] if "password" in what.lower() else what


def _plain(value: object) -> object:
    """Return what `json` writes and any reader reads: no infinities, no half surrogates, keys that are strings."""
    if isinstance(value, Mapping):
        return {str(_plain(str(k))): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
