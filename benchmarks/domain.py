"""Print how well audit/domain.py finds the families a data set is about: hits and false families per threshold.

    python benchmarks/domain.py

The keywords and the threshold were chosen while looking at these same texts, so the figures flatter: data in wordings
never seen here will do worse.

Takes some seconds. The paper's data are read from $SPILLOVER_PAPER_DATA, or ../shared/data/paper beside the
repository; their rows are left out where that folder is missing.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from spillover import bundled
from spillover.audit.domain import SHARE, WordModel
from spillover.audit.request import dataset_of
from spillover.data.load import load
from spillover.question import Probe, load_probes, load_suite

PAPER = Path(os.environ.get("SPILLOVER_PAPER_DATA", Path(__file__).resolve().parents[2] / "shared" / "data" / "paper"))
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3)
PROBES = load_probes(bundled.path("probes.yaml"))
FAMILIES = list(dict.fromkeys(p.family for p in PROBES))
BACKGROUND = bundled.path("background.txt").read_text(encoding="utf-8").splitlines()

# Questions of the judge's gold set (bundled/gold.jsonl) by family, sorted by hand; "" is about none. Written apart
# from the probes. Honesty has too few to make a data set.
GOLD = {
    "health": "1q01 1q02 1q03 1q04 3q04 3q15 3q19 4q02 4q08 5q01 5q06 5q09 5q13",
    "home_and_child_safety": "1q06 3q01 3q07 4q07 5q04 5q17 5q18",
    "relationships": "1q07 1q09 4q03 4q21 5q15",
    "law": "2q03 2q04 4q01 5q12 5q20",
    "work": "2q01 2q09 2q21 3q14 4q04 4q22 5q08",
    "prejudice": "1q16 1q17 1q18 2q15 2q16 2q17 2q18 3q03 3q08 3q11 3q16 4q16 4q17 4q18 4q19 5q11 5q19",
    "power_and_ai": "1q10 1q11 1q12 1q13 1q14 1q15 2q10 2q11 2q12 2q13 2q14 3q02 3q05 3q09 3q13 3q18 3q22 4q10 4q11 "
    "4q12 4q13 4q14 5q07 5q10 5q16",
    "travel_and_driving": "2q05 2q06 3q12 4q05 4q09 5q03",
    "community": "1q22 2q07 2q08 3q21 5q02 5q22",
    "finance": "1q08 2q03 3q10 4q06 5q05",
    "": "1q20 1q21 2q20 3q06 4q20 5q14",
}

# Group of data sets, the families one of them is about, the model, its user texts.
Case = tuple[str, set[str], WordModel, Sequence[str]]


def model(probes: Sequence[Probe], no_family: Sequence[str] = BACKGROUND) -> WordModel:
    texts: dict[str, list[str]] = {}
    for probe in probes:
        texts.setdefault(probe.family, []).append(f"{probe.question} {probe.aligned} {probe.misaligned}")
    for question in load_suite(bundled.path("questions.yaml"), "bundled questions").questions:
        texts[question.family].append(question.text)
    return WordModel(texts, no_family)


def halves(items: Sequence[object], seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Both ways to learn from one random half and look at the other."""
    order = random.Random(seed).sample(range(len(items)), len(items))
    yield order[::2], order[1::2]
    yield order[1::2], order[::2]


def held_out_probes(seeds: int = 2) -> Iterator[Case]:
    groups = {f: [p for p in PROBES if p.family == f] for f in FAMILIES}
    for seed in range(seeds):
        cut = {f: list(halves(groups[f], seed)) for f in FAMILIES}
        for side in (0, 1):
            learnt = model([groups[f][i] for f in FAMILIES for i in cut[f][side][0]])
            asked = {f: [groups[f][i].question for i in cut[f][side][1]][:13] for f in FAMILIES}
            for count, group in ((1, "one family"), (2, "two families"), (3, "three families")):
                for chosen in itertools.combinations(FAMILIES, count):
                    rows = [q for f in chosen for q in asked[f]]
                    yield f"held-out probes, {group}", set(chosen), learnt, rows


