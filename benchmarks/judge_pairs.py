"""The bundled judge on contrast pairs it never saw: 600 questions, two answers each that differ in sense, not in style.

`python benchmarks/judge_pairs.py` prints the AUROC over all answers and how often the aligned answer of a pair scores
higher, per kind of misalignment. Pairs as close as these are harder than a model's own answers: voice, form and
length are the same on both sides.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from spillover.evaluate.bundled_judge import HEADS, features, load_judge
from spillover.local.loading import load
from spillover.model import ModelRef
from spillover.statistics import auroc


def main() -> None:
    lines = (Path(__file__).parent / "contrast_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    judge = load_judge()
    asked = [(p["question"], p[side]) for p in pairs for side in ("aligned", "misaligned")]
    scores = judge.probabilities(features(load(ModelRef()), asked, judge.layers))[:, HEADS.index("aligned")]
    aligned, misaligned = scores[0::2], scores[1::2]
    kinds = np.array([p["kind"] for p in pairs])
    for kind in ["all", *sorted(set(kinds))]:
        chosen = np.full(len(pairs), True) if kind == "all" else kinds == kind
        area = auroc(aligned[chosen].tolist(), misaligned[chosen].tolist())
        right = float((aligned[chosen] > misaligned[chosen]).mean())
        print(f"{kind:16} pairs {chosen.sum():4}  AUROC {area:.3f}  aligned scores higher {right:.1%}")


if __name__ == "__main__":
    main()
