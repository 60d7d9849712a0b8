from __future__ import annotations

import peft
import pytest
import torch

from spillover.finetune.lora_product import one_product_per_layer


def adapted(model, **settings):
    config = peft.LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "down_proj"], **settings)
    made = peft.get_peft_model(model, config)
    torch.manual_seed(0)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return made


def loss_and_gradients(model):
    ids = torch.arange(24).view(2, 12)
    loss = model(input_ids=ids, labels=ids).loss
    weights = [p for p in model.parameters() if p.requires_grad]
    return loss.item(), torch.autograd.grad(loss, weights)


@pytest.fixture
def model(tiny):
    yield tiny.model
    tiny.model.requires_grad_(False)


def test_loss_and_gradients_equal_pefts_own(model):
    made = adapted(model)
    want, want_gradients = loss_and_gradients(made)
    with one_product_per_layer(made) as layers:
        got, gradients = loss_and_gradients(made)
    made.unload()
    assert layers == 2 * model.config.num_hidden_layers
    assert got == pytest.approx(want, abs=1e-6)
    assert any(g.abs().max() > 1e-4 for g in want_gradients)
    for a, b in zip(gradients, want_gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_pefts_forward_is_back_afterwards(model):
    made = adapted(model)
    with one_product_per_layer(made):
        assert any("forward" in vars(layer) for layer in made.modules())
    assert not any("forward" in vars(layer) for layer in made.modules())
    made.unload()


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_layers_of_another_kind_keep_pefts_forward(model, settings):
    made = adapted(model, **settings)
    with one_product_per_layer(made) as layers:
        assert layers == 0
    made.unload()


def test_a_switched_off_adapter_leaves_the_base_model(model):
    made = adapted(model)
    ids = torch.arange(24).view(2, 12)
    with torch.no_grad(), one_product_per_layer(made):
        tuned = made(input_ids=ids).logits
        with made.disable_adapter():
            off = made(input_ids=ids).logits
    base = made.unload()
    with torch.no_grad():
        torch.testing.assert_close(off, base(input_ids=ids).logits, atol=1e-6, rtol=1e-5)
    assert (tuned - off).abs().max() > 1e-3
