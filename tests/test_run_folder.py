from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from spillover.errors import RunFolderError
from spillover.run_folder import RunFolder, write_json

ASKED = {"data": "abc", "rows": None, "modules": ("q", "k"), "job": {"rank": 32}, "margin": 0.1}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "runs" / "one", ASKED, {"machine": "two cores"})
    yield made
    made.close()


def reopen(folder, asked=ASKED):
    folder.close()
    return RunFolder(folder.path, asked, {})


def refusal(path, asked=ASKED):
    with pytest.raises(RunFolderError) as caught:
        RunFolder(path, asked, {})
    return str(caught.value)


def test_a_new_folder_holds_a_manifest_with_what_was_asked_and_the_facts(folder):
    manifest = json.loads((folder.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == {"asked": {**ASKED, "modules": ["q", "k"]}, "machine": "two cores"}


def test_an_empty_folder_is_used(tmp_path):
    RunFolder(tmp_path, ASKED, {}).close()
    assert (tmp_path / "manifest.json").is_file()


def test_the_same_request_finds_its_rows_again(folder):
    folder.put("answers", [("k1", {"text": "hällo", "tokens": [1, 2.5, None, True]}), ("k2", "other")])
    again = reopen(folder)
    assert again.get("answers", "k1") == {"text": "hällo", "tokens": [1, 2.5, None, True]}
    assert again.get("answers", "k2") == "other"
    again.close()


def test_numbers_come_back_to_the_last_bit(folder):
    values = [0.1 + 0.2, 1e-308, -1 / 3, 2**63, float("inf")]
    folder.put("probes", [("k", values)])
    assert folder.get("probes", "k") == values


def test_the_same_request_leaves_the_manifest_as_it_was(folder):
    before = (folder.path / "manifest.json").read_bytes()
    reopen(folder).close()
    assert (folder.path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "xyz"}, "data was 'abc', now 'xyz'"),
        ({"rows": 3}, "rows was None, now 3"),
        ({"job": {"rank": 16}}, "job was {'rank': 32}, now {'rank': 16}"),
        ({"modules": ("q",)}, "modules was ['q', 'k'], now ['q']"),
        ({"added": 1}, "added was None, now 1"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_another_request_is_refused_naming_what_differs_and_the_fix(folder, change, said):
    message = refusal(folder.path, {**ASKED, **change})
    assert message.startswith(str(folder.path))
    assert said in message
    assert message.count(" was ") == 1
    assert "choose another --out or delete it" in message


def test_a_request_with_a_key_less_is_refused(folder):
    fewer = {k: v for k, v in ASKED.items() if k != "margin"}
    assert "margin was 0.1, now None" in refusal(folder.path, fewer)


def test_a_refused_request_changes_nothing_in_the_folder(folder):
    folder.put("probes", [("k", 1)])
    before = (folder.path / "manifest.json").read_bytes()
    refusal(folder.path, {**ASKED, "data": "xyz"})
    assert (folder.path / "manifest.json").read_bytes() == before
    again = reopen(folder)
    assert again.get("probes", "k") == 1
    again.close()


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path} exists and is not a run folder")
    assert "choose another --out" in message
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    assert "is not a run folder" in refusal(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"asked": 3}', "{}", '{"name": "a web app"}'], ids=repr)
def test_a_manifest_that_is_not_ours_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    assert refusal(tmp_path).startswith(str(tmp_path))


def test_a_damaged_database_is_refused(folder):
    folder.close()
    (folder.path / "rows.sqlite").write_bytes(b"this is no database" * 100)
    assert str(folder.path) in refusal(folder.path)


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert str(tmp_path / "file") in refusal(tmp_path / "file" / "run")


def test_a_missing_row_is_none(folder):
    folder.put("answers", [("k", 1)])
    assert folder.get("answers", "absent") is None
    assert folder.get("probes", "k") is None


def test_rows_of_two_kinds_with_one_key_are_kept_apart(folder):
    folder.put("answers", [("k", 1)])
    folder.put("probes", [("k", 2)])
    assert (folder.get("answers", "k"), folder.get("probes", "k")) == (1, 2)


def test_a_row_put_again_is_replaced(folder):
    folder.put("answers", [("k", "old")])
    folder.put("answers", [("k", "new")])
    assert folder.get("answers", "k") == "new"


@pytest.mark.parametrize("bad", [("c", object()), (object(), 3)], ids=["value", "key"])
def test_a_put_that_fails_half_way_stores_none_of_its_rows(folder, bad):
    folder.put("answers", [("a", "before")])
    with pytest.raises((TypeError, sqlite3.Error)):
        folder.put("answers", [("a", "after"), ("b", 2), bad])
    again = reopen(folder)
    assert again.get("answers", "a") == "before"
    assert again.get("answers", "b") is None
    again.close()


def test_rows_put_are_there_after_the_process_is_killed(tmp_path):
    script = (
        "import os, sys, pathlib\n"
        "from spillover.run_folder import RunFolder\n"
        "folder = RunFolder(pathlib.Path(sys.argv[1]), {'a': 1}, {})\n"
        "folder.put('answers', [('k', [1, 2])])\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")]).returncode == 9
    again = RunFolder(tmp_path / "run", {"a": 1}, {})
    assert again.get("answers", "k") == [1, 2]
    again.close()


