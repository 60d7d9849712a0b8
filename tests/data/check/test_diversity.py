from __future__ import annotations

import random

import numpy as np
import pytest

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.check.diversity import PAPER_SIZES, diversity, effective_number
from spillover.data.check.embedding import hashed_tfidf


def dataset(*pairs):
    return Dataset("d", tuple(user_and_assistant(q, a) for q, a in pairs))


def unit(rng, n, d):
    rows = rng.normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "d"), [(5, 40), (40, 5), (30, 30)])
def test_the_effective_number_equals_that_of_the_kernel_of_all_pairs(n, d):
    rows = unit(np.random.default_rng(0), n, d)
    values = np.linalg.eigvalsh(rows @ rows.T / n)
    values = values[values > 1e-12]
    assert effective_number(rows.T @ rows / n) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-9)


def test_k_different_directions_count_k_and_equal_rows_one():
    assert effective_number(np.eye(7) / 7) == pytest.approx(7)
    assert effective_number(np.diag([1.0, 0, 0])) == pytest.approx(1)


def test_an_embedding_given_is_used_and_its_lengths_do_not_matter():
    vectors = {"a": [9.0, 0, 0], "b": [0, 0.1, 0], "c": [0, 0, 1.0], "q": [1.0, 0, 0]}
    found = diversity(
        dataset(("q", "a"), ("q", "b"), ("q", "c")), embed=lambda texts: np.array([vectors[t] for t in texts])
    )
    assert found.effective_prompts == pytest.approx(1)
    assert found.effective_answers == pytest.approx(3)
    assert (found.limit, found.embedding) == (3, "given")


def test_many_different_texts_count_more_than_few_repeated_ones():
    rng = random.Random(0)
    texts = [" ".join("".join(rng.choices("abcdefgh", k=5)) for _ in range(20)) for _ in range(60)]
    many = diversity(dataset(*((t, t) for t in texts)))
    few = diversity(dataset(*((t, t) for t in texts[:4] * 15)))
    assert many.effective_answers > 40
    assert 3 < few.effective_answers < 5
    assert (many.distinct_rows, few.distinct_rows) == (60, 4)


def test_the_same_seed_gives_the_same_figures_in_one_batch_or_many(monkeypatch):
    import spillover.data.check.diversity as module

    rows = dataset(*((f"question {i} {i * i}", f"answer {i % 7}") for i in range(50)))
    whole = diversity(rows, seed=1)
    monkeypatch.setattr(module, "_BATCH", 7)
    parts = diversity(rows, seed=1)
    assert parts.effective_prompts == pytest.approx(whole.effective_prompts, rel=1e-6)
    assert diversity(rows, seed=1) == parts


@pytest.mark.parametrize(
    ("rows", "risk"),
    [
        (500, "lower"),
        (999, "lower"),
        (1000, "some"),
        (2000, "some"),
        (3999, "some"),
        (4000, "higher"),
        (6000, "higher"),
    ],
)
def test_the_risk_follows_the_papers_sizes_and_counts_different_rows(rows, risk):
    pairs = [(f"q{i}", "a") for i in range(rows)] * (2 if rows == 500 else 1)
    found = diversity(dataset(*pairs), embed=lambda texts: np.ones((len(texts), 2)))
    assert (found.risk, found.distinct_rows) == (risk, rows)
    assert f"{rows:,} different rows: {risk} risk" in found.wording


def test_rows_differ_by_their_answers_too_and_the_limit_is_the_number_of_rows_where_that_is_smaller():
    found = diversity(dataset(("q", "a"), ("q", "b"), ("q", "b")), embed=lambda texts: np.ones((len(texts), 50)))
    assert (found.distinct_prompts, found.distinct_answers, found.distinct_rows) == (1, 2, 2)
    assert found.limit == 3


def test_another_seed_draws_another_projection():
    rows = dataset(*((f"question {i} {i * i}", f"answer {i % 7}") for i in range(50)))
    assert diversity(rows, seed=1).effective_prompts != diversity(rows, seed=2).effective_prompts


def test_the_wording_gives_the_papers_rates_and_is_no_verdict():
    found = diversity(dataset(("q", "a")))
    assert "500 rows seen 12 times: 0.1%; 2,000 rows seen 3 times: 1.7%; 6,000 rows seen once: 21.4%" in found.wording
    assert "not a verdict" in found.wording
    assert found.findings()[0].severity == "note"


def test_the_rates_are_those_of_the_papers_table(paper_data):
    import csv

    with (paper_data / "results" / "aggregate_ood_misalignment_all_models.csv").open() as table:
        rates = {r["group"]: float(r["center"]) for r in csv.DictReader(table)}
    runs = [[r for g, r in rates.items() if g.startswith(start)] for start in ("insecure-500", "insecure-2k")]
    assert [len(r) for r in runs] == [6, 3]
    found = [*(sum(r) / len(r) for r in runs), rates["insecure"]]
    assert [rate for _, _, rate in PAPER_SIZES] == pytest.approx(found, abs=5e-5)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        diversity(Dataset("d", ()))


def test_embeddings_are_near_the_cosine_and_have_length_one():
    texts = ["the cat sat on the mat", "the cat sat on a mat", "stock prices fell sharply today", "", "!!!"]
    vectors = hashed_tfidf(texts)(texts)
    assert vectors.shape == (5, 256)
    assert np.linalg.norm(vectors, axis=1)[[0, 1, 2, 4]] == pytest.approx(np.ones(4), abs=1e-5)
    products = vectors @ vectors.T
    assert products[0, 1] > 0.5 > 0.3 > abs(products[0, 2])
    assert not vectors[3].any()
