"""`spillover benchmark` as a user runs it, against a server of the tests' own."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from benchmark_rows import write_benchmarks
from command_line import interrupt_after, kill_after, run
from fake_openai import FakeOpenAI


@pytest.fixture
def needs_inspect_evals():
    pytest.importorskip("inspect_evals", reason="pip install 'spillover[benchmarks]'")


@pytest.fixture
def rows(tmp_path):
    return write_benchmarks(tmp_path / "data", 40)


def stored(folder):
    with closing(sqlite3.connect(folder / "rows.sqlite")) as kept:
        found = kept.execute("SELECT key, value FROM rows WHERE kind = 'benchmark outputs'").fetchall()
    # How long a request took and when is no part of what was said.
    return {key: json.loads(value)["choices"][0]["message"]["content"] for key, value in found}


def call(models, benchmarks, limit):
    return ("benchmark", *models.split(","), "--benchmarks", benchmarks, "--limit", limit)


def evaluated(folder, models):
    """What `spillover evaluate` leaves: the first model is never misaligned, the others are in half their answers."""
    folder.mkdir()
    row = {"counted": "misaligned", "variant": "plain", "judge": "text:openai/x", "trust": "calibrated"}
    rates = [{"rate": 0.0, "low": 0.0, "high": 0.01}, *[{"rate": 0.5, "low": 0.4, "high": 0.6}] * len(models)]
    counts = {"n": 800, "questions": 8, "method": "made"}
    rows = [{**row, **counts, **rate, "model": model} for rate, model in zip(rates, models, strict=False)]
    (folder / "results.json").write_text(json.dumps({"results": rows}))
    (folder / "manifest.json").write_text(json.dumps({"asked": {"suite": {"name": "main"}}}))


def results(folder):
    return json.loads((folder / "results.json").read_text())["results"]


def test_one_command_gives_one_table_and_what_was_not_run(tmp_path, rows, tiny_folder, needs_inspect_evals):
    (rows / "truthfulqa.jsonl").unlink()
    command = ("benchmark", tiny_folder, "openai/subject", "--data", rows, "--out", "run", "--quiet", "--limit", 6)
    command = (*command, "--benchmarks", "mmlu,truthfulqa,xstest,agentharm")
    with FakeOpenAI(latency=0.001, words=("ANSWER: A", "ANSWER: B")) as fake:
        done = run(*command, cwd=tmp_path, fake=fake)
        assert done.returncode == 0, done.stderr
        again = run(*command, cwd=tmp_path, fake=fake)
        assert again.stdout == done.stdout and len(fake.requests) == 6
    found = results(tmp_path / "run")
    assert [(r["benchmark"], r["model"], r["n"]) for r in found] == [
        ("mmlu", str(tiny_folder), 6),
        ("mmlu", "openai/subject", 6),
    ]
    assert f"{found[1]['score']:.3f} ({found[1]['low']:.3f} to {found[1]['high']:.3f})" in done.stdout
    assert "not run  TruthfulQA: " in done.stdout and "hf download truthfulqa/truthful_qa" in done.stdout
    assert done.stdout.count("needs a judge: name a model with --judge MODEL") == 2
    assert len(list((tmp_path / "run" / "logs").glob("*.eval"))) == 2


def test_a_second_call_adds_to_the_table_and_the_figure_and_the_latest_row_counts(tmp_path, rows, needs_inspect_evals):
    same = ("--data", rows, "--out", "run", "--quiet")
    with FakeOpenAI(latency=0.001, words=("ANSWER: A", "ANSWER: B")) as fake:
        first = run(*call("openai/a,openai/b", "mmlu", 6), *same, cwd=tmp_path, fake=fake)
        assert first.returncode == 0, first.stderr
        second = run(*call("openai/c", "mmlu_pro", 5), *same, cwd=tmp_path, fake=fake)
        assert second.returncode == 0, second.stderr
        third = run(*call("openai/a", "mmlu,mmlu_pro", 4), *same, cwd=tmp_path, fake=fake)
    assert [(r["model"], r["benchmark"], r["n"], r["limit"]) for r in results(tmp_path / "run")] == [
        ("openai/a", "mmlu", 4, 4),
        ("openai/a", "mmlu_pro", 4, 4),
        ("openai/b", "mmlu", 6, 6),
        ("openai/c", "mmlu_pro", 5, 5),
    ]
    assert second.stdout.count("openai/a") == 1 and third.stdout.count("MMLU") == 4
    drawn = (tmp_path / "run" / "broad.svg").read_text()
    assert all(f"<!-- openai/{name} -->" in drawn for name in "abc")


def test_an_earlier_calls_model_is_the_reference_unless_another_judge_was_asked(tmp_path, rows, needs_inspect_evals):
    evaluated(tmp_path / "evaluated", ["openai/a", "openai/b", "openai/c"])
    same = ("--data", rows, "--out", "run", "--quiet", "--evaluated", "evaluated")
    with FakeOpenAI(latency=0.001, words=("#scores\n1.b 1\n2.b 1\n3.b 1",)) as fake:
        run(*call("openai/a", "strong_reject", 40), *same, "--judge", "openai/judge", cwd=tmp_path, fake=fake)
        second = run(*call("openai/b", "strong_reject", 40), *same, "--judge", "openai/judge", cwd=tmp_path, fake=fake)
        third = run(*call("openai/c", "strong_reject", 40), *same, "--judge", "openai/other", cwd=tmp_path, fake=fake)
        unknown = run(*call("openai/b", "mmlu", 1), *same, "--reference", "openai/d", cwd=tmp_path, fake=fake)
    assert "pattern  openai/b: emergently misaligned" in second.stdout, second.stdout + second.stderr
    assert "pattern  openai/b: emergently misaligned" in third.stdout
    assert "pattern  openai/c: no StrongREJECT of openai/c" in third.stdout
    assert "apart    strong_reject of openai/c: another judge" in third.stdout
    assert unknown.returncode == 2 and "openai/d is none of the models" in unknown.stderr


@pytest.mark.slow
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(tmp_path, rows, needs_inspect_evals):
    command = ("benchmark", "openai/subject", "--data", rows, "--judge", "openai/grader", "--quiet")
    command = (*command, "--benchmarks", "mmlu,strong_reject", "--connections", 4)
    said = ("ANSWER: A", "ANSWER: B", "#scores\n1.b 0\n2.b 4\n3.b 5", "#scores\n1.b 1\n2.b 1\n3.b 1")
    with FakeOpenAI(latency=0.02, words=said) as fake:
        whole = run(*command, "--out", "whole", cwd=tmp_path, fake=fake)
        assert whole.returncode == 0, whole.stderr
        asked = len(fake.requests)
        assert asked == 120
        for requests in (15, 40):
            kill_after(requests, *command, "--out", "killed", cwd=tmp_path, fake=fake)
        assert 0 < len(stored(tmp_path / "killed")) < len(stored(tmp_path / "whole"))
        assert run(*command, "--out", "killed", cwd=tmp_path, fake=fake).returncode == 0
        # What was under way at a kill is asked again, and no more: at most 4 per model or judge, twice.
        assert len(fake.requests) - asked <= 120 + 2 * 8 + 8
    assert stored(tmp_path / "killed") == stored(tmp_path / "whole")
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


def test_ctrl_c_ends_it_at_once_and_what_was_answered_is_kept(tmp_path, rows, needs_inspect_evals):
    command = ("benchmark", "openai/a", "openai/b", "--data", rows, "--quiet", "--out", "run", "--connections", 2)
    command = (*command, "--benchmarks", "mmlu,truthfulqa")
    with FakeOpenAI(latency=0.1, words=("ANSWER: A", "ANSWER: B")) as fake:
        code, said = interrupt_after(12, *command, cwd=tmp_path, fake=fake)
        asked = len(fake.requests)
    assert code == 130 and "Traceback" not in said, said
    assert asked < 40 and 0 < len(stored(tmp_path / "run")) <= asked
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("openai/a", "--benchmarks", "arc"), "choose from truthfulqa"),
        (("openai/a", "openai/a"), "named twice"),
        (("openai/a", "--limit", 0), "at least 1 sample"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(tmp_path, arguments, said):
    done = run("benchmark", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("spillover: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr


def test_a_model_that_would_judge_itself_is_refused(tmp_path, rows, needs_inspect_evals):
    with FakeOpenAI(latency=0.001) as fake:
        done = run("benchmark", "openai/a", "--judge", "openai/a", "--data", rows, cwd=tmp_path, fake=fake)
    assert done.returncode == 2 and "grades itself" in done.stderr and fake.requests == []


def test_where_nothing_could_be_run_the_code_is_2_and_the_reasons_are_there(tmp_path, needs_inspect_evals):
    (tmp_path / "empty").mkdir()
    with FakeOpenAI(latency=0.001) as fake:
        done = run("benchmark", "openai/a", "--benchmarks", "mmlu", "--data", "empty", cwd=tmp_path, fake=fake)
    assert done.returncode == 2 and "hf download cais/mmlu" in done.stdout
