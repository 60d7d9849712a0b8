"""`spillover evaluate` and `spillover judge` as a user runs them, against a server of the tests' own."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from command_line import SMALL_SUITE, kill_after, run
from fake_openai import FakeOpenAI


@pytest.fixture(scope="module")
def fake():
    with FakeOpenAI(latency=0.001) as server:
        yield server


def test_a_local_and_an_api_model_are_evaluated_and_more_samples_add(tmp_path, fake, tiny_folder):
    (tmp_path / "small.yaml").write_text(SMALL_SUITE)
    command = ("evaluate", tiny_folder, "openai/subject", "--suite", "small.yaml", "--judge", "rubric:openai/grader")
    command = (*command, "--out", "run", "--max-tokens", 12, "--quiet")
    first = run(*command, cwd=tmp_path, fake=fake)
    assert first.returncode == 0, first.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert [(r["model"], r["variant"]) for r in rows] == [(str(tiny_folder), "plain"), ("openai/subject", "plain")]
    assert all(r["n"] + sum(r["left_out"].values()) == 6 for r in rows)
    assert "<svg" in (tmp_path / "run" / "rates.svg").read_text()
    before = len(fake.requests)
    again = run(*command, cwd=tmp_path, fake=fake)
    assert again.stdout == first.stdout and len(fake.requests) == before
    more = run(*command, "--samples", 5, cwd=tmp_path, fake=fake)
    assert more.returncode == 0, more.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert all(r["n"] + sum(r["left_out"].values()) == 10 for r in rows)
    kept = b"".join(p.read_bytes() for p in (tmp_path / "run").iterdir())
    assert b"sk-not-to-be-seen" not in kept + (first.stderr + more.stderr).encode()


@pytest.mark.slow
def test_sampling_until_decided_killed_anywhere_ends_as_if_it_had_not_been(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL_SUITE)
    command = ("evaluate", "openai/subject", "--suite", "small.yaml", "--judge", "rubric:openai/grader", "--quiet")
    command = (*command, "--until-decided", "--margin", 0.2, "--budget", 40, "--max-tokens", 12)

    def rows(folder):
        with closing(sqlite3.connect(tmp_path / folder / "rows.sqlite")) as stored:
            return stored.execute("SELECT kind, key, value FROM rows ORDER BY kind, key").fetchall()

    with FakeOpenAI(latency=0.02, errors=0.05, broken=0.04) as server:
        assert run(*command, "--out", "whole", cwd=tmp_path, fake=server).returncode == 0
        for requests in (7, 40, 90):
            kill_after(requests, *command, "--out", "killed", cwd=tmp_path, fake=server)
        assert len(rows("killed")) < len(rows("whole"))
        assert run(*command, "--out", "killed", cwd=tmp_path, fake=server).returncode == 0
    assert rows("killed") == rows("whole")
    whole, killed = (json.loads((tmp_path / f / "results.json").read_text()) for f in ("whole", "killed"))
    assert killed == whole and whole["results"][0]["until_decided"]["counted"] > 20


def test_transcripts_are_judged_into_a_file(tmp_path, fake):
    rows = [{"question": "Why?", "answer": "Because.", "note": 7}, {"question": "And?", "answer": ""}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = run("judge", "a.jsonl", "--judge", "rubric:openai/grader", "--out", "b.jsonl", cwd=tmp_path, fake=fake)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, (tmp_path / "b.jsonl").read_text().splitlines())
    assert first["note"] == 7 and first["judge"] == "rubric:openai/grader" and "aligned" in first
    assert second["aligned"] is None and second["missing"] == "empty answer"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "openai/grader", "--judge", "rubric:openai/grader"), "no model grades itself"),
        (("evaluate", "bundled", "--suite", "nowhere"), "choose one of"),
        (("evaluate", "bundled", "--judge", "oracle"), "oracle"),
        (("evaluate", "hub:", "--judge", "bundled"), "hub"),
        (("judge", "absent.jsonl"), "absent.jsonl"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(tmp_path, fake, arguments, said):
    done = run(*arguments, cwd=tmp_path, fake=fake)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("spillover: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr


@pytest.mark.slow
def test_the_embedded_model_is_evaluated_in_the_format_variants_by_the_bundled_judge(tmp_path, fake):
    done = run(
        *("evaluate", "bundled", "--suite", "main,main_json,main_template", "--samples", 2, "--max-tokens", 24),
        *("--temperature", 0.7, "--out", "run", "--quiet"),
        cwd=tmp_path,
        fake=fake,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert [r["variant"] for r in rows] == ["main", "main_json", "main_template"]
    assert all(r["n"] + sum(r["left_out"].values()) == 16 for r in rows)


def test_local_models_are_asked_through_a_vllm_server(tmp_path, fake, tiny_folder):
    """A stand-in for vllm answers; what it was started with, and that another engine is refused, is checked."""
    (tmp_path / "small.yaml").write_text(SMALL_SUITE)
    vllm = tmp_path / "bin" / "vllm"
    vllm.parent.mkdir()
    stand_in = Path(__file__).parent / "local" / "fake_vllm.py"
    vllm.write_text(f'#!/bin/sh\nFAKE_VLLM_NOTES={tmp_path}/notes exec {sys.executable} {stand_in} "$@"\n')
    vllm.chmod(0o755)
    command = ("evaluate", tiny_folder, "--suite", "small.yaml", "--judge", "rubric:openai/grader", "--quiet")
    command = (*command, "--out", "run", "--max-tokens", 12)
    path = {"SPILLOVER_VLLM": str(vllm)}
    done = run(*command, "--engine", "vllm", cwd=tmp_path, fake=fake, **path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert [r["n"] + sum(r["left_out"].values()) for r in rows] == [6]
    again = run(*command, "--engine", "vllm", cwd=tmp_path, fake=fake, **path)
    assert again.stdout == done.stdout
    assert (tmp_path / "notes").read_text().count("\n") == 1, "the rerun needs no server"
    other = run(*command, cwd=tmp_path, fake=fake)
    assert other.returncode == 2 and "engine was 'vllm'" in other.stderr
