from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spillover.whole_file import is_left_over, whole_file


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("problem", [ValueError("half way"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_writer_that_raises_midway_leaves_the_old_file_and_nothing_beside_it(tmp_path, problem):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"old")
    with pytest.raises(type(problem)), whole_file(path) as handle:
        handle.write(b"new" * 100_000)
        handle.flush()
        assert len(names(tmp_path)) == 2
        raise problem
    assert path.read_bytes() == b"old" and names(tmp_path) == ["rows.jsonl"]


def test_what_was_written_is_there_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "below" / "rows.jsonl"
    with whole_file(path) as handle:
        handle.write(b"one ")
        handle.flush()
        assert not path.exists()
        handle.write(b"two")
    assert path.read_bytes() == b"one two" and names(path.parent) == ["rows.jsonl"]


def test_a_file_that_cannot_be_moved_to_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"), whole_file(path) as handle:
        handle.write(b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["rows.jsonl"]


def test_the_bytes_are_on_the_disk_before_the_file_takes_its_place(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    done = []
    sync, move = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append(os.fstat(number).st_size), sync(number)))
    monkeypatch.setattr(os, "replace", lambda *places: (done.append("moved"), move(*places)))
    with whole_file(path) as handle:
        handle.write(b"123")
    assert done[:2] == [3, "moved"] and len(done) == 2 + (os.name == "posix")


def test_a_place_below_a_file_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError), whole_file(tmp_path / "file" / "rows.jsonl"):
        pass


def test_a_killed_writer_leaves_the_old_file_and_what_it_leaves_beside_it_is_known(tmp_path):
    (tmp_path / "a.json").write_bytes(b"old")
    script = (
        "import os, pathlib, sys\n"
        "from spillover.whole_file import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1])) as handle:\n"
        "    handle.write(b'new' * 100_000)\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.json")]).returncode == 9
    assert (tmp_path / "a.json").read_bytes() == b"old"
    (left,) = [p for p in tmp_path.iterdir() if p.name != "a.json"]
    assert is_left_over(left, "a.json") and not is_left_over(left, "b.json")
    assert not is_left_over(Path("a.json"), "a.json") and not is_left_over(Path("mine.partial"), "a.json")
    with whole_file(tmp_path / "a.json") as handle:
        handle.write(b"third")
    assert (tmp_path / "a.json").read_bytes() == b"third"
