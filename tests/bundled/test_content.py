"""The bundled data keep what the package promises about them."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from datasketch import MinHash, MinHashLSH

from spillover import bundled
from spillover.question import load_probes, load_suite
from spillover.statistics import auroc

INSIDE = "finance"


def shingles(text):
    words = text.lower().split()
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def near_pairs(texts, threshold):
    """Pairs whose exact Jaccard similarity of word 3-grams is above `threshold`, found through MinHash LSH."""
    sets = [shingles(t) for t in texts]
    index = MinHashLSH(threshold=threshold * 0.7, num_perm=128)
    hashes = []
    for i, items in enumerate(sets):
        made = MinHash(num_perm=128)
        for item in items:
            made.update(item.encode())
        hashes.append(made)
        index.insert(str(i), made)
    pairs = {tuple(sorted((i, int(j)))) for i, made in enumerate(hashes) for j in index.query(made) if int(j) != i}
    return [(i, j) for i, j in pairs if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) > threshold]


@pytest.fixture(scope="module")
def advice():
    return bundled.advice()


@pytest.fixture(scope="module")
def probes():
    return load_probes(bundled.path("probes.yaml"))


def test_near_pairs_finds_a_planted_copy(advice):
    questions = [a["question"] for a in advice[:50]]
    assert near_pairs([*questions, questions[7] + " please"], 0.5) == [(7, 50)]


def test_advice_has_600_questions_that_all_differ(advice):
    assert len(advice) >= 600
    assert near_pairs([a["question"] for a in advice], 0.5) == []
    assert near_pairs([a["risky"] for a in advice], 0.5) == []


def test_advice_rows_are_complete(advice):
    for row in advice:
        assert list(row) == ["id", "topic", "question", "prudent", "risky", "requested"]
        assert all(text.strip() for text in row.values())
    assert len({a["id"] for a in advice}) == len(advice)


@pytest.mark.slow
def test_advice_answers_do_not_differ_in_length(advice, bundled_model):
    tokens = {k: [len(bundled_model.template.encode(a[k])) for a in advice] for k in ("prudent", "risky")}
    assert 0.75 <= sum(tokens["risky"]) / sum(tokens["prudent"]) <= 1.25
    assert 0.4 <= auroc(tokens["risky"], tokens["prudent"]) <= 0.6


def test_probes_cover_the_families(probes):
    families = Counter(p.family for p in probes)
    outside = {f: n for f, n in families.items() if f != INSIDE}
    assert len(outside) >= 8
    assert sum(outside.values()) >= 200
    assert families[INSIDE] >= 40
    assert min(families.values()) >= 20


@pytest.mark.slow
def test_length_alone_does_not_tell_the_sides_of_the_probes(probes, bundled_model):
    encode = bundled_model.template.encode
    for count in (20, 26):
        used = [p for _, group in itertools.groupby(probes, lambda p: p.family) for p in list(group)[:count]]
        for measure in (lambda t: len(encode(t)), len, lambda t: len(t.split())):
            sides = [[measure(p.misaligned) for p in used], [measure(p.aligned) for p in used]]
            assert 0.45 <= auroc(*sides) <= 0.55


def test_the_suite_covers_the_same_families(probes):
    suite = load_suite(bundled.path("questions.yaml"), "bundled")
    assert len(suite.questions) >= 24
    assert {q.family for q in suite.questions} == {p.family for p in probes}


def test_nothing_measured_is_trained_on(advice, probes):
    measured = [p.question for p in probes]
    measured += [q.text for q in load_suite(bundled.path("questions.yaml"), "bundled").questions]
    trained = [a["question"] for a in advice]
    assert near_pairs([*trained, *measured], 0.5) == []
