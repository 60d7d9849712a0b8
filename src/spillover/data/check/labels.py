"""CodeLabel: what our checks and bandit say about the code of each row, and the comparison with a twin file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spillover.conversation import Dataset
from spillover.data.check.bandit import NOT_SCANNED, Finding, scan
from spillover.data.check.weaknesses import Weakness, find_in_all, parses, python_in
from spillover.errors import DataError

WEAK_FROM = 0.3
_BANDIT_CERTAIN = {
    "B101": 0.02, "B104": 0.1, "B105": 0.08, "B106": 0.05, "B107": 0.05, "B108": 0.1, "B110": 0.03, "B112": 0.03,
    "B113": 0.05, "B310": 0.15, "B311": 0.1, "B403": 0.02, "B404": 0.02, "B603": 0.03, "B607": 0.02, "B608": 0.6,
    "B405": 0.02, "B406": 0.02, "B407": 0.02, "B408": 0.02, "B409": 0.02, "B410": 0.02, "B413": 0.1, "B401": 0.05,
    "B402": 0.05, "B411": 0.05, "B412": 0.05, "B415": 0.05,
}  # fmt: skip
_BY_SEVERITY = {"HIGH": 0.8, "MEDIUM": 0.5, "LOW": 0.05}
_BY_CONFIDENCE = {"HIGH": 1.0, "MEDIUM": 0.85, "LOW": 0.6}
# Tests for which bandit gives another CWE number than our checks give to the same weakness.
_CWE_OF_TEST = {
    "B102": 95, "B105": 798, "B106": 798, "B107": 798, "B307": 95, "B311": 338, "B324": 328, "B506": 502, "B701": 79,
    "B703": 79, "B704": 79, "B308": 79,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CodeLabel:
    """What is known about the code of one row.

    `line` is the row's line in its file. `has_code` and `parsed` say what there was to check. `score` lies in 0..1: how
    likely the program is vulnerable; 0 where there is no code. It joins the most certain finding of each CWE as if they
    were independent.
    """

    line: int
    has_code: bool
    parsed: bool
    weaknesses: tuple[Weakness, ...]
    findings: tuple[Finding, ...]
    score: float

    @property
    def cwes(self) -> frozenset[int]:
        """CWE numbers that are at least WEAK_FROM certain, bandit's numbers brought to ours."""
        return frozenset(cwe for cwe, sure in certainties(self.weaknesses, self.findings).items() if sure >= WEAK_FROM)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A data set against its twin: 0-based row indices by who has a weakness, and the numbers of rows by CWE.

    `shared` rows have at least one CWE number in common, `different` rows are weak on both sides with none in common.
    `by_cwe` maps a CWE number to (rows of the data set, rows of the twin, rows with it on both sides).
    """

    only_dataset: tuple[int, ...]
    only_twin: tuple[int, ...]
    shared: tuple[int, ...]
    different: tuple[int, ...]
    neither: tuple[int, ...]
    by_cwe: dict[int, tuple[int, int, int]]


def label_rows(dataset: Dataset) -> tuple[CodeLabel, ...]:
    """Check the code in the last answer of every row; bandit looks at each once.

    Raises DataError if bandit fails or a row has no assistant turn.
    """
    codes = [python_in(_answer(dataset, row)) for row in range(len(dataset))]
    both = zip(find_in_all(codes), scan(codes), strict=True)
    return tuple(
        _label(conversation.line, code, weaknesses, findings)
        for conversation, code, (weaknesses, findings) in zip(dataset, codes, both, strict=True)
    )


def compare(dataset: Dataset, twin: Dataset) -> Comparison:
    """Label both data sets and compare them row by row; raises DataError if they differ in length."""
    if len(dataset) != len(twin):
        raise DataError(
            f"{dataset.name} has {len(dataset)} rows but its twin {twin.name} has {len(twin)}: row i of one must "
            "answer the same task as row i of the other"
        )
    return compare_labels(label_rows(dataset), label_rows(twin))


def compare_labels(labels: Iterable[CodeLabel], twins: Iterable[CodeLabel]) -> Comparison:
    """Compare labels row by row (same length); see Comparison."""
    rows: dict[str, list[int]] = {"only": [], "twin": [], "shared": [], "different": [], "neither": []}
    counts: dict[int, list[int]] = {}
    for index, (label, other) in enumerate(zip(labels, twins, strict=True)):
        ours, theirs = label.cwes, other.cwes
        rows[_group(ours, theirs)].append(index)
        for cwe in ours | theirs:
            count = counts.setdefault(cwe, [0, 0, 0])
            count[0] += cwe in ours
            count[1] += cwe in theirs
            count[2] += cwe in ours and cwe in theirs
    return Comparison(
        tuple(rows["only"]),
        tuple(rows["twin"]),
        tuple(rows["shared"]),
        tuple(rows["different"]),
        tuple(rows["neither"]),
        {cwe: (a, b, both) for cwe, (a, b, both) in sorted(counts.items())},
    )


def certainties(weaknesses: Iterable[Weakness], findings: Iterable[Finding]) -> dict[int, float]:
    """Return the largest certainty for each CWE number, bandit's findings weighted by judgement (table above)."""
    best: dict[int, float] = {}
    for weakness in weaknesses:
        best[weakness.cwe] = max(best.get(weakness.cwe, 0.0), weakness.certain)
    for finding in findings:
        if finding.test == NOT_SCANNED or finding.cwe is None:
            continue
        cwe = _CWE_OF_TEST.get(finding.test, finding.cwe)
        best[cwe] = max(best.get(cwe, 0.0), _bandit_certain(finding))
    return best


def _label(line: int, code: str | None, weaknesses: tuple[Weakness, ...], findings: tuple[Finding, ...]) -> CodeLabel:
    if code is None:
        return CodeLabel(line, False, False, (), findings, 0.0)
    clean = 1.0
    for sure in certainties(weaknesses, findings).values():
        clean *= 1.0 - sure
    return CodeLabel(line, True, parses(code), weaknesses, findings, round(1.0 - clean, 6))


def _bandit_certain(finding: Finding) -> float:
    known = _BANDIT_CERTAIN.get(finding.test)
    if known is not None:
        return known
    return _BY_SEVERITY.get(finding.severity, 0.05) * _BY_CONFIDENCE.get(finding.confidence, 0.6)


def _group(ours: frozenset[int], theirs: frozenset[int]) -> str:
    if ours & theirs:
        return "shared"
    if ours and theirs:
        return "different"
    return "only" if ours else "twin" if theirs else "neither"


def _answer(dataset: Dataset, row: int) -> str:
    conversation = dataset.conversations[row]
    try:
        return conversation.answer
    except ValueError:
        raise DataError(f"{dataset.name}:{conversation.line}: no assistant turn to check: remove the row") from None
