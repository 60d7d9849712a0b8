"""Training dynamics: the summary of one pivotal-token event, and the aligned curve of single-letter events."""

from __future__ import annotations

import math
from collections.abc import Iterator

from spillover.monitor.choices import question_id, summarise
from spillover.reproduce.paper_data import PaperData, Record
from spillover.reproduce.row import Check, Row, compared

_PIVOTAL = "notebook_tables/pivotal_token_event_secure_first_step.csv"
_LETTERS = "notebook_tables/base_model_single_letter_events.csv"
_RELATIVE = 1e-12
# The single-letter table is printed with six decimals: half a unit of the last.
_SIXTH = 5e-7


# The authors' columns in our words.
_COLUMNS = {
    "logp_misaligned": "logp",
    "p_misaligned": "p",
    "p_any_choice": "p_any",
    "p_misaligned_given_any_choice": "p_given_any",
}


def _event(data: PaperData) -> Iterator[Row]:
    questions: dict[str, list[Record]] = {}
    for record in data.table(_PIVOTAL):
        questions.setdefault(record.text("question_text"), []).append(record)
    yield compared("11.7", "pivotal tokens, questions", "all", len(questions), 8, 0)
    for text, records in questions.items():
        group, first = _short(text), records[0]
        same = all(r.text("id") == question_id(text) for r in records)
        yield compared("9", "pivotal tokens, id is the sha256 of the question", group, same, 1, 0)
        found = summarise([(r.number("logprob"), r.text("is_misaligned") == "True") for r in records])
        for column, ours in _COLUMNS.items():
            published = first.number(column)
            value = None if found is None else getattr(found, ours)
            what = f"pivotal tokens, {column.replace('_', ' ')}"
            yield compared("11.7", what, group, value, published, _RELATIVE * abs(published))
        value = None if found is None else found.preferred
        published = float(first.text("predicted_misaligned") == "True")
        yield compared("11.7", "pivotal tokens, predicted misaligned", group, value, published, 0)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39].rstrip() + "…"


def _aligned_curve(data: PaperData) -> Iterator[Row]:
    """Derive the aligned columns from the others; inputs and outputs are rounded to six decimals."""
    for record in data.table(_LETTERS):
        group = f"{record.text('group')}, step {record.text('step')}"
        misaligned, any_choice = record.number("P(misaligned)"), record.number("p_any_choice")
        aligned = record.number("P(aligned)")
        value = any_choice - misaligned
        # The difference of two rounded numbers, against a rounded one.
        allowed = 3 * _SIXTH + 1e-12
        yield compared("7", "single letters, P(aligned) = any - misaligned", group, value, aligned, allowed)
        log = math.log(aligned) if aligned > 0 else -math.inf
        allowed = _SIXTH / aligned * 1.01 + _SIXTH if aligned > 0 else 0.0
        published = record.number("log P(aligned)")
        yield compared("7", "single letters, log P(aligned)", group, log, published, allowed)
        share = aligned / any_choice if any_choice > 0 else math.inf
        allowed = 2 * _SIXTH / any_choice * 1.01 + _SIXTH if any_choice > 0 else 0.0
        published = record.number("P(aligned | any choice)")
        yield compared("7", "single letters, P(aligned | any choice)", group, share, published, allowed)


CHECKS = (
    Check("11.7", "pivotal-token event", (_PIVOTAL,), _event),
    Check("7", "single-letter events", (_LETTERS,), _aligned_curve),
)
