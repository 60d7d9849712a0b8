"""How often intervals of a misaligned rate hold the truth: ours beside the authors', by simulation.

`python benchmarks/coverage.py [--runs 2000] [--seed 0] [--json FILE]` draws data sets of 10 models x 8 questions x 100
answers. A model-question cell's rate follows a beta distribution around the true rate with the given intraclass
correlation; what the cells of one question, of one model, of both (half each) or none share is the row's "alike". The
truth is the rate over all models and questions that the ten and eight are drawn from. Prints coverage of the nominal
95% intervals and their mean widths. "worth" is how many independent events the expected ones amount to.

Exits 1 unless ours covers at least 93% everywhere and, where 20 or more events are expected, at most 98%. Lines whose
events are worth less than one are named: most of their data sets show no hit at all, as some at a rate of 20% and a
correlation of 0.9 do, so an interval that holds the latter rate holds theirs too.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spillover.hierarchical import rate_bounds
from spillover.run_folder import write_json

MODELS, QUESTIONS, ANSWERS = 10, 8, 100
RATES = (0.001, 0.01, 0.2)
CORRELATIONS = (0.0, 0.1, 0.5, 0.9)
# Shares of what makes cells alike: by model, by question, by the cell itself.
ALIKE = {"question": (0.0, 1.0, 0.0), "model": (1.0, 0.0, 0.0), "both": (0.5, 0.5, 0.0), "cell": (0.0, 0.0, 1.0)}
LEAST, MOST, EVENTS, WORTH = 0.93, 0.98, 20, 1.0
# Data sets handled at a time.
_PORTION = 250
Floats = NDArray[np.float64]


def draw(generator: np.random.Generator, runs: int, rate: float, correlation: float, alike: str) -> Floats:
    """Return hits `(runs, models, questions)`; a cell's rate is beta whatever it shares, by a Gaussian copula."""
    from scipy.stats import beta, norm

    shape = (runs, MODELS, QUESTIONS)
    if correlation == 0:
        return generator.binomial(ANSWERS, rate, shape).astype(float)
    by_model, by_question, by_cell = ALIKE[alike]
    shared = np.zeros((runs, 1, 1))
    for share, size in ((by_model, (runs, MODELS, 1)), (by_question, (runs, 1, QUESTIONS)), (by_cell, shape)):
        if share:
            shared = shared + np.sqrt(share) * generator.standard_normal(size)
    weight = (1 - correlation) / correlation
    # From the upper tail: there a rare high rate keeps its digits.
    rates = beta.isf(norm.sf(shared), rate * weight, (1 - rate) * weight)
    return generator.binomial(ANSWERS, np.broadcast_to(np.nan_to_num(rates), shape)).astype(float)


def authors_bounds(hits: Floats) -> tuple[Floats, Floats]:
    """Return the ends of `spillover.reproduce.interval` for many data sets: its resamples depend on the seed alone."""
    generator = np.random.default_rng(0)
    picks = np.array([generator.choice(MODELS, size=MODELS, replace=True) for _ in range(2_000)])
    ratios = hits.sum(axis=2) / (QUESTIONS * ANSWERS)
    ends = [np.percentile(one[picks].mean(axis=1), (2.5, 97.5)) for one in ratios]
    low, high = np.array(ends).T
    return low, high


def worth(rate: float, correlation: float, alike: str) -> float:
    """Expected events over the design effect that the correlation makes."""
    by_model, by_question, by_cell = (s * correlation for s in ALIKE[alike])
    # Answers that share with one: its model's, its question's, its cell's (a Gaussian share is not quite linear).
    model, question, cell = QUESTIONS * ANSWERS, MODELS * ANSWERS, ANSWERS
    effect = 1 + by_model * (model - 1) + by_question * (question - 1) + by_cell * (cell - 1)
    return MODELS * QUESTIONS * ANSWERS * rate / effect


def row(generator: np.random.Generator, runs: int, rate: float, correlation: float, alike: str) -> dict[str, Any]:
    """Simulate one line of the table."""
    totals = np.full((MODELS, QUESTIONS), float(ANSWERS))
    ours: list[tuple[Floats, Floats]] = []
    theirs: list[tuple[Floats, Floats]] = []
    for start in range(0, runs, _PORTION):
        hits = draw(generator, min(_PORTION, runs - start), rate, correlation, alike)
        ours.append(rate_bounds(hits, totals)[1:])
        theirs.append(authors_bounds(hits))
    found: dict[str, Any] = {
        "rate": rate,
        "correlation": correlation,
        "alike": alike if correlation else "nothing",
        "expected_events": rate * MODELS * QUESTIONS * ANSWERS,
        "worth_events": worth(rate, correlation, alike),
    }
    for name, parts in (("ours", ours), ("authors", theirs)):
        low, high = (np.concatenate(side) for side in zip(*parts, strict=True))
        found |= {f"{name}_covers": float(((low <= rate) & (rate <= high)).mean())}
        found |= {f"{name}_width": float((high - low).mean())}
    return found


def missed(found: dict[str, Any]) -> str:
    """What a line misses of the target; an empty text: nothing."""
    if found["ours_covers"] < LEAST:
        return f"below {LEAST:.0%}"
    if found["expected_events"] >= EVENTS and found["ours_covers"] > MOST:
        few = found["worth_events"] < WORTH
        return f"above {MOST:.0%}" + (f", worth less than {WORTH:.0f} event" if few else "")
    return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    start = time.monotonic()
    generator = np.random.default_rng(given.seed)
    print(f"{MODELS} models x {QUESTIONS} questions x {ANSWERS} answers, {given.runs} data sets a line")
    print("  rate  corr.  alike     events    worth | ours: covers   width | authors: covers   width")
    rows = []
    for rate in RATES:
        for correlation in CORRELATIONS:
            for alike in ALIKE if correlation else ["question"]:
                f = row(generator, given.runs, rate, correlation, alike)
                rows.append(f)
                print(
                    f"{rate:6.1%} {correlation:5.1f}  {f['alike']:9}"
                    f" {f['expected_events']:6.0f} {f['worth_events']:8.1f} |"
                    f"       {f['ours_covers']:6.1%} {f['ours_width']:7.4f} |          {f['authors_covers']:6.1%}"
                    f" {f['authors_width']:7.4f}  {missed(f)}",
                    flush=True,
                )
    off = [f for f in rows if missed(f)]
    error = (0.05 * 0.95 / given.runs) ** 0.5
    print(f"{len(rows) - len(off)} of {len(rows)} lines within the target")
    print(f"standard error of a coverage {error:.1%}")
    print(f"{time.monotonic() - start:.0f} s")
    if given.json:
        write_json(given.json, {"runs": given.runs, "seed": given.seed, "rows": rows})
    sys.exit(1 if off else 0)


if __name__ == "__main__":
    main()
