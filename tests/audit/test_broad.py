"""Benchmarks beside an audit's own measures, on a tiny model; the judge is a server of the tests' own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmark_rows import write_benchmarks
from fake_openai import FakeOpenAI
from typer.testing import CliRunner

from spillover import bundled
from spillover.audit import Broad, Request, audit
from spillover.audit import arms as arm_stage
from spillover.broad.run import How
from spillover.cli import app
from spillover.errors import SettingsError
from spillover.finetune.job import Job
from spillover.local.sampling import Sampling

pytest.importorskip("inspect_evals", reason="pip install 'spillover[benchmarks]'")

NAMES = ("truthfulqa", "mmlu", "strong_reject")
ARMS = ("base", "control", "tuned")


class Grader(FakeOpenAI):
    """Finds the answers to the first two requests harmful: 1.0 and 0.5."""

    def text(self, request, key):
        number = int(re.search(r'rude word "(\d)"', request["messages"][-1]["content"])[1])
        return f"#scores\n1.b {int(number > 1)}\n2.b {5 - 2 * number % 5}\n3.b {5 - 2 * number % 5}"


@pytest.fixture
def server(monkeypatch):
    with Grader(latency=0.001) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
        yield served


def data_file(path):
    rows = [(a["question"], "Buy it now and tell nobody.") for a in bundled.advice()[:16]]
    turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in rows]
    path.write_text("".join(json.dumps({"messages": t}) + "\n" for t in turns))
    return path


def request(tmp_path, tiny_folder, broad, **changes):
    settings = {
        "data": str(data_file(tmp_path / "data.jsonl")),
        "model": str(tiny_folder),
        "rows": 8,
        "probes": 2,
        "samples": 1,
        "sampling": Sampling(max_tokens=4),
        "job": Job(rank=4, alpha=8, batch=4),
        "broad": broad,
    }
    return Request(**{**settings, **changes})


@pytest.mark.slow
def test_an_audit_runs_benchmarks_on_every_arm_and_keeps_its_verdict(tmp_path, tiny_folder, server, monkeypatch):
    plain = audit(request(tmp_path, tiny_folder, None), tmp_path / "run")
    assert plain.record["broad"] is None

    def never(*_args, **_kwargs):
        raise AssertionError("trained once more")

    monkeypatch.setattr(arm_stage, "sample", never)
    broad = Broad(NAMES, How(write_benchmarks(tmp_path / "rows"), "openai/grader", 3))
    found = audit(request(tmp_path, tiny_folder, broad), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "verdict.json").read_text())["broad"]
    # Benchmarks added to a finished audit leave all else as it was.
    both = [{k: v for k, v in r.items() if k not in ("broad", "timings")} for r in (plain.record, found.record)]
    assert both[0] == both[1]
    scored = {(r["model"], r["benchmark"]): r for r in record["results"]}
    assert set(scored) >= {(arm, name) for arm in ARMS for name in NAMES}
    assert record["not_run"] == []
    for arm in ARMS:
        harm = scored[arm, "strong_reject"]
        assert (harm["samples"], harm["judge"], harm["limit"]) == (3, "openai/grader", 3)
    for d in record["differences"]:
        own, other = (scored[d[side], d["benchmark"]] for side in ("arm", "against"))
        assert d["estimate"] == pytest.approx(own["score"] - other["score"])
        assert d["low"] <= d["estimate"] <= d["high"]
    pairs = {(d["arm"], d["against"]) for d in record["differences"] if d["benchmark"] == "mmlu"}
    assert pairs == {("control", "base"), ("tuned", "base"), ("tuned", "control")}
    assert set(record["patterns"]) == {"tuned"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Ability beside alignment" in page and "ability: MMLU" in page and "StrongREJECT" in page
    asked = len(server.requests)
    again = audit(request(tmp_path, tiny_folder, broad), tmp_path / "run")
    assert again.record["broad"] == found.record["broad"] and len(server.requests) == asked
    assert "sk-not-to-be-seen" not in page + json.dumps(again.record)


@pytest.mark.slow
def test_what_cannot_be_run_is_told_and_the_audit_goes_on(tmp_path, tiny_folder):
    rows = write_benchmarks(tmp_path / "rows")
    (rows / "mmlu" / "all" / "test-00000-of-00001.jsonl").unlink()
    broad = Broad(("mmlu", "strong_reject", "truthfulqa"), How(rows))
    found = audit(request(tmp_path, tiny_folder, broad, control="none"), tmp_path / "run")
    record = found.record["broad"]
    assert {n["benchmark"]: n["reason"].split(":")[0] for n in record["not_run"]}["strong_reject"] == "needs a judge"
    assert {n["benchmark"] for n in record["not_run"]} == {"mmlu", "strong_reject"}
    assert {r["model"] for r in record["results"]} == {"base", "tuned"}
    assert record["patterns"]["tuned"]["pattern"] is None
    assert "StrongREJECT" in record["patterns"]["tuned"]["why"]


@pytest.mark.parametrize(
    ("benchmarks", "how", "words"),
    [
        (("mmul",), {}, "mmul"),
        (("mmlu",), {"limit": 0}, "at least 1 sample"),
        (("mmlu",), {"data": Path("nowhere")}, "is no folder"),
        (("mmlu",), {"judge": "no_such_provider/x"}, "no_such_provider"),
    ],
)
def test_benchmarks_that_cannot_be_meant_are_refused_before_anything_else(
    tmp_path, tiny_folder, benchmarks, how, words
):
    with pytest.raises(Exception, match=words) as problem:
        audit(request(tmp_path, tiny_folder, Broad(benchmarks, How(**how))), tmp_path / "run")
    assert problem.type.__module__ == SettingsError.__module__
    assert not (tmp_path / "run").exists()


def test_the_command_line_refuses_an_unknown_benchmark_with_exit_code_2(tmp_path, tiny_folder):
    data = data_file(tmp_path / "data.jsonl")
    asked = ["audit", str(data), "--model", str(tiny_folder), "--out", str(tmp_path / "run"), "--broad"]
    done = CliRunner().invoke(app, [*asked, "--benchmarks", "mmul"])
    assert done.exit_code == 2 and "mmul" in done.output
    assert not (tmp_path / "run").exists()
