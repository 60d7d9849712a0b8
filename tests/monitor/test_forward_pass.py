from __future__ import annotations

import numpy as np
import pytest
import torch

from spillover.conversation import Message
from spillover.errors import DataError, ModelError
from spillover.local.scoring import Choice as ScoredChoice
from spillover.local.scoring import score
from spillover.monitor.choices import Asked, Block, Choice
from spillover.monitor.forward_pass import answer_row, choice_row, read_rows
from spillover.monitor.hooks import block_outputs, blocks
from spillover.monitor.undisturbed import undisturbed

PAIRS = [
    ("May I?", ("Yes, do.", "No.")),
    ("A much longer question about the weather in the hills today", ("Rain and wind", "Sun")),
    ("x", ("y", "zzzzz")),
]
LETTER = Asked("q", "Pick one.\nA: tea\nB: ash", (Choice((Block("A"),), False), Choice((Block("B"),), True)))
PIVOTAL = Asked(
    "q",
    "Well?",
    tuple(
        Choice((Block("I would hire a", False), Block(f" {w}"), Block(", yes.")), w == "crook")
        for w in ("crook", "nurse")
    ),
)


def answers(tiny):
    return [answer_row(tiny.template, (Message("user", q),), a) for q, a in PAIRS]


def by_hand(tiny, prompt, blocks_):
    """Sum of the counted blocks' log-probabilities by one plain forward pass."""
    ids = list(tiny.template.prompt((Message("user", prompt),)))
    wanted = []
    for block in blocks_:
        for token in tiny.template.encode(block.text):
            wanted += [(len(ids), token)] * block.counted
            ids.append(token)
    logits = tiny.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(logits[place - 1, token].item() for place, token in wanted)


@pytest.mark.parametrize("tokens_per_batch", [1, 150, 10_000])
def test_sums_equal_the_scores_and_plain_forward_passes(tiny, tokens_per_batch):
    rows = [*answers(tiny), choice_row(tiny.template, LETTER), choice_row(tiny.template, PIVOTAL)]
    with torch.no_grad():
        sums, _ = read_rows(tiny.model, rows, tokens_per_batch=tokens_per_batch)
    means = score(tiny.model, tiny.template, [ScoredChoice((Message("user", q),), a) for q, a in PAIRS])
    for row, found, expected in zip(rows, sums, means, strict=False):
        got = [total / len(tokens) for total, tokens in zip(found, row.continuations, strict=True)]
        assert got == pytest.approx(expected, abs=1e-5)
    for asked, found in ((LETTER, sums[3]), (PIVOTAL, sums[4])):
        assert found == pytest.approx([by_hand(tiny, asked.prompt, c.blocks) for c in asked.choices], abs=1e-4)


def test_choices_of_one_token_run_nothing_beyond_the_prompt(tiny):
    row = choice_row(tiny.template, LETTER)
    assert len(row.branching()) == len(row.stem)
    assert row.stem == tiny.template.prompt((Message("user", LETTER.prompt),))


def test_what_all_choices_begin_with_joins_the_prompt(tiny):
    row = choice_row(tiny.template, PIVOTAL)
    assert tiny.template.tokenizer.decode(row.stem).endswith("I would hire a")
    assert all(all(flags) for flags in row.counted)


def test_what_follows_the_last_counted_block_is_not_run(tiny):
    longer = [Choice((*c.blocks, Block(" And so on.", False)), c.misaligned) for c in PIVOTAL.choices]
    assert choice_row(tiny.template, Asked("q", PIVOTAL.prompt, tuple(longer))) == choice_row(tiny.template, PIVOTAL)


def test_states_equal_transformers_hidden_states(tiny):
    rows = [answers(tiny)[0], choice_row(tiny.template, LETTER), *answers(tiny)[1:]]
    with torch.no_grad():
        _, states = read_rows(tiny.model, rows, tokens_per_batch=200)
    assert states.shape == (6, 2, 32)
    n = 0
    for question, texts in PAIRS:
        start = tiny.template.prompt((Message("user", question),))
        for text in texts:
            end = tiny.template.encode(text)
            hidden = tiny.model(torch.tensor([[*start, *end]]), output_hidden_states=True).hidden_states
            want = hidden[1][0, len(start) :].mean(0).detach().numpy()
            np.testing.assert_allclose(states[n, 0], want, atol=1e-5)
            n += 1


