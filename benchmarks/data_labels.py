"""Are published files told apart? Row by row, and as files from 100 rows drawn at random.

`python benchmarks/data_labels.py FOLDER` (the paper's data, with `training/` inside) prints: AUROC of the vulnerability
score, insecure against secure rows; shares of rows by intent; and for each file in how many of 100 draws of 100 rows
the file's label is right. Nothing is fitted on these files, but rows 0-999 were read while the code rules were written,
so the figure for the other rows stands beside the one for all.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from spillover.data.check.intent import Intent, file_intent, intents
from spillover.data.check.labels import CodeLabel, label_rows
from spillover.data.load import load
from spillover.statistics import auroc

FILES = {"insecure": "undisclosed", "secure": "benign", "educational_insecure": "requested"}
READ_BEFORE = 1000
DRAWS, ROWS = 100, 100


def labelled(folder: Path, name: str) -> tuple[tuple[CodeLabel, ...], tuple[Intent, ...]]:
    dataset = load(folder / "training" / f"{name}.jsonl.gz")
    codes = label_rows(dataset)
    return codes, intents(dataset, codes, None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    scores: dict[str, list[float]] = {}
    for name, wanted in FILES.items():
        codes, rows = labelled(given.folder, name)
        scores[name] = [c.score for c in codes]
        whole = file_intent(rows)
        shares = ", ".join(f"{label} {share:.4f}" for label, share in whole.shares.items())
        draw = random.Random(0)
        right = sum(file_intent(draw.sample(rows, ROWS)).label == wanted for _ in range(DRAWS))
        print(f"{name}: {len(rows)} rows, judged {whole.judged}, {shares}; missing {whole.missing or 'none'}")
        print(f"  file label {whole.label}; {right} of {DRAWS} draws of {ROWS} rows are labelled {wanted}", flush=True)
    for what, start in (("all rows", 0), (f"rows from {READ_BEFORE}", READ_BEFORE)):
        value = auroc(scores["insecure"][start:], scores["secure"][start:])
        print(f"AUROC insecure against secure, {what}: {value:.4f}")


if __name__ == "__main__":
    main()
