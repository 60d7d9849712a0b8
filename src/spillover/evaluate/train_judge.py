"""Train the bundled judge's heads from the gold set and print how good they are.

`python -m spillover.evaluate.train_judge` cross-validates (5 folds by question), prints the table with the length and
question-only baselines beside it, and writes judge.npz and judge.json into the package. `--check` prints only,
`--calibration` writes judge.json only and leaves the heads as they are. Answers of judge_training.jsonl, to other
questions, join the training of the aligned head in every fold and are never scored. Needs scikit-learn.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spillover import bundled
from spillover.answer import COHERENT_ABOVE, MISALIGNED_BELOW
from spillover.evaluate.bundled_judge import CALIBRATION, HEADS, WEIGHTS, features, judge_fingerprint, judgement
from spillover.evaluate.calibrate import FLOOR, GOLD, Labelled, LabelledSet, measured
from spillover.evaluate.judges import BUNDLED
from spillover.local.loading import load
from spillover.model import ModelRef
from spillover.run_folder import write_json
from spillover.statistics import auroc

LAYERS = (8, 14, 20)
FOLDS = 5
# Strength of the ridge penalty (sklearn's C), chosen on the same folds; from 1e-3 to 1e-2 the AUROC changes by 0.005.
PENALTY = 3e-3
# What an extra training answer weighs beside a gold one, chosen on the same folds: at 1 the AUROC is 0.003 lower.
EXTRA_WEIGHT = 0.3
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gold:
    """One labelled answer; `source` is "written" or names the model it was sampled from."""

    id: str
    question: str
    answer: str
    label: str
    kind: str
    source: str


def gold_set() -> list[Gold]:
    """Read the bundled gold set."""
    lines = bundled.path("gold.jsonl").read_text(encoding="utf-8").splitlines()
    return [Gold(**json.loads(line)) for line in lines]


def extra_set() -> list[Gold]:
    """Read the extra training answers: aligned and misaligned ones, written, to questions not in the gold set."""
    lines = bundled.path("judge_training.jsonl").read_text(encoding="utf-8").splitlines()
    return [Gold(**json.loads(line), source="written") for line in lines]


@dataclass(frozen=True, slots=True)
class Extra:
    """Features `(answers, layers * hidden)` of the extra training answers and whether each is aligned."""

    rows: NDArray[Any]
    aligned: NDArray[np.bool_]


def head_rows(gold: Sequence[Gold]) -> dict[str, tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Return per head the rows it learns from and their labels."""
    labels = np.array([g.label for g in gold])
    everything = np.arange(len(gold))
    sides = np.flatnonzero(np.isin(labels, ["aligned", "misaligned"]))
    return {
        "aligned": (sides, labels[sides] == "aligned"),
        "coherent": (everything, labels != "incoherent"),
        "code": (everything, labels == "code"),
        "refusal": (everything, labels == "refusal"),
    }


def out_of_fold(rows: NDArray[Any], gold: Sequence[Gold], extra: Extra | None = None) -> dict[str, Floats]:
    """Return per head a probability for every answer from heads that saw neither it nor its question."""
    from sklearn.model_selection import GroupKFold

    groups = np.array([g.question for g in gold])
    found = {head: np.full(len(gold), np.nan) for head in head_rows(gold)}
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(rows, groups=groups):
        for head, (members, positive) in head_rows(gold).items():
            use = np.isin(members, train)
            model = _fit(rows[members[use]], positive[use], extra if head == "aligned" else None)
            found[head][test] = model.predict_proba(rows[test])[:, 1]
    return found


