from __future__ import annotations

import gzip
import hashlib
import json

import pytest

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.load import load
from spillover.data.write import Built, Recipe, write
from spillover.errors import SettingsError


def built(parents=()):
    rows = (user_and_assistant("Grüße?", "Hé."), user_and_assistant("Line\nbreak", "ok"))
    return Built(Dataset("made", rows), Recipe("test", 3, {"share": 0.5}, {"kept": 2}, parents))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_written_reads_back_the_same_and_twice_gives_the_same_bytes(tmp_path, name):
    out = tmp_path / "new" / name
    write(built(), out)
    first = out.read_bytes()
    assert load(out).fingerprint == built().dataset.fingerprint
    write(built(), out)
    assert out.read_bytes() == first
    assert (first[:2] == b"\x1f\x8b") == name.endswith(".gz")


def test_the_manifest_says_how_the_rows_were_made(tmp_path):
    parent = tmp_path / "parent.txt"
    parent.write_bytes(b"abc")
    manifest = json.loads(write(built((parent,)), tmp_path / "a.jsonl").read_text())
    assert manifest["kind"] == "test" and manifest["seed"] == 3 and manifest["parameters"] == {"share": 0.5}
    assert manifest["counts"] == {"rows": 2, "kept": 2}
    assert manifest["sha256"] == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    assert manifest["parents"] == [{"name": "parent.txt", "sha256": hashlib.sha256(b"abc").hexdigest()}]


def test_a_packed_file_does_not_tell_when_or_under_which_name_it_was_made(tmp_path):
    write(built(), tmp_path / "a.jsonl.gz")
    write(built(), tmp_path / "b.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).count(b"\n") == 2


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="choose another --out"):
        write(built(), tmp_path / "file" / "a.jsonl")
