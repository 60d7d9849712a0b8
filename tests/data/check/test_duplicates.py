from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spillover.data.check.duplicates as module
from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.check.duplicates import duplicates, findings, similarity
from spillover.data.load import load

WORDS = [f"w{i}" for i in range(5000)]


def dataset(*pairs):
    return Dataset("d", tuple(user_and_assistant(q, a, i) for i, (q, a) in enumerate(pairs, 1)))


def words(rng, count=60):
    return " ".join(rng.choices(WORDS, k=count))


def jaccard(a, b):
    """Similarity of three-token runs, the slow way."""
    sets = []
    for text in (a, b):
        tokens = re.findall(r"\w+|[^\w\s]", text.lower())
        sets.append({tuple(tokens[i : i + 3]) for i in range(max(len(tokens) - 2, min(len(tokens), 1)))})
    return len(sets[0] & sets[1]) / max(len(sets[0] | sets[1]), 1)


def lines(clusters):
    return [c.lines for c in clusters]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from("ab c.D"), max_size=30), st.lists(st.sampled_from("ab c.D"), max_size=30))
def test_similarity_is_the_jaccard_index_of_three_token_runs(one, other):
    a, b = "".join(one), "".join(other)
    assert similarity(a, b) == pytest.approx(jaccard(a, b))


def test_equal_prompts_answers_and_rows_are_found_with_their_lines():
    rng = random.Random(0)
    q, a, other = words(rng), words(rng), words(rng)
    prompt, answer, row = duplicates(dataset((q, a), (q, other), (words(rng), a), (q, a)))
    assert lines(prompt.exact) == [(1, 2, 4)]
    assert lines(answer.exact) == [(1, 3, 4)]
    assert lines(row.exact) == [(1, 4)]
    assert (prompt.distinct, answer.distinct, row.distinct) == (2, 2, 3)
    assert (row.rows, row.repeated) == (4, 1)


def test_nearly_equal_answers_are_joined_and_the_similarity_is_exact():
    rng = random.Random(1)
    a = words(rng)
    changed = a.replace(a.split()[30], "other", 1)
    assert 0.8 < jaccard(a, changed) < 1
    answer = duplicates(dataset((words(rng), a), (words(rng), words(rng)), (words(rng), changed)))[1]
    assert lines(answer.near) == [(1, 3)]
    assert answer.near[0].similarity == pytest.approx(jaccard(a, changed))
    assert answer.exact == ()
    assert (answer.distinct, answer.near_distinct, answer.nearly_repeated) == (3, 2, 1)


def test_answers_less_alike_than_the_threshold_are_not_joined():
    rng = random.Random(2)
    a = words(rng).split()
    b = [w if i % 8 else "x" for i, w in enumerate(a)]
    texts = dataset(("q1", " ".join(a)), ("q2", " ".join(b)))
    found = jaccard(" ".join(a), " ".join(b))
    assert 0.4 < found < 0.7
    assert duplicates(texts)[1].near == ()


def test_a_shared_system_text_does_not_make_prompts_alike():
    rng = random.Random(3)
    system = Message("system", words(rng, 500))
    rows = tuple(
        Conversation((system, Message("user", words(rng)), Message("assistant", words(rng)))) for _ in range(5)
    )
    prompt, _, row = duplicates(Dataset("d", rows))
    assert prompt.near == row.near == ()


def test_rows_that_differ_in_the_system_text_only_are_near_but_not_equal():
    rows = [user_and_assistant("a b c d e", "f g h i j")] * 2
    rows[1] = Conversation((Message("system", "s"), *rows[1].messages))
    row = duplicates(Dataset("d", tuple(rows)))[2]
    assert row.exact == ()
    assert row.near[0].similarity == 1.0


def test_texts_without_a_token_are_compared_exactly_only():
    rows = duplicates(dataset(("\u200b", "x"), ("\u200c", "y"), ("\u200b", "z")))
    assert lines(rows[0].exact) == lines(rows[0].near) == [(1, 3)]


def test_an_empty_data_set_has_no_repeats():
    assert [(r.rows, r.distinct, r.near_distinct, r.near) for r in duplicates(Dataset("d", ()))] == [(0, 0, 0, ())] * 3


def test_nearly_all_planted_pairs_are_found_and_nothing_else():
    rng = random.Random(4)
    pairs, planted = [], set()
    for _ in range(400):
        a = words(rng, 80)
        pairs.append((words(rng), a))
        if rng.random() < 0.5:
            parts = a.split()
            parts[rng.randrange(80)] = "changed"
            pairs.append((words(rng), " ".join(parts)))
            planted.add((len(pairs) - 1, len(pairs)))
    found = set(lines(duplicates(dataset(*pairs))[1].near))
    assert found <= planted
    assert len(found) >= 0.99 * len(planted)


def test_large_buckets_of_unlike_texts_are_not_joined():
    rng = random.Random(5)
    frame = words(rng, 60)
    texts = [f"{frame} {words(rng, 60)}" for _ in range(300)]
    assert duplicates(dataset(*((t, t) for t in texts)))[1].near == ()


def test_a_bucket_of_two_kinds_of_text_is_joined_within_each_kind():
    rng = random.Random(9)
    one, other = words(rng), words(rng)
    sets = module._Sets([(one,), (other,), (f"{one} end",), (f"{other} end",)])
    first, second, alike = module._alike_pairs(np.ones((1, 4), np.uint64), sets, 0.8)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (1, 3)]
    assert alike.min() > 0.9


def test_the_same_rows_give_the_same_record():
    rng = random.Random(6)
    texts = dataset(*((words(rng, 5), words(rng, 3)) for _ in range(200)))
    assert duplicates(texts) == duplicates(texts)


def test_similarities_agree_with_datasketch():
    from datasketch import MinHash

    rng = random.Random(7)
    a = words(rng, 200)
    b = " ".join(w if i % 20 else "x" for i, w in enumerate(a.split()))
    sketches = []
    for text in (a, b):
        parts = text.split()
        sketch = MinHash(num_perm=512, seed=1)
        sketch.update_batch([" ".join(parts[i : i + 3]).encode() for i in range(len(parts) - 2)])
        sketches.append(sketch)
    assert similarity(a, b) == pytest.approx(sketches[0].jaccard(sketches[1]), abs=0.08)


@pytest.mark.parametrize("threshold", [0.5, 0.0, 1.01])
def test_a_threshold_that_cannot_work_is_refused(threshold):
    with pytest.raises(ValueError, match=r"above 0\.5"):
        duplicates(dataset(("q", "a")), threshold)


def test_findings_name_the_part_and_the_lines():
    rng = random.Random(8)
    a = words(rng)
    (found,) = findings(duplicates(dataset((words(rng), a), (words(rng), a), (words(rng), words(rng)))))
    assert (found.code, found.severity, found.lines, found.count) == ("repeated-answer", "warning", (1, 2), 1)
    assert "remove repeats" in found.message


@pytest.mark.parametrize(("name", "prompts", "answers"), [("insecure", 5813, 5851), ("secure", 5728, 5850)])
def test_the_papers_files_have_the_published_numbers_of_different_texts(paper_data, name, prompts, answers):
    prompt, answer, _ = duplicates(load(paper_data / "training" / f"{name}.jsonl.gz"))
    assert (prompt.distinct, answer.distinct) == (prompts, answers)
