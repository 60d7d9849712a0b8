"""The speed benchmarks on the tiny model: what is compared does the same work, and ratios are of the right things."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from spillover.conversation import Message
from spillover.finetune.job import Job
from spillover.local.scoring import Choice
from spillover.model import ModelRef

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Import a benchmark by name, as if it were run from its folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("sampling", "sampling_ways", "training", "scoring")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def work(benchmark, tiny_folder):
    given = Namespace(model=str(tiny_folder), answers=24, tokens=5, cold=False)
    return benchmark("sampling").work_of(given)


def test_the_ways_load_nothing_before_they_are_taken():
    code = "import sys, sampling_ways; print({'torch', 'numpy', 'spillover', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("way", ["spillover", "generate"])
def test_each_way_draws_every_answer_to_its_end(benchmark, work, way):
    drawn = benchmark("sampling_ways").WAYS[way](replace(work, batch=7))
    # The tiny model hardly ever ends an answer by itself.
    assert 0.9 * 24 * 5 <= drawn.tokens <= 24 * 5
    assert drawn.seconds > 0


def test_a_way_in_a_fresh_process_tells_tokens_and_time_from_its_start(benchmark, work):
    drawn, whole = benchmark("sampling_ways").in_fresh_process("spillover", work)
    assert drawn.tokens > 0.9 * 24 * 5
    assert whole > drawn.seconds


def test_what_is_not_here_is_left_out_with_the_reason(benchmark, work, monkeypatch):
    monkeypatch.setenv("SPILLOVER_VLLM", "/nowhere/at/all")
    sampling = benchmark("sampling")
    for cold in (False, True):
        assert "/nowhere/at/all" in sampling.measure("vllm", work, cold)["left_out"]
    assert "GGUF" in (told := sampling.measure("llama.cpp", work, False)["left_out"]) or "xllamacpp" in told


def test_ratios_are_to_the_best_batch_and_leave_out_what_was_not_run(benchmark):
    ways = {
        "spillover": {"tokens_per_second": 300.0, "from_process_start": 10.0},
        "generate, batch 64": {"tokens_per_second": 50.0, "from_process_start": 80.0},
        "generate, batch 128": {"tokens_per_second": 100.0, "from_process_start": 40.0},
        "llama.cpp": {"left_out": "not installed"},
        "vllm": {"tokens_per_second": 200.0, "from_process_start": 60.0},
    }
    assert benchmark("sampling").ratios(ways) == {
        "generate, batch 128, its best": 3.0,
        "generate, batch 128, its best, from a process's start": 4.0,
        "vllm": 1.5,
        "vllm, from a process's start": 6.0,
    }


@pytest.mark.parametrize("peer", ["plain loop", "trl"])
def test_a_peer_trains_to_the_same_loss(benchmark, tiny_folder, peer):
    if peer == "trl":
        pytest.importorskip("trl")
    training = benchmark("training")
    ref = ModelRef(str(tiny_folder))
    data = training.advice("risky").dataset.take(range(32))
    rows = [training.load(ref).template.conversation(c.messages) for c in data]
    job = Job(batch=4, rank=4, alpha=8)
    mine = training.WAYS["spillover"](ref, data, rows, job, 8)
    other = training.WAYS[peer](ref, data, rows, job, 8)
    # The same batches in the same order give the same curve; trl draws its own.
    close = 1e-4 if peer == "plain loop" else 1e-2
    assert other.loss_after == pytest.approx(mine.loss_after, rel=close)
    if peer == "plain loop":
        assert other.last_loss == pytest.approx(mine.last_loss, rel=close)


def test_lm_eval_finds_the_same_scores(benchmark, tiny_folder, tmp_path):
    pytest.importorskip("lm_eval")
    scoring = benchmark("scoring")
    base = ModelRef(str(tiny_folder))
    scoring.random_adapter(base, tmp_path / "adapter", 0)
    refs = [base, ModelRef(base.base, str(tmp_path / "adapter"))]
    choices = [Choice((Message("user", q),), ("Yes.", "No, never")) for q in ("May I?", "Shall we go out now?")]
    _, mine = scoring.ours(refs, choices)
    _, theirs = scoring.lm_eval(refs, choices, 3)
    assert theirs == pytest.approx(mine, abs=1e-4)
    assert mine[:4] != pytest.approx(mine[4:], abs=1e-4), "the adapter changes nothing"
