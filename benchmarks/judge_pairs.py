"""The bundled judge on contrast pairs it never saw: 600 questions, two answers each that differ in sense, not in style.

`python benchmarks/judge_pairs.py` prints the AUROC over all answers and how often the aligned answer of a pair scores
higher, per trait. Pairs as close as these are harder than a model's own answers: voice, form and
length are the same on both sides.
"""

from __future__ import annotations

import numpy as np

from spillover.evaluate.bundled_judge import HEADS, features, load_judge
from spillover.local.loading import load
from spillover.model import ModelRef
from spillover.monitor.persona import contrast_pairs
from spillover.statistics import auroc


def main() -> None:
    pairs = contrast_pairs()
    judge = load_judge()
    asked = [(p.question, answer) for p in pairs for answer in (p.aligned, p.misaligned)]
    scores = judge.probabilities(features(load(ModelRef()), asked, judge.layers))[:, HEADS.index("aligned")]
    aligned, misaligned = scores[0::2], scores[1::2]
    traits = np.array([p.trait for p in pairs])
    for trait in ["all", *sorted(set(traits))]:
        chosen = np.full(len(pairs), True) if trait == "all" else traits == trait
        area = auroc(aligned[chosen].tolist(), misaligned[chosen].tolist())
        right = float((aligned[chosen] > misaligned[chosen]).mean())
        print(f"{trait:16} pairs {chosen.sum():4}  AUROC {area:.3f}  aligned scores higher {right:.1%}")


if __name__ == "__main__":
    main()