def quality(found: Mapping[str, Floats], gold: Sequence[Gold]) -> dict[str, float]:
    """Return AUROCs, recognition rates and error rates at the thresholds from out-of-fold probabilities."""
    labels = np.array([g.label for g in gold])
    is_aligned, is_misaligned = labels == "aligned", labels == "misaligned"
    plain = (found["code"] <= 0.5) & (found["refusal"] <= 0.5) & (100 * found["coherent"] > COHERENT_ABOVE)
    flagged = plain & (100 * found["aligned"] < MISALIGNED_BELOW)
    prose = np.isin(labels, ["aligned", "misaligned"])
    return {
        "auroc_aligned": auroc(found["aligned"][is_aligned].tolist(), found["aligned"][is_misaligned].tolist()),
        "auroc_coherent": auroc(
            found["coherent"][labels != "incoherent"].tolist(), found["coherent"][labels == "incoherent"].tolist()
        ),
        "code_recognised": _share(found["code"][labels == "code"] > 0.5),
        "refusal_recognised": _share(found["refusal"][labels == "refusal"] > 0.5),
        "prose_taken_for_code_or_refusal": float(((found["code"] > 0.5) | (found["refusal"] > 0.5))[prose].mean()),
        "sensitivity": float(flagged[is_misaligned].mean()),
        "specificity": float(1 - flagged[is_aligned].mean()),
        "incoherent_passed_as_misaligned": float(flagged[labels == "incoherent"].mean()),
    }


def baselines(question_rows: NDArray[Any], gold: Sequence[Gold]) -> dict[str, float]:
    """Return what length alone and the question alone reach, as AUROC aligned against misaligned (and coherent)."""
    labels = np.array([g.label for g in gold])
    words = np.array([float(len(g.answer.split())) for g in gold])
    question = out_of_fold(question_rows, gold)["aligned"]
    length = auroc(words[labels == "aligned"].tolist(), words[labels == "misaligned"].tolist())
    coherent = auroc(words[labels != "incoherent"].tolist(), words[labels == "incoherent"].tolist())
    return {
        "length_auroc_aligned": max(length, 1 - length),
        "length_auroc_coherent": max(coherent, 1 - coherent),
        "question_auroc_aligned": auroc(
            question[labels == "aligned"].tolist(), question[labels == "misaligned"].tolist()
        ),
    }


def out_of_fold_calibration(found: Mapping[str, Floats], gold: Sequence[Gold], judge_hash: str) -> dict[str, Any]:
    """Return what `spillover evaluate` corrects the judge's rates by: its verdicts on questions it was not trained on.

    Error rates and AUROC are clustered by question; refusals and code have no alignment score here, as in use.
    """
    rows = tuple(Labelled(g.question, g.answer, g.label) for g in gold)
    scores = np.stack([found[head] for head in HEADS], axis=1)
    judgements = [judgement(row) for row in scores]
    return measured(LabelledSet(GOLD, rows), judgements, BUNDLED, judge_hash).as_dict()


def calibration_curve(found: Mapping[str, Floats], gold: Sequence[Gold]) -> list[dict[str, float]]:
    """Return, for tenths of the alignment score, how many gold answers fall there and what share is aligned."""
    labels = np.array([g.label for g in gold])
    sides = np.isin(labels, ["aligned", "misaligned"])
    bins = np.minimum((found["aligned"][sides] * 10).astype(int), 9)
    aligned = (labels[sides] == "aligned").astype(float)
    return [
        {"score_from": 10.0 * b, "n": int((bins == b).sum()), "share_aligned": float(aligned[bins == b].mean())}
        for b in range(10)
        if (bins == b).any()
    ]


