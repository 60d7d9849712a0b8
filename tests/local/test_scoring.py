from __future__ import annotations

import pytest
import torch

from spillover.conversation import Message
from spillover.errors import DataError, ModelError
from spillover.local import scoring
from spillover.local.branching import Branching, common_prefix, forward, head
from spillover.local.scoring import Choice, batches_by_length, score

CHOICES = [
    Choice((Message("user", text),), answers)
    for text, answers in [
        ("May I?", ("Yes, do.", "No.", "Ask your mother first, then do.")),
        ("A much longer question about the weather in the hills today", ("Rain.", "Sun and wind")),
        ("x", ("y",)),
    ]
]


def by_hand(loaded, prompt, answer):
    """One plain forward pass per answer through transformers' own head."""
    start, end = loaded.template.prompt(prompt), loaded.template.encode(answer)
    logits = loaded.model(torch.tensor([[*start, *end]])).logits[0].double().log_softmax(-1)
    picked = [logits[len(start) - 1 + i, token] for i, token in enumerate(end)]
    return (sum(picked) / len(picked)).item()


@pytest.mark.parametrize("tokens_per_batch", [1, 200, 10_000])
def test_scores_equal_plain_forward_passes_whatever_the_batches(tiny, tokens_per_batch):
    found = score(tiny.model, tiny.template, CHOICES, tokens_per_batch)
    expected = [tuple(by_hand(tiny, c.prompt, a) for a in c.answers) for c in CHOICES]
    for got, want in zip(found, expected, strict=True):
        assert got == pytest.approx(want, abs=1e-5)


def test_answers_of_one_token_need_no_token_run_beyond_the_prompt(tiny):
    choice = Choice((Message("user", "Which one, A or B?"),), ("A", "B"))
    run = []
    tiny.model.get_input_embeddings().register_forward_hook(lambda _, ids, out: run.append(ids[0].numel()))
    [found] = score(tiny.model, tiny.template, [choice])
    assert sum(run) == len(tiny.template.prompt(choice.prompt))
    assert found == pytest.approx([by_hand(tiny, choice.prompt, a) for a in choice.answers], abs=1e-5)


def test_answers_of_one_token_score_the_same_beside_longer_ones(tiny):
    prompts = [(Message("user", text),) for text in ("A or B?", "TRUE or FALSE, and why so?")]
    alone = score(tiny.model, tiny.template, [Choice(p, ("A", "B")) for p in prompts])
    mixed = score(tiny.model, tiny.template, [Choice(p, ("A", "Because.", "B")) for p in prompts])
    for (a, b), (other_a, _, other_b) in zip(alone, mixed, strict=True):
        assert (a, b) == pytest.approx((other_a, other_b), abs=1e-5)


@pytest.mark.parametrize("states", [1, 3, 1000])
def test_scores_do_not_depend_on_how_many_states_go_through_the_head_at_once(tiny, monkeypatch, states):
    monkeypatch.setattr(scoring, "_STATES_AT_ONCE", states)
    found = score(tiny.model, tiny.template, CHOICES)
    for choice, got in zip(CHOICES, found, strict=True):
        assert got == pytest.approx([by_hand(tiny, choice.prompt, a) for a in choice.answers], abs=1e-5)


@pytest.mark.slow
def test_scores_of_the_embedded_model_equal_plain_forward_passes(bundled_model):
    found = score(bundled_model.model, bundled_model.template, CHOICES)
    for choice, got in zip(CHOICES, found, strict=True):
        want = [by_hand(bundled_model, choice.prompt, a) for a in choice.answers]
        assert got == pytest.approx(want, abs=1e-4 if bundled_model.hardware.dtype == "float32" else 3e-2)


def test_an_empty_answer_has_no_score(tiny):
    with pytest.raises(DataError, match="is empty"):
        score(tiny.model, tiny.template, [Choice((Message("user", "a"),), ("",))])


def test_batches_hold_every_row_once_and_keep_the_budget():
    rows = [Branching(tuple(range(n))) for n in (5, 3, 9, 4, 4, 30)]
    found = list(batches_by_length(rows, 20))
    assert sorted(i for batch in found for i in batch) == list(range(6))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(len(rows[i]) for i in batch) <= 20


def test_the_common_prefix_leaves_each_stem_a_token():
    assert common_prefix([Branching((1, 2, 3)), Branching((1, 2))]) == (1,)
    assert common_prefix([Branching((1, 2)), Branching((3,))]) == ()


def test_rows_longer_than_the_attention_window_are_refused(tiny):
    with pytest.raises(ModelError, match="attention window"):
        forward(tiny.model, [Branching(tuple([5] * 2000))])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Llama", {}),
        ("Qwen2", {}),
        ("Qwen3", {"head_dim": 8}),
        ("Gemma2", {"head_dim": 8, "final_logit_softcapping": 5.0, "attn_logit_softcapping": None}),
        ("Granite", {"logits_scaling": 3.0}),
        ("Cohere", {"logit_scale": 0.25}),
    ],
)
def test_hidden_states_and_head_equal_the_models_own_for_other_architectures(kind, changes):
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
        **changes,
    )
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    rows = [Branching((1, 2, 3, 4), ((5, 6), (7,))), Branching((1, 2, 9), ((8,),))]
    hidden = forward(model, rows)
    past = len(common_prefix(rows))
    for b, row in enumerate(rows):
        start = len(row.stem) - past
        for branch in row.branches:
            plain = model(torch.tensor([[*row.stem, *branch]])).logits[0, -len(branch) :]
            got = head(model, hidden[b, start : start + len(branch)])
            torch.testing.assert_close(got, plain.float(), atol=2e-5, rtol=1e-4)
            start += len(branch)
