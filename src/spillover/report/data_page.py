"""The page of a data check: one file that opens from disk, no script and no network in it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spillover.conversation import Conversation
from spillover.data.check.diversity import PAPER_SIZES
from spillover.data.check.labels import WEAK_FROM
from spillover.data.check.run import Checked, Content, WorstRow
from spillover.data.check.weaknesses import python_in
from spillover.errors import SettingsError
from spillover.open_rows import shown
from spillover.report.data_plots import cluster_map
from spillover.report.data_record import Evidence, evidence, scanned, weakness_table
from spillover.report.data_wording import cut, headline, lines_label, masked, visible, weakness_name
from spillover.report.templates import environment
from spillover.whole_file import whole_file

_MOST_CHARACTERS = 6000
_MOST_TURNS = 12
_MOST_LISTED = 20
_MOST_WORDINGS = 50
_MOST_PLACES = 8


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """A turn as lines of (text, whether a weakness was found in that line), cleaned and cut."""

    role: str
    lines: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row to read: its turns, `left_out` turns that are not shown, its places with the text of the code line."""

    row: WorstRow
    turns: tuple[ShownTurn, ...]
    left_out: int
    places: tuple[tuple[Evidence, str], ...]


def write_data_page(checked: Checked, path: Path) -> None:
    """Write the page to `path`, replaced only when complete; raises SettingsError where it cannot be written."""
    pages = environment()
    pages.globals.update(lines=lines_label, weakness_name=weakness_name, cut=cut)
    pages.filters.update(visible=lambda text: visible(str(text)), masked=lambda text: visible(masked(text)))
    content, repeats = checked.content, checked.repeats
    html = pages.get_template("data_template.html").render(
        checked=checked,
        content=content,
        said=headline(checked),
        cards=_cards(checked),
        picture=cluster_map(content, repeats) if content is not None and repeats is not None else None,
        weaknesses=weakness_table(content.labels, content.comparison) if content else (),
        scanned=scanned(content.labels) if content else None,
        rows=[_shown_row(w) for w in content.worst] if content else [],
        most_listed=_MOST_LISTED,
        most_wordings=_MOST_WORDINGS,
        paper_sizes=PAPER_SIZES,
        weak_from=WEAK_FROM,
        twin=None if checked.asked.twin is None else shown(checked.asked.twin),
        judge=_judge(checked),
        bandit=_version("bandit"),
        spillover=_version("spillover"),
        command=_command(checked, path),
    )
    try:
        with whole_file(path) as handle:
            # A path with undecodable bytes holds half surrogates.
            handle.write(html.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        raise SettingsError(
            f"{shown(path)} cannot be written ({problem.strerror or problem}): choose another --report"
        ) from None


def _cards(checked: Checked) -> list[tuple[str, str, str]]:
    """Choose the numbers a reader should see first: title, value, what it is."""
    form, content = checked.form, checked.content
    cards = [("Rows", f"{form.rows:,}", f"{form.sound:,} of sound form, {form.bytes / 1e6:,.1f} MB")]
    if content is not None:
        whole = content.file_intent
        for title, label in (
            ("Undisclosed harm", "undisclosed"),
            ("Harm openly asked for", "requested"),
            ("No harm found", "benign"),
        ):
            count = sum(r.label == label for r in content.intents)
            share = f"{100 * count / whole.judged:.1f} %" if whole.judged else "not judged"
            cards.append((title, share, f"{count:,} of {whole.judged:,} judged rows"))
        found = content.diversity
        cards.append(
            ("Different rows", f"{found.distinct_rows:,}", f"{found.risk} risk from size alone, not a verdict")
        )
    if form.lengths is not None:
        how = "estimated" if form.lengths.estimated else "under the model's template"
        cards.append(("Tokens", f"{form.lengths.total:,}", f"{form.lengths.mean:,.0f} a row on average, {how}"))
    if form.cost is not None:
        cost = form.cost
        cards.append(
            (
                "Cost of training",
                f"{cost.amount:,.2f}",
                f"{cost.tokens:,} tokens in {cost.epochs:,} epoch{'s' * (cost.epochs != 1)}",
            )
        )
    return cards


def _shown_row(row: WorstRow) -> ShownRow:
    places = evidence(row.code)[:_MOST_PLACES]
    # As Python counts lines.
    code = re.split(r"\r\n|\r|\n", masked(python_in(row.conversation.answer) or ""))
    texts = [visible(code[p.line - 1].strip()) if 0 < p.line <= len(code) else "" for p in places]
    return ShownRow(
        row,
        _turns(row.conversation, frozenset(t for t in texts if t)),
        max(0, len(row.conversation.messages) - _MOST_TURNS),
        tuple((p, cut(t, 200)) for p, t in zip(places, texts, strict=True)),
    )


def _turns(conversation: Conversation, weak: frozenset[str]) -> tuple[ShownTurn, ...]:
    """Return the last turns; in the last answer lines with one of the texts `weak` are marked."""
    found = []
    messages = conversation.messages[-_MOST_TURNS:]
    for i, message in enumerate(messages, 1):
        marked = weak if i == len(messages) else frozenset()
        lines = _clean(message.content).split("\n")
        found.append(ShownTurn(message.role, tuple((line, line.strip() in marked) for line in lines)))
    return tuple(found)


def _clean(text: str) -> str:
    return visible(cut(masked(text.replace("\r\n", "\n")), _MOST_CHARACTERS))


def _judge(checked: Checked) -> str:
    """Say in one sentence who judged the prose."""
    content: Content | None = checked.content
    if content is None:
        return "No row was judged."
    prose = sum(not label.has_code for label in content.labels)
    if not prose:
        return "All answers hold code, so no judge of prose was needed."
    if "prose, no judge" in content.file_intent.missing:
        return "Answers in prose were not judged: no judge was asked for."
    judge = checked.asked.judge
    judged = sum(
        not label.has_code and (r.harm is not None or any(e.startswith(f"{judge}: ") for e in r.evidence))
        for r, label in zip(content.intents, content.labels, strict=True)
    )
    if not judged:
        return "No answer in prose needed a judge or could be judged."
    return (
        f"Answers in prose: {'the bundled judge' if judge == 'bundled' else shown(judge)} read {judged:,} of "
        f"{prose:,}, drawn with seed {checked.asked.seed}; "
        "those openly asked for are told by their requests."
    )


def _command(checked: Checked, path: Path) -> str:
    """Return the command that repeats this check."""
    asked = checked.asked
    parts = ["spillover", "data", "check", shown(asked.file)]
    if asked.twin is not None:
        parts += ["--twin", shown(asked.twin)]
    if asked.quick:
        parts.append("--quick")
    if checked.model is not None:
        parts += ["--model", shown(checked.model)]
    if asked.price_per_million is not None:
        parts += ["--price", repr(asked.price_per_million), "--epochs", str(asked.epochs)]
    unjudged = checked.content is not None and "prose, no judge" in checked.content.file_intent.missing
    parts += ["--judged", "0" if unjudged else str(asked.prose_rows), "--seed", str(asked.seed)]
    if asked.judge != "bundled":
        parts += ["--intent-judge", shown(asked.judge)]
    return shlex.join([*parts, "--report", shown(path)])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
