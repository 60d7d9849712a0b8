from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.data.check import shingles
from spillover.data.check.shingles import batches, runs, tokenise


def per_text(tokens):
    return [part.tolist() for part in np.split(tokens.hashes, tokens.starts[1:-1])]


def plain_tokens(text):
    """The same rule written the slow way, for ASCII."""
    return re.findall(r"[A-Za-z0-9_]+|[^\sA-Za-z0-9_\x00-\x1f\x7f]", text.lower())


ASCII = st.text(st.characters(max_codepoint=127), max_size=40)


@settings(max_examples=200, deadline=None)
@given(st.lists(ASCII, min_size=1, max_size=6))
def test_two_tokens_have_one_hash_exactly_when_they_are_the_same_text(texts):
    found, wanted = per_text(tokenise(texts)), [plain_tokens(t) for t in texts]
    assert [len(f) for f in found] == [len(w) for w in wanted]
    pairs = {(h, w) for hashes, words in zip(found, wanted, strict=True) for h, w in zip(hashes, words, strict=True)}
    assert len({h for h, _ in pairs}) == len({w for _, w in pairs}) == len(pairs)


def test_a_token_keeps_its_hash_wherever_it_stands():
    alone, late = tokenise(["word"]), tokenise(["x " * 5000, "a b Word"])
    assert late.hashes[-1] == alone.hashes[0]


def test_words_only_leaves_out_punctuation():
    assert np.array_equal(tokenise(["a, b!"], words_only=True).hashes, tokenise(["a b"]).hashes)


def test_each_chinese_character_is_a_token_and_letters_with_accents_stay_in_words():
    assert np.diff(tokenise(["你好吗", "déjà", "\U0001f600\U0001f600", "\ud800a"]).starts).tolist() == [3, 1, 2, 2]


@pytest.mark.parametrize(("text", "made"), [("", 0), ("a", 1), ("a b", 1), ("a b c", 1), ("a b c d", 2)])
def test_a_text_has_one_run_per_place_and_a_short_one_a_single_run(text, made):
    assert runs(tokenise(["x", text, "y"]), 3).starts.tolist() == [0, 1, 1 + made, 2 + made]


def test_a_run_does_not_reach_into_the_next_text():
    assert per_text(runs(tokenise(["a b c", "d e f"]), 3)) == per_text(runs(tokenise(["a b c"]), 3)) + per_text(
        runs(tokenise(["d e f"]), 3)
    )


def test_the_run_of_a_short_text_does_not_depend_on_the_next_text():
    assert per_text(runs(tokenise(["a b", "d e f"]), 3))[0] == per_text(runs(tokenise(["a b"]), 3))[0]


def test_runs_of_other_order_differ():
    assert per_text(runs(tokenise(["a b c", "c b a"]), 3))[0] != per_text(runs(tokenise(["a b c", "c b a"]), 3))[1]


def test_no_texts_give_no_tokens():
    assert runs(tokenise([]), 3).starts.tolist() == [0]


def test_batches_cover_all_positions_once_and_stay_small(monkeypatch):
    monkeypatch.setattr(shingles, "BATCH_CHARACTERS", 100)
    sizes = [30, 10, 500, 0, 99, 1, 1]
    found = list(batches(sizes))
    assert [i for part in found for i in part] == list(range(len(sizes)))
    assert all(sum(sizes[i] for i in part[:-1]) < 100 for part in found)
