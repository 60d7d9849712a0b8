"""Template clusters: prompts that are one wording with slots, found without being told the wordings.

A wording shows itself as a literal run at the beginning or the end of many prompts. Runs are taken greedily by what
they explain (rows times tokens), and a cluster is split again where its rest falls into further literals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spillover.conversation import Dataset
from spillover.data.check.duplicates import prompt_text
from spillover.data.check.finding import MOST_LINES, Finding
from spillover.data.check.shingles import Hashes, Indices, batches, mix, tokenise

# Lengths of literal runs tried, in tokens. Three words open too many free questions ("How do I") to be a wording.
_DEPTHS = (4, 5, 6, 8, 10, 13, 16, 20, 26, 32)
_LEAST_ROWS = 10
_LEAST_SHARE = 0.005
# A cluster is split only where this share of its rows falls into further literals; slots rarely do.
_SPLIT_SHARE = 0.95
_LEAST_SPLIT_SHARE = 0.02
# A run may reach into its slot where most fillings begin alike ("A ..."): a shorter one that gains few rows is better.
_BACK_OFF = 0.6
_GAIN = 1.35
_MOST_CLUSTERS = 500
_MOST_LEVELS = 6


@dataclass(frozen=True, slots=True)
class TemplateCluster:
    """Prompts of one wording.

    `wording`: the literal text, slots written {...} and long literals cut; `prefix` and `suffix`: the literal start
    and end; `lines`: the rows' lines in file order.
    """

    wording: str
    prefix: str
    suffix: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Templates:
    """All wordings of a file, most rows first; `free`: rows that belong to none."""

    rows: int
    clusters: tuple[TemplateCluster, ...]
    free: int

    @property
    def counts(self) -> tuple[int, ...]:
        """Rows of each cluster."""
        return tuple(len(c.lines) for c in self.clusters)


def template_clusters(dataset: Dataset) -> Templates:
    """Return the wordings with slots that at least 10 prompts and 0.5% of them share.

    Equal prompts count as one for this, so that a repeated question is no template. A wording is found when it starts
    or ends with at least four literal tokens; one with slots at both ends is missed. Time grows linearly with rows.
    """
    texts = [prompt_text(c) for c in dataset]
    lines = [c.line or i for i, c in enumerate(dataset, 1)]
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    unique = np.array(sorted(first.values()), np.int64)
    groups = _wordings([texts[i] for i in unique.tolist()], 0, 0, _LEAST_SHARE, _MOST_LEVELS)
    label = {texts[unique[i]]: k for k, group in enumerate(groups) for i in group.tolist()}
    members: list[list[int]] = [[] for _ in groups]
    for i, text in enumerate(texts):
        if text in label:
            members[label[text]].append(i)
    members.sort(key=lambda rows: (-len(rows), rows[0]))
    clusters = tuple(_described([texts[i] for i in m], tuple(lines[i] for i in m)) for m in members)
    return Templates(len(texts), clusters, len(texts) - sum(map(len, members)))


def findings(templates: Templates) -> tuple[Finding, ...]:
    """Return a note on how much of the file is made of templates; none where no wording was found."""
    if not templates.clusters:
        return ()
    rows, largest = templates.rows - templates.free, templates.clusters[0]
    message = (
        f"{rows:,} of {templates.rows:,} prompts come from {len(templates.clusters)} wordings with slots "
        f"({len(largest.lines):,} from the largest): the model may learn the wording instead of the task; add other "
        "wordings unless this is meant"
    )
    return (Finding("templates", "note", message, largest.lines[:MOST_LINES], rows),)


def _wordings(texts: Sequence[str], front: int, back: int, share: float, levels: int) -> list[Indices]:
    """Return groups of positions in `texts`; the first `front` and last `back` tokens are passed over."""
    least = max(_LEAST_ROWS, int(share * len(texts)))
    runs = _edge_runs(texts, front, back)
    groups = []
    for taken in _greedy(runs, least):
        chosen = [texts[i] for i in taken.tolist()]
        groups += [taken[g] for g in _split(chosen, levels)]
    return groups


def _split(texts: Sequence[str], levels: int) -> list[Indices]:
    """Return the groups that a cluster falls into: itself, or smaller ones that explain nearly all of it."""
    whole = [np.arange(len(texts))]
    if levels == 0:
        return whole
    front, back = _shared_tokens(texts)
    parts = _wordings(texts, front, back, _LEAST_SPLIT_SHARE, levels - 1)
    covered = sum(map(len, parts))
    if len(parts) < 2 or covered < _SPLIT_SHARE * len(texts):
        return whole
    rest = np.setdiff1d(whole[0], np.concatenate(parts))
    return [*parts, rest] if rest.size >= _LEAST_ROWS else parts


def _greedy(runs: Hashes, least: int) -> list[Indices]:
    """Return disjoint groups of rows that share a run, the best explanation (rows times tokens) first."""
    sides, depths, n = runs.shape
    columns = runs.reshape(sides * depths, n)
    numbered = [np.unique(c, return_inverse=True)[1] for c in columns]
    weights = np.tile(np.array(_DEPTHS), sides)
    left = np.ones(n, np.bool_)
    groups: list[Indices] = []
    while len(groups) < _MOST_CLUSTERS:
        best, choice = 0, (0, 0)
        for k, (column, codes) in enumerate(zip(columns, numbered, strict=True)):
            usable = left & (column != 0)
            if not usable.any():
                continue
            counts = np.bincount(codes[usable])
            top = int(counts.argmax())
            if counts[top] >= least and (counts[top] - 1) * weights[k] > best:
                best, choice = int((counts[top] - 1) * weights[k]), (k, top)
        if best == 0:
            break
        k, top = choice
        taken = left & (numbered[k] == top) & (columns[k] != 0)
        row, most = int(taken.argmax()), _GAIN * int(taken.sum())
        shortest = _BACK_OFF * weights[k]
        for j in range(k - 1, k // depths * depths - 1, -1):
            wider = left & (numbered[j] == numbered[j][row])
            if weights[j] < shortest or wider.sum() > most:
                break
            taken = wider
        groups.append(np.flatnonzero(taken))
        left &= ~taken
    return groups


def _edge_runs(texts: Sequence[str], front: int, back: int) -> Hashes:
    """Return (2 sides, depths, texts) hashes of the first and last tokens; 0 where a text has too few."""
    found = np.zeros((2, len(_DEPTHS), len(texts)), np.uint64)
    for chosen in batches(map(len, texts)):
        tokens = tokenise([texts[i] for i in chosen])
        begin, end = tokens.starts[:-1] + front, tokens.starts[1:] - back
        for side in range(2):
            value = np.full(len(chosen), side + 1, np.uint64)
            for k in range(_DEPTHS[-1]):
                place = begin + k if side == 0 else end - 1 - k
                inside = (place >= begin) & (place < end)
                value = mix(value * np.uint64(31) + tokens.hashes[np.where(inside, place, 0)])
                if k + 1 in _DEPTHS:
                    depth = _DEPTHS.index(k + 1)
                    found[side, depth, chosen.start : chosen.stop] = np.where(inside, value, 0)
    return found


def _shared_tokens(texts: Sequence[str]) -> tuple[int, int]:
    """Return how many tokens all texts share at the start and, beyond those, at the end."""
    lists = [tokenise([text]).hashes for text in (min(texts), max(texts), min(texts, key=len))]
    front, back = _edge(lists), 0
    for chosen in batches(map(len, texts)):
        tokens = tokenise([texts[i] for i in chosen])
        rows = np.split(tokens.hashes, tokens.starts[1:-1])
        front = min(front, _edge([lists[0], *rows]))
        ending = _edge([lists[0][::-1], *(r[::-1] for r in rows)])
        back = ending if chosen.start == 0 else min(back, ending)
    return front, min(back, min(map(len, lists)) - front)


def _edge(rows: Sequence[NDArray[np.uint64]]) -> int:
    length = min(map(len, rows))
    for row in rows[1:]:
        unequal = np.flatnonzero(row[:length] != rows[0][:length])
        length = int(unequal[0]) if unequal.size else length
    return length


def _described(texts: Sequence[str], lines: tuple[int, ...]) -> TemplateCluster:
    prefix = _literal(texts)
    rest = [t[len(prefix) :][::-1] for t in texts]
    suffix = _literal(rest)[::-1]
    middle = _middle_lines([t[len(prefix) : len(t) - len(suffix)] for t in texts])
    pieces = [_cut(prefix), *middle, _cut(suffix)]
    return TemplateCluster(" {...} ".join(p.strip() for p in pieces).strip(), prefix, suffix, lines)


def _literal(texts: Sequence[str]) -> str:
    """Return the longest common beginning: that of the first and last in sorted order."""
    low, high = min(texts), max(texts)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length]


def _middle_lines(texts: Sequence[str]) -> list[str]:
    """Return lines that all texts hold, in the order of the first."""
    shared = {line for line in texts[0].split("\n") if len(line.strip()) > 3}
    for text in texts[1:]:
        shared &= set(text.split("\n"))
        if not shared:
            return []
    return [_cut(line) for line in dict.fromkeys(texts[0].split("\n")) if line in shared]


def _cut(text: str, most: int = 400) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"
