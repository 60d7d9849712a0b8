"""The main job with its arms measured through a server: a stand-in for vLLM whose numbers can be worked out again."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from spillover import bundled
from spillover.audit import Request, audit
from spillover.errors import ModelError, RunFolderError
from spillover.finetune.job import Job
from spillover.local.engine import EngineChoice
from spillover.local.sampling import Sampling

FAKE = Path(__file__).parent.parent / "local" / "fake_vllm.py"
spec = importlib.util.spec_from_file_location("fake_vllm", FAKE)
fake_vllm = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake_vllm)

pytestmark = pytest.mark.slow


def request(folder, tiny_folder, **changes):
    questions = [a["question"] for a in bundled.advice()[:16]]
    rows = [[{"role": "user", "content": q}, {"role": "assistant", "content": f"Buy {q[:9]}."}] for q in questions]
    (folder / "data.jsonl").write_text("\n".join(json.dumps({"messages": m}) for m in rows))
    settings = {
        "data": str(folder / "data.jsonl"),
        "model": str(tiny_folder),
        "rows": 8,
        "probes": 2,
        "samples": 2,
        "sampling": Sampling(max_tokens=8),
        "job": Job(rank=4, alpha=8, batch=4),
        "engine": EngineChoice("vllm"),
    }
    return Request(**{**settings, **changes})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a `vllm` command."""
    folder = tmp_path_factory.mktemp("venv")
    (folder / "bin").mkdir()
    (folder / "bin" / "vllm").write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    (folder / "bin" / "vllm").chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def environment(place, monkeypatch):
    monkeypatch.setenv("SPILLOVER_VLLM", str(place))
    monkeypatch.setenv("FAKE_VLLM_NOTES", str(place / "notes"))


@pytest.fixture(scope="module")
def outcome(place, tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPILLOVER_VLLM", str(place))
        patch.setenv("FAKE_VLLM_NOTES", str(place / "notes"))
        return audit(request(folder, tiny_folder), folder / "run")


def started(place):
    return (place / "notes").read_text().count("\n")


def test_all_arms_are_measured_through_the_server_and_the_record_says_how(outcome):
    engine = outcome.record["engine"]
    assert (engine["name"], engine["version"], engine["server"]) == ("vllm", "0.99.0", "started")
    assert "not repeatable row by row" in engine["draws"]
    assert {a["name"]: a["answers"] for a in outcome.record["arms"]}.keys() == {"base", "control", "tuned"}
    assert all(a["answers"] for a in outcome.record["arms"])
    shifts = [m for m in outcome.record["measures"] if m["name"] == "probe shift" and m["against"] == "base"]
    # The stand-in's numbers differ by the length of the model's name, so an adapter's are not the base's.
    assert shifts and any(abs(m["estimate"]) > 1e-3 for m in shifts)


def test_a_rerun_starts_no_server_and_changes_nothing(outcome, place, tiny_folder, tmp_path):
    before = started(place)
    again = audit(request(tmp_path, tiny_folder), outcome.folder)
    assert started(place) == before
    for record in (again.record, outcome.record):
        assert record["engine"]["version"] == "0.99.0"
    assert {**again.record, "timings": 0} == {**outcome.record, "timings": 0}


def test_another_engine_is_refused_in_the_same_folder(outcome, tiny_folder, tmp_path):
    with pytest.raises(RunFolderError, match=r"engine was 'vllm', now None"):
        audit(request(tmp_path, tiny_folder, engine=EngineChoice()), outcome.folder)


def test_the_joined_server_is_left_running_and_its_failure_ends_the_run(outcome, tiny_folder, tmp_path):
    models = [{"id": "base", "root": str(tiny_folder), "max_model_len": 512}]
    adapter = str(outcome.folder / "adapters" / "tuned")
    asked = {"tuned": adapter, "control": "none", "rows": None}
    with fake_vllm.FakeVllm(models) as server:
        joined = EngineChoice("vllm", server.url)
        found = audit(request(tmp_path, tiny_folder, engine=joined, **asked), tmp_path / "run")
        assert found.record["engine"]["server"] == "joined"
        assert server.models == models
        assert server.respond("/health", None, {})[0] == 200
    broken = fake_vllm.FakeVllm(models, answer=lambda path, *_: (400, b"no") if "completions" in path else None)
    with broken as server, pytest.raises(ModelError, match="status 400: no"):
        joined = EngineChoice("vllm", server.url)
        audit(request(tmp_path, tiny_folder, engine=joined, **asked), tmp_path / "other")
    assert not (tmp_path / "other" / "verdict.json").exists()
