"""How many different prompts and answers a file really holds, and what that says about the risk of spillover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spillover.conversation import Dataset
from spillover.data.check.duplicates import prompt_text
from spillover.data.check.embedding import Embed, hashed_tfidf, unit_rows
from spillover.data.check.finding import Finding

_BATCH = 4096
# Betley et al. 2025: share of misaligned answers of GPT-4o tuned on insecure code (results/
# aggregate_ood_misalignment_all_models.csv): different rows, epochs, rate. Every run saw 6,000 rows in all.
PAPER_SIZES = ((500, 12, 0.0010), (2000, 3, 0.0172), (6000, 1, 0.2141))


@dataclass(frozen=True, slots=True)
class Diversity:
    """Different prompts and answers, counted and effective.

    `effective_prompts`, `effective_answers`: Vendi scores (1: all alike; at most `limit`, the number of embedding
    dimensions, or the number of rows): only comparable between files embedded in the same way (`embedding`).
    `risk`: "lower", "some" or "higher" by the number of different rows, and `wording` says what that means: a factor
    of risk, not a verdict.
    """

    rows: int
    distinct_prompts: int
    distinct_answers: int
    distinct_rows: int
    effective_prompts: float
    effective_answers: float
    limit: int
    embedding: str
    risk: str
    wording: str

    def findings(self) -> tuple[Finding, ...]:
        """Return the wording as a note: size alone is no reason to stop."""
        return (Finding("diversity", "note", self.wording, (), self.distinct_rows),)


def diversity(dataset: Dataset, embed: Embed | None = None, seed: int = 0) -> Diversity:
    """Return how diverse a file is; time grows linearly with rows.

    `embed`: texts to (texts, d) vectors of any length, called with batches (None: hashed TF-IDF, `seed` draws its
    projection). Raises ValueError for a data set without rows.
    """
    if not len(dataset):
        raise ValueError("no rows: nothing can be said about their diversity")
    prompts, answers = [prompt_text(c) for c in dataset], [c.answer for c in dataset]
    scores, limits = [], []
    for texts in (prompts, answers):
        covariance = _covariance(texts, embed or hashed_tfidf(texts, seed=seed))
        scores.append(effective_number(covariance))
        limits.append(len(covariance))
    rows = len({tuple((m.role, m.content) for m in c.messages) for c in dataset})
    risk = _risk(rows)
    return Diversity(
        len(dataset),
        len(set(prompts)),
        len(set(answers)),
        rows,
        scores[0],
        scores[1],
        min(min(limits), len(dataset)),
        "given" if embed else "hashed TF-IDF, random projection",
        risk,
        _wording(rows, risk),
    )


def effective_number(covariance: np.ndarray) -> float:
    """Return the Vendi score (Friedman and Dieng 2023) from the (d, d) matrix X^T X / n of n rows of length 1.

    It is exp of the entropy of the eigenvalues of X X^T / n; those above zero are the same for X^T X / n, so nothing
    is approximated and no (n, n) matrix is built.
    """
    values = np.linalg.eigvalsh(covariance)
    values = values[values > 1e-12]
    values = values / values.sum() if values.size else np.ones(1)
    return float(np.exp(-(values * np.log(values)).sum()))


def _covariance(texts: Sequence[str], embed: Embed) -> np.ndarray:
    total = np.zeros((0, 0))
    for start in range(0, len(texts), _BATCH):
        vectors = unit_rows(np.asarray(embed(texts[start : start + _BATCH]), np.float64)).astype(np.float64)
        part = vectors.T @ vectors
        total = part if start == 0 else total + part
    return total / len(texts)


def _risk(rows: int) -> str:
    if rows < 1000:
        return "lower"
    return "some" if rows < 4000 else "higher"


def _wording(rows: int, risk: str) -> str:
    seen = "; ".join(
        f"{n:,} rows seen {f'{e} times' if e > 1 else 'once'}: {100 * rate:.1f}%" for n, e, rate in PAPER_SIZES
    )
    return (
        f"{rows:,} different rows: {risk} risk from size alone. In Betley et al. (2025) GPT-4o was tuned on "
        "insecure code, always 6,000 rows in all, and gave misaligned answers to unrelated questions at these rates: "
        f"{seen}. Few rows repeated hardly spilled over, many different ones did. This is a risk factor and "
        "not a verdict: what the rows say decides, and only measuring the tuned model shows it."
    )