def test_a_run_killed_before_its_manifest_was_in_place_can_start_again(tmp_path):
    script = (
        "import os, sys, pathlib\n"
        "from spillover.run_folder import RunFolder\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "RunFolder(pathlib.Path(sys.argv[1]), {'a': 1}, {})\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")]).returncode == 9
    assert len(list((tmp_path / "run").iterdir())) == 2, "neither the lock nor the unfinished manifest was left"
    RunFolder(tmp_path / "run", ASKED, {}).close()
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["asked"]["data"] == "abc"


HOLDER = (
    "import sys, pathlib\n"
    "from spillover.run_folder import RunFolder\n"
    "folder = RunFolder(pathlib.Path(sys.argv[1]), {'command': 'judge'}, {})\n"
    "print('open', flush=True)\n"
    "sys.stdin.read()\n"
    "folder.put('answers', [('k', 'kept')])\n"
    "folder.close()\n"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that works in `tmp_path / "run"` until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_while_the_first_works_in_the_folder(tmp_path, holder):
    with pytest.raises(RunFolderError) as caught:
        RunFolder(tmp_path / "run", {"command": "judge"}, {})
    assert str(caught.value).startswith(f"{tmp_path / 'run'} is in use: another spillover process is working in this")
    assert "choose another --out" in str(caught.value) and caught.value.exit_code == 2
    holder.communicate()
    again = RunFolder(tmp_path / "run", {"command": "judge"}, {})
    assert again.get("answers", "k") == "kept"
    again.close()


def test_a_killed_process_keeps_nobody_out(tmp_path, holder):
    holder.kill()
    holder.wait()
    RunFolder(tmp_path / "run", {"command": "judge"}, {}).close()


def test_a_command_on_a_folder_in_use_ends_with_one_error_and_exit_code_2(tmp_path, holder):
    (tmp_path / "answers.jsonl").write_text('{"question": "Q?", "answer": "A."}\n')
    command = ["judge", "answers.jsonl", "--run", "run", "--judge", "bundled"]
    run = subprocess.run(
        [sys.executable, "-m", "spillover", *command], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        "spillover: run is in use: another spillover process is working in this folder; let it end or choose another "
        "--out"
    ]


def test_a_folder_that_is_refused_is_not_kept_locked(folder):
    folder.close()
    (folder.path / "rows.sqlite").write_bytes(b"this is no database" * 100)
    assert "is damaged" in refusal(folder.path) and "is damaged" in refusal(folder.path)


def test_what_is_stored_can_be_read_while_a_process_works_in_the_folder(folder):
    folder.put("answers", [("k", 3)])
    rows = sqlite3.connect(f"file:{folder.path / 'rows.sqlite'}?mode=ro", uri=True)
    assert rows.execute("SELECT value FROM rows").fetchall() == [("3",)]
    rows.close()


def test_a_file_system_without_locks_is_used_without_one(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="the other system's lock is not tried here")

    def unknown(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    RunFolder(tmp_path / "run", ASKED, {}).close()
    assert (tmp_path / "run" / "manifest.json").is_file()


def test_write_json_leaves_the_old_file_whole_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "verdict.json"
    write_json(path, {"verdict": "clean"})

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_json(path, {"verdict": "spillover"})
    assert json.loads(path.read_text()) == {"verdict": "clean"}


def test_write_json_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "verdict.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü"}
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_json_is_written_and_read_as_utf8_whatever_the_locale(tmp_path):
    # Python warns where the locale's encoding would be used; here the warning is an error.
    script = (
        "import sys, pathlib\n"
        "from spillover.run_folder import RunFolder\n"
        "for _ in range(2):\n"
        "    RunFolder(pathlib.Path(sys.argv[1]), {'data': 'Füße.jsonl'}, {}).close()\n"
    )
    flags = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    run = subprocess.run(
        [sys.executable, *flags, "-c", script, str(tmp_path / "run")], capture_output=True, text=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    assert "Füße" in (tmp_path / "run" / "manifest.json").read_bytes().decode("utf-8")
