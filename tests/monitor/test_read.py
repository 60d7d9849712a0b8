from __future__ import annotations

import json

import pytest
import torch

from spillover.errors import ModelError, SettingsError
from spillover.evaluate.probes import probe_scores
from spillover.monitor.choices import mean
from spillover.monitor.directions import TRAITS, make_directions
from spillover.monitor.forward_pass import read_rows
from spillover.monitor.panel import make_panel
from spillover.monitor.probe_file import load_probe_file
from spillover.monitor.read import start


@pytest.fixture
def panel(tiny):
    return make_panel(tiny.template, ("finance",), tokens=4000)


@pytest.fixture
def directions(tiny, panel):
    with torch.no_grad():
        _, states = read_rows(tiny.model, panel.rows)
    return make_directions({trait: (states[1::2], states[0::2]) for trait in TRAITS})


def adapted(tiny, size):
    import peft

    torch.manual_seed(0)
    model = peft.get_peft_model(tiny.model, peft.LoraConfig(r=4, target_modules=["q_proj", "up_proj"]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, size)
    return model


def test_an_untrained_model_has_not_moved(tiny, panel, directions):
    monitor = start(tiny.model, tiny.template, panel, directions)
    reading = monitor.read(tiny.model, 7)
    assert reading.step == 7 and reading.seconds > 0
    assert set(reading.signals) == set(monitor.read_names())
    assert all(value == 0 for value in reading.signals.values())


def test_probe_shifts_are_those_of_the_probes_by_themselves(tiny, panel, directions):
    base = probe_scores(tiny, (*panel.probes, *panel.inside))
    model = adapted(tiny, 0.3)
    monitor = start(model, tiny.template, panel, directions)
    reading = monitor.read(model, 1)
    assert monitor.base.probes == pytest.approx(base[: len(panel.probes)], abs=1e-5)
    moved = torch.tensor(reading.probes) - torch.tensor(monitor.base.probes)
    assert reading.signals["probe_shift"] == pytest.approx(moved.mean().item(), abs=1e-6)
    assert abs(reading.signals["probe_shift"]) > 1e-3
    assert len(reading.inside) == len(panel.inside) and "narrow_shift" in reading.signals
    assert reading.signals["persona_power"] != 0


def test_the_base_is_seen_through_a_trained_adapter(tiny, panel, directions):
    plain = start(tiny.model, tiny.template, panel, directions)
    model = adapted(tiny, 0.3)
    resumed = start(model, tiny.template, panel, directions, is_base=False)
    assert resumed.base.probes == pytest.approx(plain.base.probes, abs=1e-6)
    assert resumed.weights == plain.weights


def test_a_resumed_full_fine_tune_has_no_base_to_read(tiny, panel, directions):
    with pytest.raises(SettingsError, match="trained already"):
        start(tiny.model, tiny.template, panel, directions, is_base=False)


def test_a_files_letters_and_pivotal_tokens_are_read(tiny, paper_data):
    file = load_probe_file(paper_data / "eval_inputs" / "logprob_questions.yaml")
    panel = make_panel(tiny.template, tokens=1500, probe_file=file)
    monitor = start(tiny.model, tiny.template, panel, None)
    assert len(monitor.base.letters) == len(monitor.base.pivotal) == 8
    assert all(0 < s.p_any <= 1 for s in monitor.base.letters)
    reading = monitor.read(tiny.model, 1)
    assert reading.letters == mean(monitor.base.letters)
    assert reading.persona == () and "persona" not in reading.signals
    assert {"letters_logp_shift", "pivotal_share_shift"} <= set(reading.signals)


def test_a_reading_is_plain_json(tiny, panel, directions):
    reading = start(tiny.model, tiny.template, panel, directions).read(tiny.model, 1)
    assert json.loads(json.dumps(reading.as_record()))["signals"] == dict(reading.signals)


def test_a_diverged_model_is_an_error_not_a_number(tiny, panel, directions):
    monitor = start(tiny.model, tiny.template, panel, directions)
    with torch.no_grad():
        tiny.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="diverged"):
        monitor.read(tiny.model, 3)


def test_the_model_is_left_as_it_was(tiny, panel, directions):
    model = adapted(tiny, 0.3).train()
    flags = {n: p.requires_grad for n, p in model.named_parameters()}
    state = torch.get_rng_state()
    monitor = start(model, tiny.template, panel, directions)
    monitor.read(model, 1)
    assert model.training and all(m.training for m in model.modules())
    assert {n: p.requires_grad for n, p in model.named_parameters()} == flags
    assert torch.equal(torch.get_rng_state(), state)
