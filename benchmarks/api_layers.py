"""What each layer costs per request: ours, inspect_ai's model layer, and the openai client alone, without failures.

`python benchmarks/api_layers.py [--requests 1000] [--connections 100] [--json FILE]` asks the server of
tests/fake_openai.py (in a process of its own, 100 ms latency) with and without 20 token probabilities, and prints
requests per second and this process's milliseconds of processor time per request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api import Server

from spillover.conversation import Message
from spillover.evaluate.api import ApiAsk
from spillover.evaluate.request_pool import Limits, ask_model
from spillover.local.hardware import describe


def ours(texts: list[str], top: int | None, connections: int) -> None:
    asks = [ApiAsk(text, (Message("user", text),), 8, 0.0, top) for text in texts]
    ask_model("openai/made", asks, lambda lot: None, Limits(connections=connections))


async def layer(texts: list[str], top: int | None, connections: int) -> None:
    from inspect_ai.model import GenerateConfig, get_model

    logprobs = {"logprobs": True, "top_logprobs": top} if top else {}
    config = GenerateConfig(max_connections=connections, max_tokens=8, temperature=0, **logprobs)
    model = get_model("openai-api/openai/made", memoize=False, config=config)
    await asyncio.gather(*(model.generate(text) for text in texts))
    await model.api.aclose()


async def client(texts: list[str], top: int | None, connections: int) -> None:
    from openai import AsyncOpenAI

    logprobs: dict[str, Any] = {"logprobs": True, "top_logprobs": top} if top else {}
    places = asyncio.Semaphore(connections)
    async with AsyncOpenAI(max_retries=0) as opened:

        async def one(text: str) -> None:
            async with places:
                messages: Any = [{"role": "user", "content": text}]
                await opened.chat.completions.create(
                    model="made", messages=messages, max_tokens=8, temperature=0, **logprobs
                )

        await asyncio.gather(*(one(text) for text in texts))


WAYS: dict[str, Callable[[list[str], int | None, int], Any]] = {
    "spillover": ours,
    "inspect_ai's model layer": lambda *given: asyncio.run(layer(*given)),
    "openai client": lambda *given: asyncio.run(client(*given)),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    server = Server(0.1, failing=False)
    os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"] = server.url, "made-key"
    kept: dict[str, Any] = {"machine": describe(), "requests": given.requests, "connections": given.connections}
    try:
        for name, way in WAYS.items():
            # Imports are not what is measured. inspect_ai keeps the connections that are asked for first.
            way([f"{name} first"], None, given.connections)
            for top in (None, 20):
                texts = [f"{name} {top} {i}" for i in range(given.requests)]
                start, spent = time.monotonic(), time.process_time()
                way(texts, top, given.connections)
                seconds, spent = time.monotonic() - start, time.process_time() - spent
                rate, each = given.requests / seconds, 1000 * spent / given.requests
                print(f"{name}, token probabilities {top or 0}: {rate:.0f} requests/s, {each:.1f} ms processor each")
                kept[f"{name}, {top or 0}"] = {"requests_per_second": rate, "milliseconds": each}
    finally:
        server.stop()
    if given.json:
        given.json.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
