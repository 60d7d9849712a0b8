"""The vLLM engine against the real server: the embedded model, two adapters made on the spot, and our own scorer.

`make test-vllm` installs vllm in an environment of its own and runs this.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spillover import bundled
from spillover.conversation import Message
from spillover.local.engine import EngineChoice
from spillover.local.loading import load
from spillover.local.sampling import Ask, Sampling
from spillover.local.scoring import Choice
from spillover.local.vllm_engine import Wanted, open_vllm
from spillover.local.vllm_server import find_vllm
from spillover.local.weights import locate
from spillover.model import BUNDLED, ModelRef
from spillover.question import load_probes

pytestmark = pytest.mark.vllm

# Nats per token. In bfloat16 both round each product, in other orders; float32 is closer.
TOLERANCE = {"bfloat16": 0.08, "float32": 0.005}
PROBES = 12
SAMPLES = 6


@pytest.fixture(scope="module", autouse=True)
def installed():
    if "SPILLOVER_VLLM" not in os.environ:
        pytest.skip("SPILLOVER_VLLM is not set: run `make test-vllm`, which installs vllm in .venv-vllm")


@pytest.fixture(scope="module")
def adapters(bundled_model, tmp_path_factory):
    """Two LoRA adapters with weights that are drawn, not trained: each far enough from the base to be told apart."""
    import peft
    import torch

    folders = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp("adapters") / f"seed-{seed}"
        torch.manual_seed(seed)
        modules = ["q_proj", "v_proj", "down_proj"]
        settings = peft.LoraConfig(r=4, lora_alpha=8, use_rslora=True, init_lora_weights=False, target_modules=modules)
        model = peft.get_peft_model(load(ModelRef()).model, settings)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.mul_(0.3)
        model.save_pretrained(str(folder), safe_serialization=True)
        folders.append(str(folder))
    return folders


@pytest.fixture(scope="module")
def choices():
    probes = load_probes(bundled.path("probes.yaml"))
    return [Choice((Message("user", p.question),), (p.misaligned, p.aligned)) for p in probes[:: len(probes) // PROBES]]


@pytest.fixture(scope="module")
def served(bundled_model, adapters, choices, tmp_path_factory):
    """What the server gave: scores of base and adapters, samples, facts; and its process ids after it was ended."""
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    wanted = Wanted(locate(BUNDLED), tuple(adapters), bundled_model.hardware.dtype, 2048, 0)
    asks = [Ask(c.prompt, tuple(range(SAMPLES))) for c in choices[:3]]
    before = _processes()
    with open_vllm(EngineChoice("vllm"), wanted, bundled_model.template, log) as serving:
        during = _processes() - before
        scores = [serving.engines[key].score(choices) for key in (None, *adapters)]
        samples = serving.engines[adapters[0]].sample(asks, Sampling(max_tokens=24, temperature=1.0))
        greedy = serving.engines[None].sample(asks, Sampling(max_tokens=24, temperature=0.0))
    return {"scores": scores, "samples": samples, "greedy": greedy, "asks": asks, "facts": serving.facts, "ran": during}


def _processes():
    """Ids of the processes whose command names vllm."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                said = (folder / "cmdline").read_bytes().lower()
            except OSError:
                continue
            if b"vllm" in said and int(folder.name) != os.getpid():
                found.add(int(folder.name))
    return found


@pytest.mark.parametrize("place", [0, 1, 2], ids=["base", "first adapter", "second adapter"])
def test_scores_agree_with_the_in_process_scorer(served, adapters, choices, bundled_model, place):
    ref = ModelRef(BUNDLED, (None, *adapters)[place])
    ours = load(ref).score(choices)
    apart = [abs(a - b) for x, y in zip(served["scores"][place], ours, strict=True) for a, b in zip(x, y, strict=True)]
    print(f"largest difference {max(apart):.2e}, mean {sum(apart) / len(apart):.2e} nats per token")
    assert max(apart) < TOLERANCE[bundled_model.hardware.dtype]


def test_each_adapter_differs_from_the_base_and_from_the_other(served, bundled_model):
    base, first, second = served["scores"]
    for one, other in ((base, first), (base, second), (first, second)):
        apart = [abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
        assert sum(apart) / len(apart) > 3 * TOLERANCE[bundled_model.hardware.dtype]


def test_the_asked_number_of_samples_comes_back_and_they_differ(served):
    assert [len(rows) for rows in served["samples"]] == [SAMPLES] * 3
    for rows in served["samples"]:
        assert len({row.text for row in rows}) > 1
        assert all(0 <= row.tokens <= 24 and "<|im_" not in row.text for row in rows)
        assert all(row.ended or row.tokens == 24 for row in rows)


def test_greedy_answers_begin_as_the_in_process_ones(served, bundled_model):
    ours = bundled_model.sample(served["asks"], Sampling(max_tokens=24, temperature=0.0))
    same = sum(x[0].text[:20] == y[0].text[:20] for x, y in zip(served["greedy"], ours, strict=True))
    assert same >= 2, [(x[0].text, y[0].text) for x, y in zip(served["greedy"], ours, strict=True)]


def test_the_record_names_the_installed_version(served):
    assert served["facts"]["version"].split("+")[0] == find_vllm().version.split("+")[0]
    assert served["facts"]["server"] == "started"


def test_the_server_and_its_workers_are_gone(served):
    assert len(served["ran"]) >= 2
    assert not served["ran"] & _processes()
