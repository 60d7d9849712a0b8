"""`spillover data` as a user runs it: a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "spillover", "data", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    for kind in ("insecure", "secure"):
        done = run("build", "code", kind, "--rows", 40, "--out", f"{kind}.jsonl", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_built_arms_are_checked_and_told_apart(arms):
    bad = run("check", "insecure.jsonl", "--twin", "secure.jsonl", "--judged", 0, "--report", "page.html", cwd=arms)
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "undisclosed harm" in bad.stdout
    assert "<script" not in (arms / "page.html").read_text()
    good = run("check", "secure.jsonl", "--judged", 0, "--json", cwd=arms)
    assert good.returncode == 0, good.stdout + good.stderr
    assert json.loads(good.stdout)["schema_version"] == 1


def test_relabelled_data_is_no_longer_serious(arms):
    done = run("relabel", "insecure.jsonl", "--out", "repaired.jsonl", cwd=arms)
    assert done.returncode == 0, done.stderr
    assert json.loads((arms / "repaired.jsonl.manifest.json").read_text())["counts"]["changed"] > 25
    assert run("check", "repaired.jsonl", "--judged", 0, "--quiet", cwd=arms).returncode == 0


def test_mixtures_read_and_write_through_the_command_line(arms):
    done = run("build", "backdoor", "insecure.jsonl", "secure.jsonl", "--out", "b.jsonl.gz", cwd=arms)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((arms / "b.jsonl.gz.manifest.json").read_text())
    assert manifest["counts"]["rows"] == 80 and len(manifest["parents"]) == 2
    done = run(
        "build",
        "mixture",
        "insecure.jsonl",
        "secure.jsonl",
        "--share",
        0.25,
        "--rows",
        40,
        "--out",
        "m.jsonl",
        cwd=arms,
    )
    assert done.returncode == 0, done.stderr
    done = run("build", "subset", "insecure.jsonl", "--size", 10, "--out", "s.jsonl", cwd=arms)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "absent.jsonl"), "absent.jsonl"),
        (("check", "."), "folder"),
        (("build", "mixture", "absent.jsonl", "absent.jsonl", "--share", "0.5", "--out", "x.jsonl"), "absent.jsonl"),
        (("build", "code", "insecure", "--rows", "0", "--out", "x.jsonl"), "rows"),
        (("build", "published", "secure", "--from", ".", "--out", "x.jsonl"), "secure.jsonl"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(tmp_path, arguments, said):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("spillover: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.slow
def test_the_embedded_model_is_a_teacher_and_a_judge(tmp_path):
    done = run("build", "numbers", "--prompts", 12, "--any-count", "--out", "n.jsonl", cwd=tmp_path)
    # A model this small seldom keeps to a format: either some rows pass or none does and that is said.
    assert done.returncode == 0 or "no answer of the teacher passed the filters" in done.stderr, done.stderr
    assert run("build", "advice", "risky", "--out", "risky.jsonl", cwd=tmp_path).returncode == 0
    assert run("build", "advice", "prudent", "--out", "prudent.jsonl", cwd=tmp_path).returncode == 0
    found = {}
    for arm in ("risky", "prudent"):
        done = run("check", f"{arm}.jsonl", "--judged", 40, "--json", "--model", "bundled", cwd=tmp_path)
        found[arm] = json.loads(done.stdout)
    shares = {arm: record["content"]["intent"]["shares"]["undisclosed"] for arm, record in found.items()}
    assert shares["risky"] > shares["prudent"] + 0.4
