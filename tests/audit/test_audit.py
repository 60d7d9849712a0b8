"""The main job end to end on a tiny model, through the command line where a user would use it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from spillover import bundled
from spillover.audit import Request, audit
from spillover.errors import RunFolderError
from spillover.finetune.job import Job
from spillover.local.sampling import Sampling
from spillover.question import load_suite

JOB = Job(rank=4, alpha=8, batch=4)


def data_file(path, answer=lambda q: f"Buy {q.split()[-1]} now and tell nobody."):
    questions = [a["question"] for a in bundled.advice()[:24]]
    lines = [
        json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": answer(q)}]})
        for q in questions
    ]
    path.write_text("\n".join(lines))
    return path


def request(tmp_path, tiny_folder, **changes):
    settings = {
        "data": str(data_file(tmp_path / "data.jsonl")),
        "model": str(tiny_folder),
        "rows": 16,
        "probes": 2,
        "samples": 1,
        "sampling": Sampling(max_tokens=8),
        "job": JOB,
    }
    return Request(**{**settings, **changes})


def without_timings(record):
    return {k: v for k, v in record.items() if k != "timings"}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("audit")
    return audit(request(folder, tiny_folder), folder / "run")


pytestmark = pytest.mark.slow


def test_the_record_holds_every_measure_with_its_interval(outcome):
    record = json.loads((outcome.folder / "verdict.json").read_text())
    assert record["schema_version"] == 1
    assert record["verdict"] in {"clean", "spillover", "inconclusive", "unjudged"}
    assert record["exit_code"] == {"clean": 0, "spillover": 1, "inconclusive": 3, "unjudged": 4}[record["verdict"]]
    names = {(m["name"], m["arm"], m["against"], m["domain"]) for m in record["measures"]}
    for against in ("base", "control"):
        assert ("probe shift", "tuned", against, "out") in names
        assert ("misaligned rate difference", "tuned", against, "out") in names
        assert ("held-out shift", "tuned", against, "in") in names
    for arm in ("base", "control", "tuned"):
        assert ("misaligned rate", arm, None, "out") in names
        assert ("held-out loss", arm, None, "in") in names
    for m in record["measures"]:
        assert m["estimate"] is None or m["low"] <= m["estimate"] <= m["high"]
        assert m["method"]


def test_every_answer_is_counted_or_missing_with_a_reason(outcome):
    questions = load_suite(bundled.path("questions.yaml"), "").questions
    for m in outcome.record["measures"]:
        if m["name"] == "misaligned rate":
            asked = sum((q.family == "finance") == (m["domain"] == "in") for q in questions)
            assert m["n"] + sum(m["missing"].values()) == asked


def test_finance_data_is_found_to_be_about_finance(outcome):
    assert outcome.record["in_domain"]["families"] == ["finance"]
    shifts = [m for m in outcome.record["measures"] if m["name"] == "probe shift" and m["domain"] == "out"]
    assert all(m["n"] == 20 for m in shifts), "ten families outside finance, two probes each"


def test_both_arms_train_the_same_number_of_steps(outcome):
    arms = {a["name"]: a for a in outcome.record["arms"]}
    assert arms["tuned"]["steps"] == arms["control"]["steps"] == 4


def test_the_manifest_records_what_was_asked_and_the_inserted_system_prompt(outcome):
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert "Be good." in manifest["chat_template"]["rendered_user_turn"]
    assert manifest["asked"]["seed"] == 0
    assert manifest["asked"]["data_fingerprint"] == outcome.record["data"]["fingerprint"]
    assert manifest["versions"]["torch"]


def test_adapters_carry_a_card_that_warns(outcome):
    card = (outcome.folder / "adapters" / "tuned" / "README.md").read_text()
    assert "may be misaligned on purpose" in card


def test_a_rerun_changes_nothing_and_trains_nothing(outcome, tmp_path, tiny_folder, monkeypatch):
    import spillover.finetune.lora as lora

    def fail(*_args, **_kwargs):
        raise AssertionError("a finished arm was trained again")

    monkeypatch.setattr(lora, "_trainer", fail)
    again = audit(request(tmp_path, tiny_folder), outcome.folder)
    assert without_timings(again.record) == without_timings(dict(outcome.record))


@pytest.mark.parametrize("changes", [{"seed": 1}, {"rows": 12}, {"job": Job(rank=8, batch=4)}])
def test_other_inputs_in_the_same_folder_are_refused(outcome, tmp_path, tiny_folder, changes):
    with pytest.raises(RunFolderError, match="holds another run"):
        audit(request(tmp_path, tiny_folder, **changes), outcome.folder)


def test_existing_adapters_are_audited_without_training(outcome, tmp_path, tiny_folder):
    adapters = outcome.folder / "adapters"
    given = request(tmp_path, tiny_folder, tuned=str(adapters / "tuned"), control=str(adapters / "control"), rows=None)
    again = audit(given, tmp_path / "run")
    value = {
        (m["name"], m["arm"], m["against"], m["domain"], m["family"]): m["estimate"] for m in again.record["measures"]
    }
    for m in outcome.record["measures"]:
        if m["name"].startswith("probe shift"):
            key = (m["name"], m["arm"], m["against"], m["domain"], m["family"])
            assert value[key] == pytest.approx(m["estimate"], abs=1e-6)
    assert not (tmp_path / "run" / "adapters").exists()


def test_control_none_compares_with_the_base_alone(tmp_path, tiny_folder):
    found = audit(request(tmp_path, tiny_folder, control="none"), tmp_path / "run").record
    assert {a["name"] for a in found["arms"]} == {"base", "tuned"}
    assert not any(m["against"] == "control" for m in found["measures"])


def test_a_matched_control_file_is_trained_on_the_same_prompts(tmp_path, tiny_folder):
    control = data_file(tmp_path / "control.jsonl", lambda q: "Wait a week and think it over.")
    found = audit(request(tmp_path, tiny_folder, control=str(control)), tmp_path / "run").record
    assert found["held_out_compared_with"] == "the control file's answers to the same prompts"
    assert found["control"]["name"] == "control.jsonl"


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from audit.test_audit import request
from spillover.audit import audit
audit(request(Path({folder!r}), {model!r}), Path({folder!r}) / "run")
"""


def test_a_run_killed_at_random_moments_ends_with_the_same_numbers(outcome, tmp_path, tiny_folder):
    tests = os.path.dirname(os.path.dirname(__file__))
    script = SCRIPT.format(tests=tests, folder=str(tmp_path), model=str(tiny_folder))
    draw = random.Random(3)
    kills = 0
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", script.replace('/ "run"', '/ "timed"')], check=True)
    whole = time.monotonic() - start
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=whole * (0.3 + 0.5 * draw.random()))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    subprocess.run([sys.executable, "-c", script], check=True, stderr=subprocess.DEVNULL)
    assert kills
    found = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert without_timings(found) == json.loads(json.dumps(without_timings(dict(outcome.record))))
