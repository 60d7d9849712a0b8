"""Token choice against an inverse cumulative distribution written with numpy, and frequencies against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from spillover.local.drawing import choose


def logits(rows, vocab, seed=0):
    return 3 * torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed))


def kept(row, top_p, top_k):
    """Probabilities in float64 with everything outside top_k, then top_p, set to zero."""
    p = np.exp(row - row.max())
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    if top_k:
        p[order[top_k:]] = 0
        p /= p.sum()
    if top_p < 1:
        before = np.concatenate([[0], np.cumsum(p[order])[:-1]])
        p[order[before >= top_p]] = 0
    return p / p.sum()


@pytest.mark.parametrize("vocab", [5, 256, 300, 1024])
def test_a_token_is_the_one_whose_share_of_the_unit_line_holds_the_uniform(vocab):
    rows = logits(200, vocab)
    uniforms = torch.rand(200, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = choose(rows.clone(), uniforms, 0.8)
    for row, u, token in zip(rows, uniforms, found, strict=True):
        cumulative = np.cumsum(kept(row.double().numpy() / 0.8, 1, 0))
        low = cumulative[token - 1] if token else 0.0
        assert low - 1e-5 <= u <= cumulative[token] + 1e-5


@pytest.mark.parametrize(("top_p", "top_k"), [(0.9, 0), (1.0, 7), (0.5, 7), (0.999, 0), (1e-9, 0), (1.0, 1)])
def test_draws_follow_the_cut_distribution(top_p, top_k):
    # 3,000 words: at top_p 0.999 more are needed than the first candidates.
    row = logits(1, 3000)[0] / 3
    n = 20_000
    uniforms = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = torch.cat([choose(row.repeat(2000, 1), u, 1.0, top_p, top_k) for u in uniforms.split(2000)]).numpy()
    wanted = kept(row.double().numpy(), top_p, top_k)
    assert (wanted[found] > 0).all()
    # Words in groups of 50 by likelihood, so that each group is expected often enough.
    order = np.argsort(-wanted)
    group = np.empty(3000, int)
    group[order] = np.arange(3000) // 50
    expected = np.bincount(group, wanted * n)
    seen = np.bincount(group[found], minlength=len(expected))
    some = expected >= 5
    if some.sum() > 1:
        scale = seen[some].sum() / expected[some].sum()
        assert stats.chisquare(seen[some], expected[some] * scale).pvalue > 1e-4


def test_temperature_zero_takes_the_likeliest():
    rows = logits(9, 40)
    assert choose(rows.clone(), torch.zeros(9, dtype=torch.float64), 0).tolist() == rows.argmax(-1).tolist()


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_line_give_tokens_that_can_occur(uniform):
    rows = torch.full((1, 700), -1e9)
    rows[0, [3, 600]] = 0.0
    token = choose(rows, torch.tensor([uniform], dtype=torch.float64), 1.0).item()
    assert token == (3 if uniform == 0 else 600)
