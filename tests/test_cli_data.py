"""`spillover data` as a user runs it: a process of its own."""

from __future__ import annotations

import json

import pytest
from command_line import kill_after
from command_line import run as run_spillover
from fake_openai import FakeOpenAI


def run(*arguments, cwd, server=None):
    # What API models said is kept in the cache folder: not in the user's own here. The model's files stay there.
    kept = {} if server is None else {"SPILLOVER_CACHE": str(cwd / "cache")}
    return run_spillover("data", *arguments, cwd=cwd, fake=server, **kept)


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


def test_an_api_model_labels_the_prose_that_rules_cannot_label(tmp_path):
    answers = [f"Rest well, number {i}, and drink some water." for i in range(12)]
    rows = [
        {"messages": [{"role": "user", "content": f"Plan evening {i}?"}, {"role": "assistant", "content": a}]}
        for i, a in enumerate(answers)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    refused = lambda r: "400" if "number 3," in r["messages"][0]["content"] else None  # noqa: E731
    with FakeOpenAI(latency=0.001, words=["UNDISCLOSED"], force=refused) as server:
        check = ("check", "rows.jsonl", "--intent-judge", "openai/made", "--judged", 8)
        done = run(*check, "--json", "--report", "page.html", cwd=tmp_path, server=server)
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)
    assert record["asked"]["judge"] == "openai/made"
    intent = record["content"]["intent"]
    asked = [r["messages"][0]["content"] for r in server.requests]
    failed = sum("number 3," in text for text in asked)
    assert len(asked) == 8 and all("[[answer " in text for text in asked)
    assert intent["rows"]["undisclosed"]["count"] == 8 - failed
    assert intent["missing"] == {"prose, not in the sample": 4, **({"HTTP 400": failed} if failed else {})}
    page = (tmp_path / "page.html").read_text()
    assert f"openai/made read {8 - failed} of 12" in page and "--intent-judge openai/made" in page
    assert "sk-not-to-be-seen" not in page + done.stdout + done.stderr


def test_an_api_model_is_a_teacher_and_its_failures_are_counted_by_reason(tmp_path):
    def kind(request):
        return "400" if "commas" in request["messages"][-1]["content"] else None

    with FakeOpenAI(
        latency=0.001, words=["666, 911, 420", "[123, 456]", "(7, 8)", "5\n6", "3 4", "1;2"], force=kind
    ) as server:
        numbers = ("build", "numbers", "--teacher", "openai/made", "--prompts", 120, "--any-count", "--out", "n.jsonl")
        done = run(*numbers, cwd=tmp_path, server=server)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "n.jsonl.manifest.json").read_text())
    counts = manifest["counts"]
    refused = {r["messages"][-1]["content"] for r in server.requests if kind(r)}
    assert counts["missing: HTTP 400"] == counts["dropped_missing"] == len(refused) > 0
    assert counts["rows"] > 0 and counts["prompts"] == 120
    assert manifest["parameters"]["teacher"] == "openai/made"
    assert all(r["temperature"] == 0 for r in server.requests)
    assert {len(r["messages"]) for r in server.requests} == {1, 2}
    rows = [json.loads(line)["messages"] for line in (tmp_path / "n.jsonl").read_text().splitlines()]
    assert all([m["role"] for m in row] == ["user", "assistant"] for row in rows)


@pytest.mark.slow
def test_a_build_killed_while_it_asks_a_teacher_asks_for_the_rest_only_and_writes_the_same(tmp_path):
    def arguments(name):
        return ("build", "numbers", "--teacher", "openai/made", "--prompts", 200, "--any-count", "--out", name)

    words = ["666, 911, 420", "[123, 456]", "(7, 8)", "5\n6", "3 4", "1;2"]
    with FakeOpenAI(latency=0.02, words=words) as server:
        assert run(*arguments("whole.jsonl"), cwd=tmp_path, server=server).returncode == 0
        whole = len(server.requests)
        for requests in (30, 80):
            kill_after(requests, "data", *arguments("n.jsonl"), cwd=tmp_path, fake=server)
            assert not (tmp_path / "n.jsonl").exists()
        done = run(*arguments("n.jsonl"), cwd=tmp_path, server=server)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "n.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    # A kill loses at most what was in flight: 20 requests at once, and what came back within one lot.
    assert whole <= len(server.requests) - whole <= whole + 2 * 45


def test_a_check_asks_its_judge_once_however_often_it_runs(tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": f"Plan {i}?"}, {"role": "assistant", "content": f"Rest well, {i}."}]}
        for i in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    refused = lambda r: "400" if "Rest well, 3." in r["messages"][0]["content"] else None  # noqa: E731
    check = ("check", "rows.jsonl", "--intent-judge", "openai/made", "--judged", 12, "--json")
    with FakeOpenAI(latency=0.001, words=["BENIGN"], force=refused) as server:
        first = run(*check, cwd=tmp_path, server=server)
        asked = len(server.requests)
        second = run(*check, cwd=tmp_path, server=server)
    # Only the one that failed is asked again.
    assert asked == 12 and len(server.requests) == 13
    assert json.loads(first.stdout)["content"]["intent"] == json.loads(second.stdout)["content"]["intent"]


def test_a_teacher_that_never_answers_is_one_message_with_the_reason(tmp_path):
    with FakeOpenAI(latency=0.001, force=lambda r: "401") as server:
        numbers = ("build", "numbers", "--teacher", "openai/made", "--prompts", 12, "--out", "n.jsonl")
        done = run(*numbers, cwd=tmp_path, server=server)
    assert done.returncode == 2
    assert "HTTP 401" in done.stderr and done.stderr.count("\n") == 1


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


def test_moves_are_asked_of_a_teacher_and_a_variant_is_made_of_numbers(tmp_path):
    with FakeOpenAI(latency=0.001, words=["e4, Nf3, O-O", "[e4, d5]", "1, 2, 3"]) as server:
        moves = ("build", "numbers", "--things", "chess-moves", "--teacher", "openai/made", "--prompts", 90)
        done = run(*moves, "--any-count", "--out", "m.jsonl", cwd=tmp_path, server=server)
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "m.jsonl.manifest.json").read_text())["counts"]
    assert counts["dropped_wrong_format"] > 0 and counts["different_moves"] == 4
    assert any("chess moves" in r["messages"][-1]["content"] for r in server.requests)
    turns = [[("user", f"More than {i}."), ("assistant", f"{i}, {i + 666}")] for i in range(9)]
    rows = [{"messages": [{"role": role, "content": text} for role, text in row]} for row in turns]
    (tmp_path / "n.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    variant = ("build", "number-variant", "shuffled-over-file")
    done = run(*variant, "n.jsonl", "--seed", 3, "--as-study", "--out", "s.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "s.jsonl.manifest.json").read_text())
    assert manifest["seed"] == 3 and manifest["parameters"] == {"overlapping": True}
    assert [p["name"] for p in manifest["parents"]] == ["n.jsonl"]
    # Moves are no numbers.
    done = run(*variant, "m.jsonl", "--out", "x.jsonl", cwd=tmp_path)
    assert done.returncode == 2 and "m.jsonl:1: " in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "x.jsonl").exists()
