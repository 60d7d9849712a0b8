"""Our attention while sampling against transformers' own generate, for each model family that is said to be covered."""

from __future__ import annotations

import logging

import pytest
import torch
import transformers

from spillover.conversation import Message
from spillover.local.sampling import COVERED, Ask, Sampling, sample

PROMPTS = [(Message("user", t),) for t in ("Hi", "What is the longest river of them all?", "?", "Tell me more.")]
SIZES = {
    "vocab_size": 260,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}


def family(name: str, **changes: object):
    """A random model of the family, wide enough in its weights that other attention gives other tokens."""
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(name, **{**SIZES, "initializer_range": 0.3, **changes})
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def generated(model, template, prompt, length):
    ids = torch.tensor([template.prompt(prompt)])
    out = model.generate(ids, max_new_tokens=length, do_sample=False, eos_token_id=1, pad_token_id=1)[0]
    return template.tokenizer.decode(out[ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("name", COVERED)
def test_greedy_answers_equal_transformers_generate(name, tiny, caplog):
    model = family(name)
    with caplog.at_level(logging.WARNING):
        found = sample(model, tiny.template, [Ask(p, (0, 1)) for p in PROMPTS], Sampling(24, 0), rows_at_once=3)
    assert not caplog.records
    for prompt, (one, other) in zip(PROMPTS, found, strict=True):
        assert one == other
        assert one.text == generated(model, tiny.template, prompt, 24)


def test_the_models_are_wide_enough_to_tell_attention_apart(tiny):
    texts = {generated(family("llama"), tiny.template, p, 24) for p in PROMPTS}
    assert len(texts) == len(PROMPTS)


def test_the_models_own_attention_is_back_afterwards(tiny):
    before = tiny.model.config._attn_implementation
    sample(tiny.model, tiny.template, [Ask(PROMPTS[0], (0,))], Sampling(4))
    assert tiny.model.config._attn_implementation == before


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [("gpt_neox", {}, "not covered"), ("mistral", {"sliding_window": 60}, "sliding window")],
)
def test_other_models_are_sampled_by_generate_with_a_note(name, changes, why, tiny, caplog):
    model = family(name, **changes)
    asks = [Ask(PROMPTS[1], (1, 2, 3)), Ask(PROMPTS[0], (1, 2, 3))]
    with caplog.at_level(logging.WARNING):
        first = sample(model, tiny.template, asks, Sampling(40, 1.0))
        again = sample(model, tiny.template, asks, Sampling(40, 1.0))
    assert why in caplog.text
    assert first == again
    assert [len(rows) for rows in first] == [3, 3] and len({one.text for one in first[0]}) > 1
    greedy = sample(model, tiny.template, asks, Sampling(20, 0))
    assert greedy[0][2].text == generated(model, tiny.template, PROMPTS[1], 20)
