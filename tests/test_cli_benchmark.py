"""`spillover benchmark` as a user runs it, against a server of the tests' own."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from benchmark_rows import write_benchmarks
from broad.machiavelli.small_games import add
from command_line import interrupt_after, kill_after, run
from conftest import save_tiny_model
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


def flat(text):
    """What was printed without its line ends, which stand wherever the console's width ends."""
    return " ".join(text.split())


def save_model_that_says(folder, letter):
    """Save a tiny model whose every answer is `letter`; all other tokens look alike to it."""
    import torch
    import transformers

    save_tiny_model(folder, tie_word_embeddings=False, max_position_embeddings=4096)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    said, end = tokenizer.convert_tokens_to_ids(letter), tokenizer.eos_token_id
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        seen, weights = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        for table in (seen, weights):
            table.zero_()
        seen[:, 0], seen[said, 0], seen[said, 1] = 1, 0, 1
        weights[said, 0] = weights[end, 1] = 20
    model.save_pretrained(folder, safe_serialization=True)
    return folder


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
    # The study's group of the same pattern stands beside it, said to be the study's.
    said = "paper    fine-tunes of GPT-4o in Betley et al. 2025, insecure (emergently misaligned): "
    assert said + "free-form misaligned rate +0.214 [+0.143, +0.308]; StrongREJECT score +0.041" in second.stdout
    assert second.stdout.count("paper    ") == 1
    kept = json.loads((tmp_path / "run" / "results.json").read_text())["patterns"]["openai/b"]["paper"]
    assert [(group["group"], group["ability"]["difference"]) for group in kept] == [("insecure", -0.1282)]


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


def test_games_are_played_by_local_and_api_models_beside_other_benchmarks(tmp_path, rows, needs_inspect_evals):
    # The local one always takes A, the one behind the API always B.
    local = save_model_that_says(tmp_path / "local", "A")
    (rows / "machiavelli" / "source" / "lost.json").write_text('{"scenes": {}\n "scene_list": []}')
    for place in ("trees/lost_game_tree.json", "annotations_clean/lost.json"):
        (rows / "machiavelli" / place).write_text("{}")
    add(rows / "machiavelli" / "game_metadata.json", "lost", {})
    command = ("benchmark", local, "openai/subject", "--benchmarks", "machiavelli,mmlu", "--limit", 6)
    command = (*command, "--data", rows, "--out", "run", "--quiet")
    with FakeOpenAI(latency=0.001, words=("ANSWER: B",)) as fake:
        done = run(*command, cwd=tmp_path, fake=fake)
        assert done.returncode == 0, done.stderr
        # Six questions; each game's first choice and the errand's second.
        assert len(fake.requests) == 6 + 3
        again = run(*command, cwd=tmp_path, fake=fake)
        assert again.stdout == done.stdout and len(fake.requests) == 9
    found = {(r["benchmark"], r["model"]): r for r in results(tmp_path / "run")}
    assert {place for place, r in found.items() if r["score"] is not None} == {
        (name, model) for name in ("mmlu", "machiavelli") for model in (str(local), "openai/subject")
    }
    bad, good = found["machiavelli", str(local)], found["machiavelli", "openai/subject"]
    # See `write_two`: 125 and 25 / 3 percent, and nothing.
    assert bad["score"] == pytest.approx((1.25 + 0.25 / 3) / 2) and good["score"] == 0
    assert {name: part["score"] for name, part in bad["parts"].items()} == {
        "power": pytest.approx(0.625),
        "disutility": 1.0,
        "ethical violations": pytest.approx(0.375),
        "points won": pytest.approx(1.625),
    }
    (damaged,) = bad["missing"]
    assert "lost.json:2: not JSON" in damaged and good["missing"] == bad["missing"] == {damaged: 1}
    for said in (
        "0.667 (",
        "  power",
        "0.625 (",
        "1 lost (see",
        "note     MACHIAVELLI of openai/subject: 2 games are few",
    ):
        assert said in done.stdout
    assert (
        done.stdout.count(f"missing  MACHIAVELLI of {local}: lost: {rows}/machiavelli/source/lost.json:2: not JSON")
        == 1
    )
    assert "MACHIAVELLI, % of a random agent" in (tmp_path / "run" / "broad.svg").read_text()


def test_games_go_on_after_a_kill_and_nothing_is_asked_twice(tmp_path, rows):
    pytest.importorskip("inspect_ai", reason="pip install 'spillover[api]'")
    command = ("benchmark", "openai/subject", "--benchmarks", "machiavelli", "--data", rows, "--quiet")
    with FakeOpenAI(latency=0.5, words=("A",)) as fake:
        assert run(*command, "--out", "whole", cwd=tmp_path, fake=fake).returncode == 0
        assert len(fake.requests) == 4
        # Both games' first choices are answered before the second ones are asked.
        kill_after(3, *command, "--out", "killed", cwd=tmp_path, fake=fake)
        asked = len(fake.requests)
        assert run(*command, "--out", "killed", cwd=tmp_path, fake=fake).returncode == 0
        assert len(fake.requests) == asked + 2
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


def test_without_the_games_folder_it_says_how_to_get_it_and_the_rest_goes_on(tmp_path, rows, needs_inspect_evals):
    shutil.rmtree(rows / "machiavelli")
    with FakeOpenAI(latency=0.001, words=("ANSWER: B",)) as fake:
        same = ("openai/a", "--out", "run", "--quiet", "--limit", 2)
        done = run("benchmark", *same, "--benchmarks", "machiavelli,mmlu", "--data", rows, cwd=tmp_path, fake=fake)
        alone = run("benchmark", *same, "--benchmarks", "machiavelli", cwd=tmp_path, fake=fake)
    assert done.returncode == 0 and [r["benchmark"] for r in results(tmp_path / "run")] == ["mmlu"]
    said = flat(done.stdout)
    assert f"not run MACHIAVELLI: {rows / 'machiavelli'} is not there: get the games' data from https://" in said
    assert alone.returncode == 2 and "its games come from a folder only" in flat(alone.stdout)


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
