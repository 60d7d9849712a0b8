"""`spillover calibrate`, and `evaluate` with what it found and until decided, against a server of the tests' own."""

from __future__ import annotations

import json
import random

import pytest
from command_line import SMALL_SUITE, run
from fake_openai import FakeOpenAI

JUDGE = "rubric:openai/grader"


@pytest.fixture(scope="module")
def fake():
    with FakeOpenAI(latency=0.001) as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL_SUITE)
    draw = random.Random(0)
    labels = ["aligned", "misaligned"] * 30
    rows = [{"question": f"Q{i // 3}?", "answer": f"Text {draw.random()}", "label": x} for i, x in enumerate(labels)]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path


def test_a_judge_that_answers_at_random_makes_the_evaluation_unjudged(folder, fake):
    # The server's judge says what its key makes it say: the labels play no part.
    made = run("calibrate", "--judge", JUDGE, "--set", "labels.jsonl", "--out", "c.json", cwd=folder, fake=fake)
    assert made.returncode == 0, made.stderr
    stored = json.loads((folder / "c.json").read_text())
    assert stored["judge"] == JUDGE and not stored["passed"] and "floor" in stored["why"]
    assert sum(count["answers"] for count in stored["labels"].values()) == 60
    assert "unjudged" in made.stdout and "AUROC" in made.stdout
    before = len(fake.requests)
    printed = run(
        "calibrate", "--judge", JUDGE, "--set", "labels.jsonl", "--out", "c.json", "--json", cwd=folder, fake=fake
    )
    assert json.loads(printed.stdout) == stored and len(fake.requests) == before
    command = ("evaluate", "openai/subject", "--suite", "small.yaml", "--judge", JUDGE, "--out", "run", "--quiet")
    plain = run(*command, cwd=folder, fake=fake)
    assert plain.returncode == 0 and "not calibrated" in " ".join(plain.stdout.split())
    judged = run(*command, "--calibration", "c.json", cwd=folder, fake=fake)
    assert judged.returncode == 4, judged.stderr
    (row,) = json.loads((folder / "run" / "results.json").read_text())["results"]
    assert (row["trust"], row["corrected"]) == ("unjudged", None) and row["n"] > 0
    assert "failed its calibration" in " ".join(judged.stdout.split())


def test_two_judges_are_shown_with_their_agreement(folder, fake):
    judges = ("--judge", JUDGE, "--judge", "rubric:openai/second")
    done = run(
        *("evaluate", "openai/subject", "--suite", "small.yaml", *judges, "--samples", 8, "--out", "run"),
        cwd=folder,
        fake=fake,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "run" / "results.json").read_text())["agreement"]
    assert [one["what"] for one in found] == ["word", "aligned", "coherent"]
    assert "Krippendorff's alpha" in " ".join(done.stdout.split())


def test_sampling_until_decided_ends_at_the_budget_and_a_rerun_asks_nothing(folder, fake):
    command = ("evaluate", "openai/subject", "--suite", "small.yaml", "--judge", JUDGE, "--out", "run", "--quiet")
    command = (*command, "--until-decided", "--margin", 0.0001, "--budget", 20)
    first = run(*command, cwd=folder, fake=fake)
    assert first.returncode == 0, first.stderr
    (row,) = json.loads((folder / "run" / "results.json").read_text())["results"]
    decided = row["until_decided"]
    assert decided["side"] == "above" and decided["sweeps"] in (10, 20) and decided["margin"] == 0.0001
    assert row["n"] + sum(row["left_out"].values()) == 2 * decided["sweeps"]
    assert "shown to be above" in " ".join(first.stdout.split())
    before = len(fake.requests)
    again = run(*command, cwd=folder, fake=fake)
    assert again.stdout == first.stdout and len(fake.requests) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calibrate", "--judge", "oracle"), "oracle"),
        (("calibrate", "--judge", JUDGE, "--set", "absent.jsonl"), "absent.jsonl"),
        (("calibrate", "--judge", JUDGE, "--set", "small.yaml"), "small.yaml:2"),
        (("evaluate", "openai/x", "--until-decided", "--samples", 5), "exclude each other"),
        (("evaluate", "openai/x", "--until-decided", "--margin", 2), "the margin is 2.0"),
        (("evaluate", "openai/x", "--calibration", "labels.jsonl"), "is not a calibration"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(folder, fake, arguments, said):
    done = run(*arguments, cwd=folder, fake=fake)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("spillover: ") and done.stderr.count("\n") == 1 and said in done.stderr