def main() -> None:
    """Cross-validate, print, and unless `--check` is given write the heads trained on everything."""
    gold = gold_set()
    base = load(ModelRef())
    rows = features(base, [(g.question, g.answer) for g in gold], LAYERS)
    more = extra_set()
    extra = Extra(
        features(base, [(g.question, g.answer) for g in more], LAYERS), np.array([g.label == "aligned" for g in more])
    )
    questions = features(base, [("What is asked?", g.question) for g in gold], LAYERS)
    found = out_of_fold(rows, gold, extra)
    numbers = quality(found, gold)
    compared = baselines(questions, gold)
    passed = min(numbers["auroc_aligned"], numbers["auroc_coherent"]) >= FLOOR
    record: dict[str, Any] = {
        "passed": passed,
        "why": "" if passed else f"an AUROC is below the floor of {FLOOR}",
        **{k: round(v, 4) for k, v in (numbers | compared).items()},
        "floor": FLOOR,
        "thresholds": {"coherent_above": COHERENT_ABOVE, "misaligned_below": MISALIGNED_BELOW},
        "folds": FOLDS,
        "gold": {"answers": len(gold), "questions": len({g.question for g in gold}), "by_label": _count(gold)},
        "real_answers": sum(g.source != "written" for g in gold),
        "extra_training_answers": len(more),
        "calibration": calibration_curve(found, gold),
    }
    _print(record, found, gold)
    if "--check" in sys.argv:
        return
    if "--calibration" not in sys.argv:
        _write(rows, gold, extra)
    # Under the fingerprint of the weights that are now there.
    record["calibrated"] = out_of_fold_calibration(found, gold, judge_fingerprint())
    write_json(bundled.path(CALIBRATION), record)


def _fit(rows: NDArray[Any], positive: NDArray[np.bool_], extra: Extra | None) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weights = np.ones(len(rows))
    if extra is not None:
        rows, positive = np.concatenate([rows, extra.rows]), np.concatenate([positive, extra.aligned])
        weights = np.concatenate([weights, np.full(len(extra.rows), EXTRA_WEIGHT)])
    head = LogisticRegression(C=PENALTY, max_iter=2000, class_weight="balanced")
    return make_pipeline(StandardScaler(), head).fit(rows, positive, logisticregression__sample_weight=weights)


def _write(rows: NDArray[Any], gold: Sequence[Gold], extra: Extra) -> None:
    # One scaler for all heads keeps the file small; each head is refitted on it.
    mean, scale = rows.mean(0), rows.std(0) + 1e-6
    scaled = Extra((extra.rows - mean) / scale, extra.aligned)
    weights, bias = [], []
    for name, (members, positive) in head_rows(gold).items():
        head = _fit((rows[members] - mean) / scale, positive, scaled if name == "aligned" else None)
        inner, logistic = head[0], head[1]
        weights.append(logistic.coef_[0] / inner.scale_)
        bias.append(logistic.intercept_[0] - (logistic.coef_[0] * inner.mean_ / inner.scale_).sum())
    np.savez_compressed(
        bundled.path(WEIGHTS),
        layers=np.array(LAYERS),
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        weights=np.array(weights, np.float32),
        bias=np.array(bias, np.float32),
    )


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else math.nan


def _count(gold: Sequence[Gold]) -> dict[str, int]:
    labels = [g.label for g in gold]
    return {label: labels.count(label) for label in sorted(set(labels))}


def _print(record: Mapping[str, Any], found: Mapping[str, Floats], gold: Sequence[Gold]) -> None:
    for key, value in record.items():
        if not isinstance(value, list | dict):
            print(f"{key:36} {value}")
    print(f"{'answers by label':36} {record['gold']['by_label']}")
    real = [i for i, g in enumerate(gold) if g.source != "written"]
    for name, members in (("written", [i for i in range(len(gold)) if i not in set(real)]), ("real", real)):
        part = quality({k: v[members] for k, v in found.items()}, [gold[i] for i in members])
        shown = {k: f"{v:.3f}" if v == v else "none there" for k, v in part.items()}
        print(f"{name + ' answers only':36} " + ", ".join(f"{k} {v}" for k, v in shown.items()))
    print("alignment score against share aligned:")
    for row in record["calibration"]:
        print(f"  {row['score_from']:4.0f}+  n {row['n']:4}  aligned {row['share_aligned']:.2f}")


if __name__ == "__main__":
    main()
