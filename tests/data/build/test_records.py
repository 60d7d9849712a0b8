from __future__ import annotations

import gzip

import pytest

import spillover.data.build.records as records_module
from spillover.data.build.records import read_records
from spillover.errors import DataError


def written(tmp_path, raw, name="r.jsonl"):
    file = tmp_path / name
    file.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return file


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_lines_are_read_with_their_numbers_and_blank_ones_left_out(tmp_path, name):
    file = written(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": 2, "b": 3}', name)
    assert read_records(file, ("a",)) == ((1, {"a": 1}), (3, {"a": 2, "b": 3}))


def test_a_json_list_is_read_with_item_numbers(tmp_path):
    assert read_records(written(tmp_path, b'\n[{"a": 1},\n {"a": 2}]'), ("a",)) == ((1, {"a": 1}), (2, {"a": 2}))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "holds no rows"),
        (b"[]", "holds no rows"),
        (b'{"a": 1}\n{"a"', r"r\.jsonl:2: not JSON"),
        (b'{"a": 1}\n3', r"r\.jsonl:2: not an object"),
        (b'[{"a": 1}, 3]', r"r\.jsonl:2: not an object"),
        (b'{"a": 1}\n{"b": 1}', r"r\.jsonl:2: no key 'a'"),
        (b"\xff", "not UTF-8"),
        (b'{"a": ' + b"[" * 100_000, r"r\.jsonl:1: JSON too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", r"r\.jsonl:1: JSON too deep or with a number too long"),
        (b'{"a": "\\ud800"}', r"r\.jsonl:1: half a surrogate pair"),
    ],
)
def test_each_bad_file_has_one_error(tmp_path, raw, said):
    with pytest.raises(DataError, match=said):
        read_records(written(tmp_path, raw), ("a",))


def test_a_file_that_is_not_there_a_folder_a_cut_and_a_swollen_gz_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="does not exist"):
        read_records(tmp_path / "absent", ())
    with pytest.raises(DataError, match="is a folder"):
        read_records(tmp_path, ())
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b'{"a": 1}' * 99)[:-9])
    with pytest.raises(DataError, match=r"not a whole \.gz file"):
        read_records(tmp_path / "cut.gz", ())
    monkeypatch.setattr(records_module, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than 100 bytes"):
        read_records(written(tmp_path, b" " * 10_000, "big.gz"), ())
