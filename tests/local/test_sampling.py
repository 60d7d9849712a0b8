from __future__ import annotations

import collections

import pytest
import torch
from scipy import stats

from spillover.conversation import Message
from spillover.local.sampling import Ask, Sampling, sample

PROMPTS = [(Message("user", t),) for t in ("Hello", "What is the longest river of them all?", "?")]


def test_greedy_answers_equal_transformers_generate(tiny):
    how = Sampling(max_tokens=20, temperature=0)
    found = sample(tiny.model, tiny.template, [Ask(p, (0,)) for p in PROMPTS], how)
    for prompt, (one,) in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([tiny.template.prompt(prompt)])
        out = tiny.model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
        assert one.text == tiny.template.tokenizer.decode(out, skip_special_tokens=True)


def test_a_row_is_the_same_alone_and_in_a_batch(tiny):
    asks = [Ask(p, (11, 12, 13)) for p in PROMPTS]
    together = sample(tiny.model, tiny.template, asks, Sampling(max_tokens=24))
    alone = sample(tiny.model, tiny.template, [Ask(PROMPTS[1], (12,))], Sampling(max_tokens=24))
    assert alone[0][0] == together[1][1]


def test_equal_seeds_give_equal_answers_and_others_do_not(tiny):
    first, again, other = sample(tiny.model, tiny.template, [Ask(PROMPTS[0], (1, 1, 2))], Sampling(max_tokens=24))[0]
    assert first == again
    assert first.text != other.text


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.7)])
def test_first_tokens_follow_the_models_distribution(tiny, temperature, top_p):
    ids = torch.tensor([tiny.template.prompt(PROMPTS[0])])
    wanted = torch.softmax(tiny.model(ids).logits[0, -1].double() / temperature, -1)
    if top_p < 1:
        ordered, order = wanted.sort(descending=True)
        keep = order[: int((ordered.cumsum(0) < top_p).sum()) + 1]
        wanted = torch.zeros_like(wanted).index_copy(0, keep, wanted[keep])
        wanted = wanted / wanted.sum()
    draws = 4000
    how = Sampling(max_tokens=1, temperature=temperature, top_p=top_p)
    found = sample(tiny.model, tiny.template, [Ask(PROMPTS[0], tuple(range(draws)))], how)[0]
    # The text of one byte-level token names it, but for partial UTF-8; those and the end mark are pooled.
    names = [tiny.template.tokenizer.decode([i], skip_special_tokens=True) for i in range(len(wanted))]
    seen = collections.Counter(one.text for one in found)
    expected = collections.Counter()
    for name, p in zip(names, wanted.tolist(), strict=True):
        expected[name] += p * draws
    big = [n for n, e in expected.items() if e >= 5]
    rest = draws - sum(expected[n] for n in big)
    observed = [seen[n] for n in big] + [draws - sum(seen[n] for n in big)]
    hoped = [expected[n] for n in big] + [rest]
    if rest < 1e-9:
        assert observed.pop() == 0
        hoped.pop()
    total = sum(hoped)
    assert stats.chisquare(observed, [h * sum(observed) / total for h in hoped]).pvalue > 1e-4


def test_answers_that_end_early_are_marked_and_hold_no_end_token(tiny):
    found = sample(tiny.model, tiny.template, [Ask(PROMPTS[0], tuple(range(300)))], Sampling(max_tokens=40))[0]
    ended = [one for one in found if one.ended]
    assert ended, "with 300 rows some must end before 40 tokens"
    assert all(one.tokens < 40 for one in ended)
    assert all(one.tokens == 40 for one in found if not one.ended)
    assert not any("</s>" in one.text for one in found)


def test_progress_counts_the_rows_still_going(tiny):
    counted = []
    found = sample(tiny.model, tiny.template, [Ask(PROMPTS[0], (1, 2))], Sampling(max_tokens=6), counted.append)[0]
    assert sum(counted) == sum(one.tokens for one in found)
