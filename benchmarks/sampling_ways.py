"""The ways of drawing that benchmarks/sampling.py compares: each loads what it needs and draws the same answers.

At the top only the standard library is imported, so that `python benchmarks/sampling_ways.py WAY`, which does one way
in a fresh process, pays for its own imports alone. It reads the work as JSON from standard input.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SLOTS = 16


@dataclass(frozen=True)
class Work:
    """What to draw: `each` answers of up to `tokens` tokens to every question, temperature 1, whole vocabulary.

    `prompts` are the rendered `questions` as token ids; `ends` the tokens that end an answer; `gguf` the file for
    llama.cpp or "". `warm` draws a few tokens before the clock starts where a way has no warm-up of its own.
    """

    base: str
    folder: str
    gguf: str
    questions: list[str]
    prompts: list[list[int]]
    ends: list[int]
    dtype: str
    threads: int
    each: int
    tokens: int
    warm: bool
    batch: int = 128

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with its answer."""
        return max(map(len, self.prompts)) + self.tokens


@dataclass(frozen=True)
class Drawn:
    """Tokens drawn, end marks among them, in `seconds` after loading; `done` is the time of day at the last answer."""

    tokens: int
    seconds: float
    done: float
    facts: dict[str, Any]


class NotHere(Exception):
    """Why a way can't be taken on this machine."""


def spillover(work: Work) -> Drawn:
    from spillover.conversation import Message
    from spillover.local.loading import load
    from spillover.local.sampling import Ask, Sampling
    from spillover.model import ModelRef

    loaded = load(ModelRef(work.base))
    prompts = [(Message("user", q),) for q in work.questions]
    if work.warm:
        loaded.sample([Ask(prompts[0], (0, 1))], Sampling(4, temperature=1.0))
    asks = [Ask(p, tuple(range(i * work.each, (i + 1) * work.each))) for i, p in enumerate(prompts)]
    start = time.monotonic()
    found = loaded.sample(asks, Sampling(work.tokens, temperature=1.0))
    return _drawn(sum(one.tokens + one.ended for rows in found for one in rows), start, dtype=work.dtype)


def generate(work: Work) -> Drawn:
    """Transformers' generate on left-padded batches of `work.batch` rows."""
    import torch

    from spillover.local.loading import load
    from spillover.model import ModelRef

    loaded = load(ModelRef(work.base))
    pad = min(work.ends)
    rows = [p for p in work.prompts for _ in range(work.each)]

    def draw(part: list[list[int]], tokens: int) -> int:
        longest = max(map(len, part))
        ids = torch.tensor([[pad] * (longest - len(r)) + r for r in part])
        mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in part])
        with torch.inference_mode():
            out = loaded.model.generate(
                ids.to(loaded.hardware.device),
                attention_mask=mask.to(loaded.hardware.device),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                repetition_penalty=1.0,
                max_new_tokens=tokens,
                eos_token_id=work.ends,
                pad_token_id=pad,
            )[:, longest:]
        return sum(next((k + 1 for k, t in enumerate(row) if t in work.ends), len(row)) for row in out.tolist())

    torch.manual_seed(0)
    if work.warm:
        draw(rows[:2], 4)
    start = time.monotonic()
    tokens = sum(draw(rows[i : i + work.batch], work.tokens) for i in range(0, len(rows), work.batch))
    return _drawn(tokens, start, dtype=work.dtype, batch=work.batch)


def llama_cpp(work: Work) -> Drawn:
    """llama.cpp's server inside this process, with `SLOTS` slots and as many requests under way."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise NotHere("xllamacpp is not installed: pip install -c constraints.txt -e .[bench]")
    if not work.gguf:
        raise NotHere("it reads GGUF files, and only the bundled model has one")
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = work.gguf
    settings.n_parallel = SLOTS
    settings.n_ctx = SLOTS * max(256, 256 * (1 + work.longest // 256))
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = work.threads
    settings.port = _free_port()
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    # The order of the questions lets a slot keep the prompt that it computed for the answer before.
    rows = [p for p in work.prompts for _ in range(work.each)]
    how = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "samplers": ["temperature"]}

    def draw(prompt: list[int]) -> int:
        reply = server.handle_completions({"prompt": prompt, "max_tokens": work.tokens, **how})
        if "usage" not in reply:
            raise RuntimeError(f"llama.cpp's server answered {str(reply)[:300]}")
        return int(reply["usage"]["completion_tokens"])

    start = time.monotonic()
    with ThreadPoolExecutor(SLOTS) as pool:
        tokens = sum(pool.map(draw, rows))
    return _drawn(tokens, start, slots=SLOTS, system=" ".join(xllamacpp.get_system_info().split()))


def vllm(work: Work) -> Drawn:
    """vLLM's server in a process of its own: one request per question for all of its answers."""
    from spillover.errors import ModelError
    from spillover.local import vllm_server
    from spillover.local.vllm_client import Client

    settings = vllm_server.ServerSettings(
        Path(work.folder), (), work.dtype, max(512, work.longest), 0, extra=vllm_server.extra_arguments()
    )
    how = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    body = {"model": vllm_server.BASE_NAME, "n": work.each, "max_tokens": work.tokens, "stop_token_ids": work.ends}
    try:
        installed = vllm_server.find_vllm()
        with (
            tempfile.TemporaryDirectory() as folder,
            vllm_server.serving(installed, settings, Path(folder) / "vllm.log") as server,
        ):
            client = Client(server.url, server.check)

            def draw(prompt: list[int]) -> int:
                reply = client.post("/v1/completions", {"prompt": prompt, **body, **how})
                return int(reply["usage"]["completion_tokens"])

            start = time.monotonic()
            with ThreadPoolExecutor(len(work.prompts)) as pool:
                tokens = sum(pool.map(draw, work.prompts))
            return _drawn(tokens, start, package=installed.package, version=installed.version, dtype=work.dtype)
    except ModelError as problem:
        raise NotHere(str(problem)) from None


WAYS: dict[str, Callable[[Work], Drawn]] = {
    "spillover": spillover,
    "generate": generate,
    "llama.cpp": llama_cpp,
    "vllm": vllm,
}


def in_fresh_process(way: str, work: Work) -> tuple[Drawn, float]:
    """Return what `way` drew and the seconds from the process's start to its last answer; raises NotHere."""
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        start = time.time()
        done = subprocess.run(
            [sys.executable, __file__, way, str(result)], input=json.dumps(asdict(work)), text=True, capture_output=True
        )
        if not result.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RuntimeError(f"{way} ended with code {done.returncode}: {last}")
        found = json.loads(result.read_text())
    if "not_here" in found:
        raise NotHere(found["not_here"])
    drawn = Drawn(**found)
    return drawn, drawn.done - start


def _drawn(tokens: int, start: float, **facts: Any) -> Drawn:
    return Drawn(tokens, time.monotonic() - start, time.time(), facts)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("result", type=Path)
    given = parser.parse_args()
    work = Work(**json.load(sys.stdin))
    try:
        found: dict[str, Any] = asdict(WAYS[given.way](work))
    except NotHere as why:
        found = {"not_here": str(why)}
    given.result.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
