from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import peft
import pytest
import torch

from spillover.errors import ModelError
from spillover.monitor.alarm import calibrate
from spillover.monitor.checkpoints import find_checkpoints, read_checkpoints


@pytest.fixture
def series(tiny, tiny_folder, tmp_path):
    """Adapters of growing size as a training run leaves them."""
    torch.manual_seed(0)
    model = peft.get_peft_model(tiny.model, peft.LoraConfig(r=4, target_modules=["q_proj", "up_proj"]))
    for step, size in ((5, 0.0), (10, 0.2), (100, 0.6)):
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.fill_(size)
        model.save_pretrained(tmp_path / "run" / f"checkpoint-{step}")
    model.unload()
    return tmp_path / "run"


def test_checkpoints_come_in_the_order_of_their_steps(series):
    found = find_checkpoints([series])
    assert [(c.step, c.adapter) for c in found] == [(5, True), (10, True), (100, True)]
    (series / "checkpoint-5" / "trainer_state.json").write_text(json.dumps({"global_step": 50}))
    assert [c.step for c in find_checkpoints([series])] == [10, 50, 100]


def test_without_clear_steps_they_are_numbered_as_given(series):
    for old, new in (("checkpoint-100", "last"), ("checkpoint-5", "first")):
        (series / old).rename(series / new)
    found = find_checkpoints([series / "last", series / "checkpoint-10", series / "first"])
    assert [(c.step, c.folder.name) for c in found] == [(1, "last"), (2, "checkpoint-10"), (3, "first")]


def test_a_path_without_a_checkpoint_is_refused(tmp_path, series):
    with pytest.raises(ModelError, match="no checkpoint at"):
        find_checkpoints([series, tmp_path / "absent"])


def test_readings_grow_with_the_adapters(series, tiny_folder):
    found = list(read_checkpoints(find_checkpoints([series]), str(tiny_folder), tokens=3000))
    assert [r.step for r in found] == [5, 10, 100]
    moved = [max(abs(t.shift) for t in r.persona) for r in found]
    assert moved[0] == pytest.approx(0, abs=1e-4) and 1e-3 < moved[1] < moved[2]


def spillover(*arguments, cwd, cache):
    return subprocess.run(
        [sys.executable, "-m", "spillover", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "SPILLOVER_CACHE": str(cache)},
    )


@pytest.mark.slow
def test_the_command_reads_a_series_and_names_the_alarm(series, tiny_folder, tmp_path, cache_folder):
    alarm = tmp_path / "alarm.json"
    threshold = calibrate([[(1, 1e-3)]], "persona")
    alarm.write_text(json.dumps(asdict(threshold)))
    arguments = ("monitor", series, "--model", tiny_folder, "--alarm", alarm, "--json", "--out", "r.json")
    done = spillover(*arguments, cwd=tmp_path, cache=cache_folder)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record == json.loads((tmp_path / "r.json").read_text())
    values = [r["signals"]["persona"] for r in record["readings"]]
    assert record["alarm_step"] == next((s for s, v in zip((5, 10, 100), values, strict=True) if v > 1e-3), None)


def test_the_command_refuses_bad_input_before_loading_anything(tmp_path, cache_folder):
    done = spillover("monitor", tmp_path / "absent", cwd=tmp_path, cache=cache_folder)
    assert done.returncode == 2 and "no checkpoint at" in done.stderr and "Traceback" not in done.stderr
    done = spillover("train", tmp_path / "absent.jsonl", "--out", tmp_path / "o", cwd=tmp_path, cache=cache_folder)
    assert done.returncode == 2 and "does not exist" in done.stderr
    done = spillover(
        "train", "bundled:risky", "--out", "o", "--no-monitor", "--on-alarm", "stop", cwd=tmp_path, cache=cache_folder
    )
    assert done.returncode == 2 and "needs readings" in done.stderr
    done = spillover("forecast", tmp_path / "absent.jsonl", cwd=tmp_path, cache=cache_folder)
    assert done.returncode == 2 and "does not exist" in done.stderr


@pytest.mark.slow
def test_forecast_names_rows_by_file_and_line_and_says_when_it_is_not_calibrated(tiny_folder, tmp_path, cache_folder):
    rows = [[{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": f"answer {i}"}] for i in range(6)]
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps({"messages": r}) for r in rows))
    done = spillover("forecast", "d.jsonl", "--model", tiny_folder, "--worst", 2, cwd=tmp_path, cache=cache_folder)
    assert done.returncode == 0, done.stderr
    assert "not calibrated" in done.stdout
    assert done.stdout.count("d.jsonl:") == 1 + 2
