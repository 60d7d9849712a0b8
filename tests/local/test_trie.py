from __future__ import annotations

import math

import pytest
import torch

from spillover.conversation import Message
from spillover.errors import DataError, ModelError
from spillover.local.trie import Trie, score_trie, trie_of

PROMPTS = [(Message("user", text),) for text in ("How many?", "A longer question about how many there are", "n")]


@pytest.fixture
def lively(tiny):
    """The tiny model with attention strong enough that a token not seen shows."""
    with torch.no_grad():
        for name, weight in tiny.model.named_parameters():
            if "proj" in name:
                weight.mul_(5)
    return tiny


def by_hand(loaded, prompt, sequence, continuing):
    """One plain forward pass: the way to the sequence's end, and that none of `continuing` follows."""
    logits = loaded.model(torch.tensor([[*prompt, *sequence]])).logits[0].double().log_softmax(-1)
    way = sum(logits[len(prompt) - 1 + i, token] for i, token in enumerate(sequence))
    return way.item(), math.log(1 - logits[-1, list(continuing)].exp().sum().item())


@pytest.mark.parametrize("tokens_per_batch", [1, 10_000])
def test_every_number_has_the_probability_of_a_plain_forward_pass(lively, tokens_per_batch):
    sequences = [lively.template.encode(str(n)) for n in range(101)]
    digits = [lively.template.encode(d)[0] for d in "0123456789"]
    prompts = [lively.template.prompt(p) for p in PROMPTS]
    found = score_trie(lively.model, prompts, trie_of(sequences), digits, tokens_per_batch=tokens_per_batch)
    for prompt, score in zip(prompts, found, strict=True):
        expected = [by_hand(lively, prompt, s, digits) for s in sequences]
        assert score.reached == pytest.approx([way for way, _ in expected], abs=1e-5)
        assert score.stops == pytest.approx([stop for _, stop in expected], abs=1e-5)


def test_a_tree_of_uneven_depth_with_an_end_inside_another_sequence(lively):
    sequences, prompt = [(70, 71, 72), (70,), (80,), (70, 71, 73, 74)], lively.template.prompt(PROMPTS[0])
    found = score_trie(lively.model, [prompt], trie_of(sequences), (71, 80), first=((70, 80), ()))[0]
    expected = [by_hand(lively, prompt, s, (71, 80)) for s in sequences]
    assert found.reached == pytest.approx([way for way, _ in expected], abs=1e-5)
    assert found.stops == pytest.approx([stop for _, stop in expected], abs=1e-5)
    either = sum(math.exp(by_hand(lively, prompt, (token,), ())[0]) for token in (70, 80))
    assert found.first == pytest.approx((either, 0.0), abs=1e-6)


def test_each_shared_beginning_is_one_node():
    assert trie_of([(1,), (1, 2), (3,), (1, 2, 4)]) == Trie((1, 2, 3, 4), (-1, 0, -1, 1), (0, 1, 2, 3))
    assert len(trie_of([tuple(str(n)) for n in range(101)]).tokens) == 101
    assert trie_of([(1, 2), (1, 3)]).depths == (0, 1, 1)


@pytest.mark.parametrize("sequences", [[(1,), ()], [(1, 2), (3,), (1, 2)]])
def test_sequences_that_cannot_be_told_apart_are_refused(sequences):
    with pytest.raises(DataError, match="needs tokens of its own"):
        trie_of(sequences)


def test_a_prompt_that_leaves_no_room_for_the_tree_is_refused(tiny):
    assert score_trie(tiny.model, [(5,) * 1022], trie_of([(7, 8)]), (7,))
    with pytest.raises(ModelError, match="attention window"):
        score_trie(tiny.model, [(5,) * 1023], trie_of([(7, 8)]), (7,))
