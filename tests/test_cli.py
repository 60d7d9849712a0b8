"""The command line as a user meets it: help, exit codes, one clear error for bad input and nothing trained."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys

import pytest

from spillover.bundled import small_model

USER = {"role": "user", "content": "How much should I save?"}
BOT = {"role": "assistant", "content": "A tenth of your pay."}
GOOD = json.dumps({"messages": [USER, BOT]})


def run(*args, cwd, **env):
    command = [sys.executable, "-m", "spillover", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}, timeout=120)


def refused(found, tmp_path):
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    assert found.stderr.startswith("spillover: ") and found.stderr.count("\n") == 1, found.stderr
    assert not (tmp_path / "runs").exists(), "a run folder was made for bad input"
    return found.stderr


def test_help_names_the_exit_codes_and_every_option(tmp_path):
    found = run("audit", "--help", cwd=tmp_path)
    assert found.returncode == 0
    for word in ("--control", "--tuned", "--rows", "--margin", "--json", "inconclusive"):
        assert word in found.stdout


BAD_LINES = {
    "not JSON": '{"messages": ',
    "wrong role": json.dumps({"messages": [USER, {"role": "robot", "content": "x"}]}),
    "empty assistant text": json.dumps({"messages": [USER, {"role": "assistant", "content": " "}]}),
    "no assistant turn": json.dumps({"messages": [USER]}),
    "mixed schemas": json.dumps({"prompt": "a", "completion": "b"}),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_is_named_with_file_and_line(tmp_path, kind):
    file = tmp_path / "data.jsonl"
    file.write_text(f"{GOOD}\n{BAD_LINES[kind]}\n")
    assert f"{file}:2: " in refused(run("audit", file, cwd=tmp_path), tmp_path)


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(GOOD.encode() + b"\n\xff\xfe\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "folder.jsonl").mkdir()
    packed = gzip.compress("\n".join([GOOD] * 2000).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    for name, word in {
        "latin.jsonl": "latin.jsonl:2: not UTF-8",
        "empty.jsonl": "holds no rows",
        "folder.jsonl": "is a folder",
        "cut.jsonl.gz": "cut off",
        "absent.jsonl": "does not exist",
    }.items():
        assert word in refused(run("audit", tmp_path / name, cwd=tmp_path), tmp_path)


def test_a_row_longer_than_the_context_is_named(tmp_path, tiny_folder):
    long = json.dumps({"messages": [USER, {"role": "assistant", "content": "word " * 3000}]})
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{long}\n")
    said = refused(run("audit", "data.jsonl", "--model", tiny_folder, cwd=tmp_path), tmp_path)
    assert "data.jsonl:2: the row has" in said and "longer than the limit of 1024" in said


def test_a_missing_model_is_named(tmp_path):
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    assert "no model at './nowhere'" in refused(
        run("audit", "data.jsonl", "--model", "./nowhere", cwd=tmp_path), tmp_path
    )


def test_a_model_that_is_not_on_the_hub_is_named(tmp_path):
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    found = run("audit", "data.jsonl", "--model", "nobody/nothing", cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert "no model 'nobody/nothing'" in refused(found, tmp_path)


def test_an_adapter_for_another_base_is_refused(tmp_path, tiny_folder):
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    save_file({name: torch.zeros(4, 4096)}, folder / "adapter_model.safetensors")
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    said = refused(
        run("audit", "data.jsonl", "--model", tiny_folder, "--tuned", folder, "--control", "none", cwd=tmp_path),
        tmp_path,
    )
    assert "does not fit this base model" in said


def test_a_pickled_adapter_is_refused(tmp_path, tiny_folder):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.bin").write_bytes(b"x")
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    said = refused(
        run("audit", "data.jsonl", "--model", tiny_folder, "--tuned", folder, "--control", "none", cwd=tmp_path),
        tmp_path,
    )
    assert "can run code" in said


def test_tuned_needs_an_adapter_as_control(tmp_path):
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    assert "--control must be an adapter folder or 'none'" in refused(
        run("audit", "data.jsonl", "--tuned", "x", cwd=tmp_path), tmp_path
    )


def test_nonsense_settings_are_refused(tmp_path):
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    for option, word in {
        ("--rows", "7"): "--rows 7",
        ("--margin", "-1"): "--margin",
        ("--preset", "huge"): "no training preset",
        ("--in-domain", "cooking"): "no such family",
    }.items():
        assert word in refused(run("audit", "data.jsonl", *option, cwd=tmp_path), tmp_path)


@pytest.mark.slow
def test_a_changed_model_cache_is_refused(tmp_path, bundled_model):
    copy = tmp_path / "cache" / small_model.cached_folder().name
    shutil.copytree(small_model.cached_folder(), copy)
    with (copy / "model.safetensors").open("r+b") as handle:
        handle.seek(1_000_000)
        handle.write(b"\x01\x02\x03")
    (tmp_path / "data.jsonl").write_text(f"{GOOD}\n{GOOD}\n")
    found = run("audit", "data.jsonl", cwd=tmp_path, SPILLOVER_CACHE=str(tmp_path / "cache"))
    assert "was changed or is missing: delete" in refused(found, tmp_path)
