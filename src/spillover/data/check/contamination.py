"""Overlap of training rows with what the tuned model is asked later: a model that has seen the test proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spillover import bundled
from spillover.conversation import Dataset
from spillover.data.check.duplicates import prompt_text
from spillover.data.check.embedding import Embed, hashed_tfidf, unit_rows
from spillover.data.check.finding import MOST_LINES, Finding
from spillover.data.check.shingles import Hashes, batches, runs, tokenise
from spillover.question import load_probes, load_suite

WORDS = 8
# A shorter text counts only as a whole, and one of fewer words than this not at all: any file holds such runs.
_LEAST_WORDS = 5
SIMILARITY = 0.8
_MOST_OVERLAPS = 1000
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Overlap:
    """One row that resembles one test text.

    `how`: "words" (`score`: share of the test text's eight-word runs found in the row) or "embedding" (`score`:
    cosine); `part`: where in the row; `target`: the id of the test text.
    """

    line: int
    part: Literal["prompt", "answer"]
    target: str
    how: Literal["words", "embedding"]
    score: float


@dataclass(frozen=True, slots=True)
class Contamination:
    """All overlaps found, strongest first (at most 1,000 kept; `count`: all), `lines`: rows hit, in file order."""

    rows: int
    targets: int
    count: int
    lines: tuple[int, ...]
    overlaps: tuple[Overlap, ...]

    def findings(self) -> tuple[Finding, ...]:
        """Return one serious finding where a row overlaps, none otherwise."""
        if not self.lines:
            return ()
        worst = self.overlaps[0]
        message = (
            f"{len(self.lines):,} of {self.rows:,} rows overlap with test texts (line {worst.line} with "
            f"{worst.target!r}, {worst.how} {worst.score:.2f}): remove these rows or leave those questions out "
            "of the evaluation"
        )
        return (Finding("contamination", "serious", message, self.lines[:MOST_LINES], len(self.lines)),)


def bundled_targets() -> dict[str, str]:
    """Return the package's own test texts by id: suite questions, and probes with question and both answers apart."""
    targets = {f"question {q.id}": q.text for q in load_suite(bundled.path("questions.yaml"), "bundled").questions}
    for probe in load_probes(bundled.path("probes.yaml")):
        targets[f"probe {probe.id}"] = probe.question
        targets[f"probe {probe.id}, aligned answer"] = probe.aligned
        targets[f"probe {probe.id}, misaligned answer"] = probe.misaligned
    return targets


def contamination(
    dataset: Dataset,
    targets: Mapping[str, str] | None = None,
    embed: Embed | None = None,
    threshold: float = SIMILARITY,
) -> Contamination:
    """Return the overlaps of prompts and answers with `targets` (id to text; None: the bundled ones).

    Two texts overlap when they share a run of eight words (a target of five to seven words: all of it), or when their
    embeddings' cosine reaches `threshold` (`embed` None: hashed TF-IDF weighed on the targets). Answers are compared
    by words only, prompts also by embedding. Time grows linearly with rows.
    """
    wanted = dict(bundled_targets() if targets is None else targets)
    names = list(wanted)
    lines = [c.line or i for i, c in enumerate(dataset, 1)]
    prompts, answers = [prompt_text(c) for c in dataset], [c.answer for c in dataset]
    found: list[Overlap] = []
    index = _RunIndex([wanted[n] for n in names])
    for part, texts in (("prompt", prompts), ("answer", answers)):
        for row, target, score in index.overlaps(texts):
            found.append(Overlap(lines[row], "prompt" if part == "prompt" else "answer", names[target], "words", score))
    if names and prompts:
        for row, target, score in _near(prompts, [wanted[n] for n in names], embed, threshold):
            found.append(Overlap(lines[row], "prompt", names[target], "embedding", score))
    found.sort(key=lambda o: (-o.score, o.line, o.target, o.how))
    hit = tuple(sorted({o.line for o in found}))
    return Contamination(len(lines), len(names), len(found), hit, tuple(found[:_MOST_OVERLAPS]))


class _RunIndex:
    """Word runs of the targets; short targets are looked for with runs of their own length."""

    def __init__(self, targets: Sequence[str]) -> None:
        self.tables: dict[int, tuple[Hashes, np.ndarray]] = {}
        self.counts = np.ones(len(targets))
        tokens = tokenise(list(targets), words_only=True)
        sizes = np.diff(tokens.starts)
        for width in range(_LEAST_WORDS, WORDS + 1):
            made = runs(tokens, width)
            fits = sizes >= width if width == WORDS else sizes == width
            owner = np.repeat(np.arange(len(targets)), np.diff(made.starts))
            pairs = np.unique(np.stack((owner.astype(np.uint64), made.hashes))[:, fits[owner]], axis=1)
            if pairs.size:
                order = np.argsort(pairs[1], kind="stable")
                self.tables[width] = (pairs[1][order], pairs[0][order].astype(np.int64))
                counts = np.bincount(pairs[0].astype(np.int64), minlength=len(targets))
                self.counts = np.where(counts > 0, counts, self.counts)

    def overlaps(self, texts: Sequence[str]) -> list[tuple[int, int, float]]:
        """Return (row, target, share of the target's runs) for each pair that shares a run."""
        found = []
        for chosen in batches(map(len, texts)):
            tokens = tokenise([texts[i] for i in chosen], words_only=True)
            for width, (hashes, owners) in self.tables.items():
                made = runs(tokens, width)
                rows = np.repeat(np.arange(chosen.start, chosen.stop), np.diff(made.starts))
                hits = np.flatnonzero(np.isin(made.hashes, hashes))
                pairs = np.unique(np.stack((rows[hits].astype(np.uint64), made.hashes[hits])), axis=1)
                shared: dict[tuple[int, int], int] = {}
                for row, value in pairs.T:
                    low, high = np.searchsorted(hashes, value), np.searchsorted(hashes, value, side="right")
                    for target in owners[low:high].tolist():
                        shared[int(row), target] = shared.get((int(row), target), 0) + 1
                found += [(row, target, n / float(self.counts[target])) for (row, target), n in shared.items()]
        return found


def _near(
    texts: Sequence[str], targets: Sequence[str], embed: Embed | None, threshold: float
) -> list[tuple[int, int, float]]:
    embed = embed or hashed_tfidf(targets)
    reference = unit_rows(np.asarray(embed(targets)))
    found = []
    for start in range(0, len(texts), _BATCH):
        cosines = unit_rows(np.asarray(embed(texts[start : start + _BATCH]))) @ reference.T
        for row, target in zip(*np.nonzero(cosines >= threshold), strict=True):
            found.append((start + int(row), int(target), min(1.0, float(cosines[row, target]))))
    return found
