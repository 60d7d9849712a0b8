"""Inspect providers compared on the tiny model: both do the same work, and the ratio is of the right things."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
def test_both_providers_answer_every_sample(tmp_path, tiny_folder):
    file = tmp_path / "found.json"
    sizes = ("--questions", "4", "--epochs", "1", "--batches", "4", "--model", tiny_folder, "--json", file)
    command = [sys.executable, FOLDER / "provider.py", *sizes]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert set(found["ways"]) == {"spillover", "hf, batch 4"}
    for way in found["ways"].values():
        assert [way[task]["samples"] for task in ("multiple choice", "free-form")] == [4, 8]
        # Random bytes come back from text as more tokens than were drawn, so there is no upper bound here.
        assert way["free-form"]["tokens"] > 8 * 30


def test_the_ratio_is_that_of_samples_per_second_to_the_best_batch_size(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    ways = {
        "spillover": {"free-form": {"samples": 8, "tokens": 1, "seconds": 2.0}},
        "hf, batch 4": {"free-form": {"samples": 8, "tokens": 900, "seconds": 8.0}},
        "hf, batch 8": {"free-form": {"samples": 8, "tokens": 1, "seconds": 4.0}},
    }
    assert import_module("provider").compared(ways, "free-form") == pytest.approx(2.0)
