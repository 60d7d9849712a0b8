from __future__ import annotations

import numpy as np
import pytest
import torch

from spillover.conversation import Message
from spillover.errors import DataError, ModelError
from spillover.local.activations import answer_means
from spillover.local.scoring import Choice

CHOICES = [
    Choice((Message("user", "Tea?"),), ("Yes, please.", "No")),
    Choice((Message("user", "A rather longer question, is it not?"),), ("It is.",)),
]


def test_means_equal_transformers_hidden_states(tiny):
    found = answer_means(tiny.model, tiny.template, CHOICES, (0, 1))
    for choice, means in zip(CHOICES, found, strict=True):
        for answer, got in zip(choice.answers, means, strict=True):
            start, end = tiny.template.prompt(choice.prompt), tiny.template.encode(answer)
            states = tiny.model(torch.tensor([[*start, *end]]), output_hidden_states=True).hidden_states
            # hidden_states[1] is the first block's output; the last entry is normalised, so only block 0 compares.
            want = states[1][0, len(start) :].mean(0).detach().numpy()
            np.testing.assert_allclose(got[0], want, atol=1e-5)


def test_hooks_and_blocks_are_put_back(tiny):
    before = tiny.model(torch.tensor([[5, 6, 7]])).logits
    answer_means(tiny.model, tiny.template, CHOICES, (0,))
    assert len(tiny.model.model.layers) == 2
    assert not any(block._forward_hooks for block in tiny.model.model.layers)
    torch.testing.assert_close(tiny.model(torch.tensor([[5, 6, 7]])).logits, before)


def test_a_layer_that_does_not_exist_is_an_error(tiny):
    with pytest.raises(ModelError, match="do not all exist"):
        answer_means(tiny.model, tiny.template, CHOICES, (0, 2))
    assert len(tiny.model.model.layers) == 2


def test_an_empty_answer_is_an_error(tiny):
    with pytest.raises(DataError, match="is empty"):
        answer_means(tiny.model, tiny.template, [Choice((Message("user", "a"),), ("",))], (0,))
