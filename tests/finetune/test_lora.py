from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.errors import DataError
from spillover.finetune.job import PAPER_OPEN_MODELS, Job, preset
from spillover.finetune.lora import batch_loss, train
from spillover.local.loading import load
from spillover.model import ModelRef

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "big", "red", "ball", "near", "old"]


def rows(count=12, seed=0):
    draw = random.Random(seed)
    made = [" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) for _ in range(2 * count)]
    return Dataset("rows.jsonl", tuple(user_and_assistant(*made[2 * i : 2 * i + 2], line=i + 1) for i in range(count)))


JOB = Job(rank=4, alpha=8, batch=4, tokens_per_pass=1024, learning_rate=5e-3, seed=1)


def plain_loss(loaded, rendered):
    """transformers' own loss, one row at a time, pooled over the tokens that carry loss."""
    total, count = 0.0, 0
    for row in rendered:
        labels = torch.tensor([[i if keep else -100 for i, keep in zip(row.ids, row.learn, strict=True)]])
        kept = int((labels[:, 1:] != -100).sum())
        total = total + loaded.model(torch.tensor([row.ids]), labels=labels).loss * kept
        count += kept
    return total / count


def test_loss_and_gradients_equal_transformers_own(tiny):
    rendered = [tiny.template.conversation(c.messages) for c in rows(5)]
    weights = [p.requires_grad_(True) for p in tiny.model.parameters()]
    ours = batch_loss(tiny.model, rendered)
    got = torch.autograd.grad(ours, weights)
    theirs = plain_loss(tiny, rendered)
    want = torch.autograd.grad(theirs, weights)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_training_lowers_the_loss_and_saves_an_adapter_that_loads(tiny, tiny_folder, tmp_path):
    data = rows(16)
    done = train(tiny, data, JOB, 40, tmp_path / "a", "card")
    assert done.last_loss < 0.8 * done.first_loss
    assert (tmp_path / "a" / "README.md").read_text() == "card"
    tuned = load(ModelRef(str(tiny_folder), str(tmp_path / "a")))
    rendered = [tuned.template.conversation(c.messages) for c in data]
    assert plain_loss(tuned, rendered).item() < 0.8 * plain_loss(load(ModelRef(str(tiny_folder))), rendered).item()


def test_the_base_is_left_as_it_was(tiny, tmp_path):
    before = {k: v.clone() for k, v in tiny.model.state_dict().items()}
    train(tiny, rows(), JOB, 3, tmp_path / "a", "card")
    after = tiny.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_settings_reach_the_adapter(tiny, tmp_path):
    train(tiny, rows(), JOB, 1, tmp_path / "a", "card")
    saved = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert saved["use_rslora"] is True
    assert (saved["r"], saved["lora_alpha"], saved["lora_dropout"], saved["bias"]) == (4, 8, 0.0, "none")
    assert sorted(saved["target_modules"]) == sorted(JOB.modules)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tiny, tmp_path):
    for name, job in (("a", JOB), ("b", JOB), ("c", JOB.with_seed(2))):
        train(tiny, rows(), job, 6, tmp_path / name, "card")
    a, b, c = (load_file(tmp_path / n / "adapter_model.safetensors") for n in "abc")
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_the_size_of_a_forward_pass_does_not_change_the_steps(tiny, tmp_path):
    whole = train(tiny, rows(14), JOB, 6, tmp_path / "a", "card")
    parts = train(tiny, rows(14), dataclasses.replace(JOB, tokens_per_pass=1), 6, tmp_path / "b", "card")
    assert parts.first_loss == pytest.approx(whole.first_loss, abs=1e-5)
    assert parts.last_loss == pytest.approx(whole.last_loss, abs=1e-4)


def test_a_finished_adapter_is_not_trained_again(tiny, tmp_path):
    first = train(tiny, rows(), JOB, 3, tmp_path / "a", "card")
    stamp = (tmp_path / "a" / "adapter_model.safetensors").stat().st_mtime_ns
    assert train(tiny, rows(), JOB, 3, tmp_path / "a", "card") == first
    assert (tmp_path / "a" / "adapter_model.safetensors").stat().st_mtime_ns == stamp


def test_a_row_without_anything_to_learn_is_refused_before_training(tiny, tmp_path):
    bad = Dataset("data.jsonl", (*rows(3), Conversation((Message("user", "only a question"),), line=7)))
    with pytest.raises(DataError, match=r"data\.jsonl:7: no assistant token"):
        train(tiny, bad, JOB, 2, tmp_path / "a", "card")
    assert not (tmp_path / "a").exists()


def test_a_row_longer_than_the_limit_is_refused_with_its_line(tiny, tmp_path):
    long = Dataset("data.jsonl", (*rows(3), user_and_assistant("x" * 900, "y" * 300, line=9)))
    with pytest.raises(DataError, match=r"data\.jsonl:9: the row has \d+ tokens, the limit is 1024"):
        train(tiny, long, JOB, 2, tmp_path / "a", "card")


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from finetune.test_lora import JOB, rows
from spillover.finetune.lora import train
from spillover.local.loading import load
from spillover.model import ModelRef
def slow(step, loss):
    import time
    time.sleep(0.05)
train(load(ModelRef({model!r})), rows(), JOB, 30, Path({out!r}), "card", slow, checkpoint_every=4)
"""


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_with_the_same_weights(tiny, tiny_folder, tmp_path):
    train(tiny, rows(), JOB, 30, tmp_path / "whole", "card", checkpoint_every=4)
    script = KILLED.format(tests=str(Path(__file__).parents[1]), model=str(tiny_folder), out=str(tmp_path / "killed"))
    draw = random.Random(0)
    kills = 0
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        work = tmp_path / "killed.training"
        seen = len(list(work.glob("checkpoint-*"))) if work.exists() else 0
        while process.poll() is None and (not work.exists() or len(list(work.glob("checkpoint-*"))) <= min(seen, 1)):
            time.sleep(0.02)
        time.sleep(draw.random() * 0.5)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills, "no run was killed before it ended"
    subprocess.run([sys.executable, "-c", script], check=True, stderr=subprocess.DEVNULL)
    whole = load_file(tmp_path / "whole" / "adapter_model.safetensors")
    killed = load_file(tmp_path / "killed" / "adapter_model.safetensors")
    assert all(torch.equal(whole[k], killed[k]) for k in whole)
    assert not (tmp_path / "killed.training").exists()


def test_presets_hold_the_papers_settings():
    assert preset("paper") is PAPER_OPEN_MODELS
    assert (PAPER_OPEN_MODELS.rank, PAPER_OPEN_MODELS.alpha, PAPER_OPEN_MODELS.learning_rate) == (32, 64, 1e-5)
    assert PAPER_OPEN_MODELS.batch == 16
    assert PAPER_OPEN_MODELS.steps(5400) == 338