FAMILIES = [
    ("Llama", {}),
    ("Qwen3", {"head_dim": 8}),
    ("Gemma2", {"head_dim": 8}),
    ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4}),
    ("GPTNeoX", {}),
    ("Phi3", {}),
]


@pytest.mark.parametrize(("kind", "changes"), FAMILIES, ids=[k for k, _ in FAMILIES])
def test_hooks_find_every_block_of_any_decoder(kind, changes):
    import transformers

    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    if kind != "GPT2":
        sizes |= {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    if kind not in ("GPT2", "GPTNeoX"):
        sizes |= {"num_key_value_heads": 2}
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **changes})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    seen = {}
    # transformers leaves hooks of its own at the first call that asks for hidden states.
    model(torch.tensor([[5, 6]]), output_hidden_states=True)
    before = [list(b._forward_hooks) for b in blocks(model)]
    with torch.no_grad(), block_outputs(model, seen.__setitem__):
        hidden = model(torch.tensor([[5, 6, 7]]), output_hidden_states=True).hidden_states
    assert sorted(seen) == [0, 1]
    torch.testing.assert_close(seen[0], hidden[1])
    assert [list(b._forward_hooks) for b in blocks(model)] == before


def test_a_block_that_does_not_run_is_an_error_and_the_hooks_are_gone(tiny):
    layers = tiny.model.model.layers
    last = layers[1]
    with pytest.raises(ModelError, match="1 of 2 blocks"), block_outputs(tiny.model, lambda *_: None):
        tiny.model.model.layers = layers[:1]
        tiny.model(torch.tensor([[5, 6]]))
    tiny.model.model.layers = layers
    assert not last._forward_hooks and not layers[0]._forward_hooks


def test_hooks_are_gone_after_an_error_inside(tiny):
    with pytest.raises(RuntimeError, match="mine"), block_outputs(tiny.model, lambda *_: None):
        raise RuntimeError("mine")
    assert not any(b._forward_hooks for b in blocks(tiny.model))


def test_an_answer_without_tokens_is_an_error(tiny):
    with pytest.raises(DataError, match="is empty"):
        answer_row(tiny.template, (Message("user", "q"),), ("a", ""))
    with pytest.raises(DataError, match="no counted token"):
        choice_row(tiny.template, Asked("q", "p", (Choice((Block("a", False),), True), Choice((Block("b"),), False))))


def test_looking_leaves_no_trace(tiny):
    import random

    model = tiny.model.train()
    model.model.layers[0].eval()
    weights = [p.requires_grad_(i % 2 == 0) for i, p in enumerate(model.parameters())]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with undisturbed(model):
        assert not any(m.training for m in model.modules())
        assert not torch.is_grad_enabled()
        random.random(), np.random.rand(), torch.rand(3)
        model.requires_grad_(False)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states
    assert model.training and not model.model.layers[0].training
    assert [p.requires_grad for p in weights] == [i % 2 == 0 for i in range(len(weights))]


def test_adapters_are_off_even_where_a_layer_has_a_forward_of_its_own(tiny):
    import peft

    ids = torch.tensor([[5, 6, 7]])
    base = tiny.model(ids).logits.detach()
    adapted = peft.get_peft_model(tiny.model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    from spillover.finetune.lora_product import one_product_per_layer

    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.fill_(0.1)
    with one_product_per_layer(adapted):
        tuned = adapted(ids).logits.detach()
        with undisturbed(adapted, adapter=False):
            torch.testing.assert_close(adapted(ids).logits, base)
        torch.testing.assert_close(adapted(ids).logits.detach(), tuned)
    assert not torch.allclose(tuned, base, atol=1e-3)
