"""A real HTTP server that speaks OpenAI chat completions, fails in chosen ways and keeps a ledger of what it answered.

What a request gets follows from its content (model, messages, seed, limits) and, for failures that pass (429, 500,
hang), from how often that content has come. `python fake_openai.py PORT LATENCY [sound]` serves alone; GET /ledger
returns its ledger and load.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
import sys
import threading
import time

PASSING = ("429", "500", "hang")
# Failures that belong to a content: they come again however often it is asked.
BROKEN_ANSWERS = ("cut_json", "html", "wrong_choices", "no_choices", "empty", "null")
BROKEN_TABLES = (*BROKEN_ANSWERS, "no_logprobs", "bad_logprob")


def content_key(request):
    """What a request asks, as one text; the order of fields does not matter."""
    asked = {k: request.get(k) for k in ("model", "messages", "max_tokens", "temperature", "seed", "top_logprobs")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class FakeOpenAI:
    """Serve in a thread while inside `with`; `ledger` maps each content to the last thing it got that does not pass."""

    def __init__(self, latency=0.03, errors=0.0, hangs=0.0, broken=0.0, seed=0, force=lambda request: None, words=None):
        self.latency, self.errors, self.hangs, self.broken, self.seed = latency, errors, hangs, broken, seed
        self.force, self.words = force, words
        self.ledger, self.counts, self.kinds, self.requests = {}, {}, {}, []
        self.loads, self.in_flight = [], 0
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self):
        ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *problem):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if lines[0].startswith("GET /ledger"):
                    status, kind, data = 200, "application/json", json.dumps(self.summary()).encode()
                elif not lines[0].startswith("POST /v1/chat/completions "):
                    status, kind, data = 404, "application/json", b'{"error": {"message": "no such path"}}'
                else:
                    status, kind, data = await self._timed(json.loads(body), headers, reader)
                writer.write(
                    f"HTTP/1.1 {status} Made\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode()
                    + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _timed(self, request, headers, reader):
        self._load(1)
        try:
            return await self._answer(request, headers, reader)
        finally:
            self._load(-1)

    def _load(self, change):
        self.in_flight += change
        self.loads.append((time.monotonic(), self.in_flight))

    async def _answer(self, request, headers, reader):
        self.requests.append(request)
        key = content_key(request)
        kind = self.force(request) or self._kind(request, key)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if kind == "hang":
            # Until the client has had enough and hangs up.
            await reader.read(1)
            raise ConnectionError
        await asyncio.sleep(self.latency)
        status, form, data, told = self._body(kind, request, key, headers.get("authorization", ""))
        if kind not in PASSING:
            self.ledger[key] = {"kind": kind, **told}
        return status, form, data

    def _kind(self, request, key):
        count = self.counts[key] = self.counts.get(key, 0) + 1
        passing = random.Random(f"{self.seed} {key} {count}")
        draw = passing.random()
        if draw < self.errors:
            return passing.choice(("429", "500"))
        if draw < self.errors + self.hangs:
            return "hang"
        lasting = random.Random(f"{self.seed} {key}")
        if lasting.random() < self.broken:
            return lasting.choice(BROKEN_TABLES if request.get("top_logprobs") else BROKEN_ANSWERS)
        return "ok"

    def _body(self, kind, request, key, authorization):
        if kind.isdigit():
            # Some servers repeat the key that they were sent.
            error = {"message": f"refused {authorization}", "type": "made", "code": None}
            return int(kind), "application/json", json.dumps({"error": error}).encode(), {}
        if kind in ("content_filter", "context_length_exceeded"):
            error = {"message": "not this text", "type": "invalid_request_error", "code": kind}
            return 400, "application/json", json.dumps({"error": error}).encode(), {}
        if kind == "html":
            return 200, "text/html", b"<html>gateway</html>", {}
        text, table = self.text(request, key), self.table(request, key)
        message = {"role": "assistant", "content": {"empty": "", "null": None, "blank": " \n"}.get(kind, text)}
        first = {"token": table[0][0], "logprob": table[0][1], "bytes": None} if table else None
        tops = [{"token": t, "logprob": v, "bytes": None} for t, v in table]
        if kind == "bad_logprob" and tops:
            tops[0]["logprob"] = "likely"
        whole = {"content": [{**first, "top_logprobs": tops}]} if table else None
        logprobs = None if kind in ("no_logprobs", "empty", "null", "blank") else whole
        ending = {"cut": "length", "finish_filter": "content_filter"}.get(kind, "stop")
        choice = {"index": 0, "finish_reason": ending, "message": message, "logprobs": logprobs}
        choices = {"no_choices": [], "wrong_choices": {"0": choice}, "null_choices": None}.get(kind, [choice])
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "made", "usage": usage}
        data = json.dumps({**reply, "choices": choices}).encode()
        told = {"text": text, "table": [list(pair) for pair in table]}
        return 200, "application/json", data[: len(data) // 2] if kind == "cut_json" else data, told

    def text(self, request, key):
        """The text for a content: one of `words` where given, else a sentence that no other content gets."""
        if request.get("top_logprobs"):
            return self.table(request, key)[0][0]
        if self.words:
            return random.Random(f"{self.seed} {key} word").choice(self.words)
        return f"Made answer {key[:24]}."

    def table(self, request, key):
        """Twenty numbers with probabilities that follow from the content, or () when none are asked for."""
        if not request.get("top_logprobs"):
            return ()
        draw = random.Random(f"{self.seed} {key} table")
        numbers = draw.sample(range(101), request["top_logprobs"])
        weights = [draw.random() ** 4 for _ in numbers]
        pairs = [(str(n), math.log(0.95 * w / sum(weights))) for n, w in zip(numbers, weights, strict=True)]
        return tuple(sorted(pairs, key=lambda pair: -pair[1]))

    def busy(self, until=None):
        """Mean number of requests in flight from the first until the time given (default: the last one's end)."""
        loads = self.loads
        end = until or loads[-1][0]
        area = 0.0
        for (start, level), (stop, _) in zip(loads, [*loads[1:], (end, 0)], strict=True):
            area += level * max(0.0, min(stop, end) - start)
        return area / (end - loads[0][0])

    def summary(self):
        """Ledger, counts of kinds and load, for another process."""
        return {"ledger": self.ledger, "kinds": self.kinds, "loads": self.loads, "time": time.monotonic()}


if __name__ == "__main__":
    failures = {} if "sound" in sys.argv else {"errors": 0.05, "hangs": 0.01, "broken": 0.04}
    with FakeOpenAI(latency=float(sys.argv[2]), **failures) as served:
        print(served.port, flush=True)
        threading.Event().wait()
