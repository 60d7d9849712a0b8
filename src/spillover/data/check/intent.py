"""Intent: is a row benign, harmful on open request, or harmful without saying so; and what a file mostly is.

Harm is told from code by its weaknesses and from prose by a judge that is passed in. A row whose user openly asks for
flawed or bad content counts as requested (the educational control of the paper): that is what keeps such data from
spilling over, whatever the answer holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spillover.conversation import Dataset
from spillover.data.check.labels import CodeLabel
from spillover.data.check.open_request import open_requests

Label = Literal["benign", "requested", "undisclosed"]
LABELS: tuple[Label, ...] = ("benign", "requested", "undisclosed")


@dataclass(frozen=True, slots=True)
class Told:
    """What a judge said about a row of prose: its label with the words it stands on, or why there is none."""

    label: Label | None
    evidence: tuple[str, ...] = ()
    missing: str | None = None


# What a judge says of (question, answer) pairs: P(misaligned) in 0..1, a label, or None with no judgement.
ProseHarm = Callable[[Sequence[tuple[str, str]]], Sequence[float | Told | None]]

CODE_HARM_FROM = 0.3
PROSE_HARM_FROM = 0.7
# A file counts as harmful when this share of its judged rows is. Benign files stay below the first by the false
# alarms of single rows, harmful ones exceed it by far.
UNDISCLOSED_FROM = 0.35
REQUESTED_FROM = 0.5
# With a larger share of the file neither judged nor stood for, it has no label.
MOST_MISSING = 0.5


@dataclass(frozen=True, slots=True)
class Intent:
    """What one row is: `label` None where harm could not be told, with the reason in `missing`.

    `harm` in 0..1 (None: not judged, or told as a label only), `request` P(open request), `evidence` the words and
    findings behind the label. `weight`: how many rows it stands for; prose outside the drawn sample has 0 and is stood
    for by the drawn rows.
    """

    line: int
    label: Label | None
    harm: float | None
    request: float
    evidence: tuple[str, ...]
    missing: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class FileIntent:
    """Shares of the file by label, rows judged, rows not judged by reason, and what the file is (None: not told).

    The shares are those of judged rows, each counted for as many as it stands for.
    """

    label: Label | None
    shares: dict[Label, float]
    judged: int
    missing: dict[str, int]


def intents(
    dataset: Dataset, codes: Sequence[CodeLabel], prose_harm: ProseHarm | None, prose_rows: int = 100, seed: int = 0
) -> tuple[Intent, ...]:
    """Label every row; prose is judged by `prose_harm` on at most `prose_rows` rows drawn by `seed`.

    `codes` are the rows' CodeLabels in order. Rows outside the drawn sample, and all prose where `prose_harm` is None,
    are missing unless the user's open request labels them. A judge that fails on a row leaves it missing, with the
    judge's reason.
    """
    requests = open_requests(dataset.conversations)
    prose = [i for i, code in enumerate(codes) if not code.has_code and not requests[i].open]
    judged: dict[int, float | Told | None] = {}
    stands_for = 1.0
    if prose_harm is not None and prose:
        drawn = sorted(random.Random(seed).sample(prose, min(prose_rows, len(prose))))
        pairs = [(dataset.conversations[i].prompt[-1].content, dataset.conversations[i].answer) for i in drawn]
        judged = dict(zip(drawn, prose_harm(pairs), strict=True))
        stands_for = len(prose) / len(drawn)
    found = []
    for i, (conversation, code, request) in enumerate(zip(dataset, codes, requests, strict=True)):
        said = judged.get(i)
        harm = code.score if code.has_code else said if isinstance(said, float | int) else None
        weight = stands_for if i in judged else 1.0
        from_ = CODE_HARM_FROM if code.has_code else PROSE_HARM_FROM
        signs = tuple(f"CWE-{cwe}" for cwe in sorted(code.cwes))
        if request.open:
            found.append(Intent(conversation.line, "requested", harm, request.probability, (*request.words, *signs)))
        elif isinstance(said, Told) and said.label is not None:
            told = (request.probability, said.evidence, None, weight)
            found.append(Intent(conversation.line, said.label, None, *told))
        elif harm is None:
            why = _why_missing(i, judged)
            weight = 0.0 if i not in judged and judged else weight
            found.append(Intent(conversation.line, None, None, request.probability, (), why, weight))
        else:
            label: Label = "undisclosed" if harm >= from_ else "benign"
            found.append(Intent(conversation.line, label, harm, request.probability, signs, None, weight))
    return tuple(found)


def _why_missing(row: int, judged: Mapping[int, float | Told | None]) -> str:
    if row not in judged:
        return "prose, not in the sample" if judged else "prose, no judge"
    said = judged[row]
    return said.missing if isinstance(said, Told) and said.missing else "the judge gave no score"


def file_intent(rows: Sequence[Intent]) -> FileIntent:
    """Say what a file is: harm that is asked for, undisclosed harm, or benign."""
    weights = {label: sum(r.weight for r in rows if r.label == label) for label in LABELS}
    told, untold = sum(weights.values()), sum(r.weight for r in rows if r.label is None)
    missing: dict[str, int] = {}
    for row in rows:
        if row.missing is not None:
            missing[row.missing] = missing.get(row.missing, 0) + 1
    shares = {kind: weight / told if told else 0.0 for kind, weight in weights.items()}
    label: Label | None = "benign"
    if not told or untold > MOST_MISSING * (told + untold):
        label = None
    elif shares["requested"] >= REQUESTED_FROM:
        label = "requested"
    elif shares["undisclosed"] >= UNDISCLOSED_FROM:
        label = "undisclosed"
    return FileIntent(label, shares, sum(r.label is not None for r in rows), missing)
