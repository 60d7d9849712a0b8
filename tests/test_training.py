from __future__ import annotations

import inspect
import json

import pytest

from spillover.errors import DataError, SettingsError
from spillover.finetune.job import Job
from spillover.finetune.lora import train
from spillover.monitor.alarm import calibrate
from spillover.monitor.watching import read_rows_of
from spillover.progress import Progress
from spillover.training import TrainRequest, train_watched

pytestmark = pytest.mark.skipif(
    "callbacks" not in inspect.signature(train).parameters, reason="finetune.lora.train takes no callbacks yet"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from conftest import save_tiny_model

    return str(save_tiny_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=2048))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SPILLOVER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def data(tmp_path):
    rows = [[{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": f"answer {i}"}] for i in range(24)]
    file = tmp_path / "d.jsonl"
    file.write_text("\n".join(json.dumps({"messages": r}) for r in rows))
    return str(file)


def request_of(data, model, out, **changes):
    settings = {"job": Job(rank=4, alpha=8, batch=4, learning_rate=5e-3), "when": 2, "show": False, "in_domain": ()}
    return TrainRequest(data, out, model, **{**settings, **changes})


def test_a_watched_run_leaves_an_adapter_and_its_readings(data, model, tmp_path):
    done = train_watched(request_of(data, model, tmp_path / "o"), Progress(quiet=True))
    assert (tmp_path / "o" / "adapter" / "adapter_model.safetensors").is_file()
    assert "was watched during training" in (done.trained.adapter / "README.md").read_text()
    assert done.trained.steps == 6 and done.alarm_step is None
    assert [r["step"] for r in read_rows_of(done.watch)] == [2, 4, 6]
    assert "readings took" in done.page.read_text()
    again = train_watched(request_of(data, model, tmp_path / "o"), Progress(quiet=True))
    assert again == done


def test_an_alarm_stops_the_run_and_the_adapter_says_how_far_it_came(data, model, tmp_path, monkeypatch):
    alarm = calibrate([[(1, -1e9)]], "probe_shift")
    monkeypatch.setattr("spillover.monitor.alarm.shipped_alarm", lambda: alarm)
    monkeypatch.setattr("spillover.training.shipped_alarm", lambda: alarm)
    done = train_watched(request_of(data, model, tmp_path / "o", on_alarm="stop"), Progress(quiet=True))
    assert done.alarm_step == 2
    assert done.trained.steps == 2, "the steps that were really made"
    assert train_watched(request_of(data, model, tmp_path / "o", on_alarm="stop"), Progress(quiet=True)) == done


def test_without_a_monitor_there_are_no_readings(data, model, tmp_path):
    done = train_watched(request_of(data, model, tmp_path / "o", monitor=False), Progress(quiet=True))
    assert done.watch is None and not (tmp_path / "o" / "watch").exists()
    assert "was not watched" in (done.trained.adapter / "README.md").read_text()


def test_bad_input_is_refused_before_anything_is_trained(model, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        train_watched(request_of(str(tmp_path / "absent"), model, tmp_path / "o"), Progress(quiet=True))
    with pytest.raises(SettingsError, match="needs readings"):
        request_of("d", model, tmp_path / "o", monitor=False, on_alarm="stop")
    assert not (tmp_path / "o").exists()