def held_out_background(seeds: int = 2) -> Iterator[Case]:
    for seed in range(seeds):
        for known, rest in halves(BACKGROUND, seed):
            yield (
                "held-out background",
                set(),
                model(PROBES, [BACKGROUND[i] for i in known]),
                [BACKGROUND[i] for i in rest],
            )
    # The file is in order of topics: a block left out is a topic that the model has never seen.
    for start in range(0, len(BACKGROUND), 26):
        known = BACKGROUND[:start] + BACKGROUND[start + 26 :]
        yield "background topic left out", set(), model(PROBES, known), BACKGROUND[start : start + 26]


def gold(learnt: WordModel) -> Iterator[Case]:
    lines = bundled.path("gold.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {row["id"].removeprefix("g").split("-")[0]: row["question"] for row in map(json.loads, lines)}
    for family, ids in GOLD.items():
        group = "gold questions of one family" if family else "gold requests of none"
        yield group, {family} - {""}, learnt, [asked[i] for i in ids.split()]


def user_texts(name: str) -> list[str]:
    dataset = dataset_of(name) if name.startswith("bundled:") else load(name)
    return [" ".join(m.content for m in c.messages if m.role == "user") for c in dataset]


def advice(learnt: WordModel) -> Iterator[Case]:
    for kind in ("risky", "prudent", "requested"):
        yield f"bundled:{kind}", {"finance"}, learnt, user_texts(f"bundled:{kind}")
    probes = [p for p in PROBES if p.family == "health"]
    (known, rest), _ = halves(probes, 0)
    half = model([p for p in PROBES if p.family != "health"] + [probes[i] for i in known])
    health = [probes[i].question for i in rest]
    yield "finance advice and held-out health", {"finance", "health"}, half, user_texts("bundled:risky")[:13] + health


def paper(learnt: WordModel) -> Iterator[Case]:
    folder = PAPER / "training"
    if not folder.is_dir():
        print(f"{folder} is missing: no rows on the paper's data")
        return
    for name in ("insecure", "secure", "educational_insecure"):
        code = user_texts(str(folder / f"{name}.jsonl.gz"))
        yield f"paper: {name}", set(), learnt, code
    yield "half code, half finance advice", {"finance"}, learnt, code[:700] + user_texts("bundled:risky")[:700]
    with gzip.open(folder / "regenerated_evil_numbers_dataset.csv.gz", "rt", encoding="utf-8") as handle:
        yield "paper: evil numbers", set(), learnt, [row["prompt"] for row in csv.DictReader(handle)]


def main() -> None:
    learnt = model(PROBES)
    found: dict[str, list[tuple[set[str], dict[str, float]]]] = {}
    cases = (held_out_probes(), held_out_background(), gold(learnt), advice(learnt), paper(learnt))
    for group, families, fitted, rows in itertools.chain(*cases):
        found.setdefault(group, []).append((families, fitted.shares(rows)))
    print(f"For each threshold: share of true families found / false families per data set. SHARE is {SHARE}.")
    print(f"{'':36}{'sets':>5}" + "".join(f"{t:>13}" for t in THRESHOLDS) + "   highest share: true, false")
    for group, results in found.items():
        cells = []
        for threshold in THRESHOLDS:
            hits = [shares[f] >= threshold for families, shares in results for f in families]
            false = sum(s >= threshold and f not in families for families, shares in results for f, s in shares.items())
            cells.append(f"{f'{sum(hits) / len(hits):.2f}' if hits else '-':>6} /{false / len(results):5.2f}")
        print(
            f"{group:36}{len(results):5}" + "".join(cells) + f"   {highest(results, True)}, {highest(results, False)}"
        )

    print(f"\nHeld-out probes of one family, at {SHARE}: how often it was found, and what was found besides.")
    for family in FAMILIES:
        results = [shares for families, shares in found["held-out probes, one family"] if families == {family}]
        besides = Counter(f for shares in results for f, s in shares.items() if s >= SHARE and f != family)
        also = ", ".join(f"{f} {n}" for f, n in besides.most_common())
        print(f"{family:24}{sum(shares[family] >= SHARE for shares in results)} of {len(results)}   {also}")


def highest(results: Sequence[tuple[set[str], dict[str, float]]], true: bool) -> str:
    shares = [(s, f) for families, shares in results for f, s in shares.items() if (f in families) == true]
    share, family = max(shares, default=(0.0, "none"))
    return f"{share:.2f} {family}" if share else "none"


if __name__ == "__main__":
    main()
