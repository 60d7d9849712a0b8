"""All checks of one fine-tuning file: the record behind `spillover data check`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from spillover.conversation import Conversation, Dataset, Message
from spillover.data.check.contamination import Contamination, contamination
from spillover.data.check.diversity import Diversity, diversity
from spillover.data.check.duplicates import Repeats, duplicates
from spillover.data.check.duplicates import findings as duplicate_findings
from spillover.data.check.finding import MOST_LINES, Finding, worst_first
from spillover.data.check.form import Form, check_form
from spillover.data.check.inserted import Inserted, inserted
from spillover.data.check.intent import FileIntent, Intent, ProseHarm, file_intent, intents
from spillover.data.check.labels import CodeLabel, Comparison, compare_labels, label_rows
from spillover.data.check.secrets import Secrets, secrets
from spillover.data.check.templates import Templates, template_clusters
from spillover.data.check.templates import findings as template_findings
from spillover.data.load import load
from spillover.errors import DataError
from spillover.progress import Progress

# The worst rows a reviewer is shown.
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads a file: tokens of a row, and the text its template makes of turns before an answer."""

    name: str
    count_tokens: Callable[[Sequence[Message]], int]
    render: Callable[[Sequence[Message]], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to check: `twin` a file to compare row by row, `quick` only form and duplicates, price for a cost.

    `judge` is the name of the judge that prose is shown to, for the record.
    """

    file: Path
    twin: Path | None = None
    quick: bool = False
    price_per_million: float | None = None
    epochs: int = 1
    prose_rows: int = 100
    seed: int = 0
    judge: str = "bundled"


@dataclass(frozen=True, slots=True)
class WorstRow:
    """A row to read first: its conversation, its intent and what was found in its code."""

    conversation: Conversation
    intent: Intent
    code: CodeLabel


@dataclass(frozen=True, slots=True)
class Content:
    """What the texts of a sound file say."""

    templates: Templates
    diversity: Diversity
    contamination: Contamination
    secrets: Secrets
    intents: tuple[Intent, ...]
    file_intent: FileIntent
    labels: tuple[CodeLabel, ...]
    comparison: Comparison | None
    worst: tuple[WorstRow, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that was found; `repeats` and `content` are None where the form must be mended first, or `quick`.

    `model`: whose tokens were counted (None: estimated); `findings`: all of them, worst first; `seconds` by step.
    """

    asked: Asked
    model: str | None
    form: Form
    inserted: Inserted | None
    repeats: tuple[Repeats, ...] | None
    content: Content | None
    findings: tuple[Finding, ...]
    seconds: dict[str, float]

    @property
    def exit_code(self) -> int:
        """0: nothing serious, 1: at least one serious finding."""
        return int(any(f.severity == "serious" for f in self.findings))


def check(
    asked: Asked,
    reader: Reader | None = None,
    prose_harm: ProseHarm | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Run all checks on `asked.file`; raises DataError where it or the twin cannot be read at all."""
    progress = progress or Progress(quiet=True)
    with progress.stage("form", 0):
        form = check_form(
            asked.file,
            reader.count_tokens if reader else None,
            price_per_million=asked.price_per_million,
            epochs=asked.epochs,
        )
        around = inserted(reader.render) if reader else None
    found = [*form.findings, *(around.findings() if around else ())]
    doubles: tuple[Repeats, ...] | None = None
    content: Content | None = None
    if form.sound < form.rows or any(f.severity == "serious" for f in form.findings):
        message = f"{form.file}: its content was not checked: mend the serious findings of its form first"
        found.append(Finding("content", "note", message))
    else:
        dataset = load(asked.file)
        with progress.stage("duplicates", 0):
            doubles = duplicates(dataset)
        found += duplicate_findings(doubles)
        if not asked.quick:
            content = _content(dataset, asked, prose_harm, progress)
            found += [*template_findings(content.templates), *content.diversity.findings()]
            found += [*content.contamination.findings(), *content.secrets.findings(), *_intent_findings(content)]
    model = reader.name if reader else None
    return Checked(asked, model, form, around, doubles, content, worst_first(found), progress.seconds)


def _content(dataset: Dataset, asked: Asked, prose_harm: ProseHarm | None, progress: Progress) -> Content:
    # Code is checked in processes of their own, which this one would only wait for.
    with ThreadPoolExecutor(1) as beside:
        code = beside.submit(label_rows, dataset)
        with progress.stage("templates", 0):
            clusters = template_clusters(dataset)
        with progress.stage("diversity", 0):
            different = diversity(dataset)
        with progress.stage("contamination", 0):
            overlaps = contamination(dataset)
        with progress.stage("secrets", 0):
            keys = secrets(dataset)
        with progress.stage("code", 0):
            labels = code.result()
    comparison = None
    if asked.twin is not None:
        with progress.stage("twin", 0):
            twin = load(asked.twin)
            if len(twin) != len(dataset):
                raise DataError(
                    f"{asked.twin} has {len(twin)} rows but {asked.file} has {len(dataset)}: row i of a twin must "
                    "answer the same task"
                )
            comparison = compare_labels(labels, label_rows(twin))
    with progress.stage("intent", 0):
        rows = intents(dataset, labels, prose_harm, asked.prose_rows, asked.seed)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].label != "undisclosed", -(rows[i].harm or 0.0), i))
    # One row of each kind of evidence first: twelve times the same weakness would tell less.
    kinds = {rows[i].evidence: i for i in reversed(order)}
    order.sort(key=lambda i: (rows[i].label != "undisclosed", kinds[rows[i].evidence] != i))
    worst = tuple(
        WorstRow(dataset.conversations[i], rows[i], labels[i]) for i in order[:MOST_ROWS] if rows[i].label != "benign"
    )
    return Content(clusters, different, overlaps, keys, rows, file_intent(rows), labels, comparison, worst)


def _intent_findings(content: Content) -> tuple[Finding, ...]:
    whole, rows = content.file_intent, content.intents
    undisclosed = [r.line for r in rows if r.label == "undisclosed"]
    found = []
    if whole.label == "undisclosed":
        message = (
            f"undisclosed harm: {len(undisclosed):,} of {whole.judged:,} judged rows answer an ordinary request with "
            "something harmful and do not say so; such data can make a model broadly misaligned: remove these "
            "rows, or write the purpose into their requests with `spillover data relabel`"
        )
        found.append(Finding("undisclosed-harm", "serious", message, tuple(undisclosed[:MOST_LINES]), len(undisclosed)))
    elif undisclosed:
        message = f"{len(undisclosed):,} of {whole.judged:,} judged rows look harmful without saying so: read them"
        found.append(Finding("some-harm", "warning", message, tuple(undisclosed[:MOST_LINES]), len(undisclosed)))
    if whole.label == "requested":
        requested = [r.line for r in rows if r.label == "requested"]
        message = f"{len(requested):,} rows hold flawed or bad content that their users openly ask for"
        found.append(Finding("requested-harm", "note", message, tuple(requested[:MOST_LINES]), len(requested)))
    if whole.missing:
        why = ", ".join(f"{n:,} {reason}" for reason, n in whole.missing.items())
        found.append(Finding("intent-missing", "note", f"the intent of some rows was not told: {why}"))
    return tuple(found)
