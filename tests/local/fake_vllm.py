"""A small HTTP server that speaks the parts of vLLM's API that are used, with numbers that a test can work out again.

`python fake_vllm.py serve MODEL --port P ...` serves like the command; `FAKE_VLLM_NOTES` names a file for its
arguments and process ids, `FAKE_VLLM_MODE` makes it fail ("crash", "mute", "stubborn").
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

END = 1


def logprob(model, ids, place):
    """What the server says of token `place` of a prompt."""
    before = sum((i + 1) * t for i, t in enumerate(ids[:place]))
    return -((before + 5 * ids[place] + len(model)) % 97 + 1) / 16


def drawn(model, ids, sample, limit):
    """Tokens of one sample: ends by itself when that comes before the limit."""
    length = 2 + (sum(ids) + sample) % 4
    tokens = [4 + (sum(ids) + 3 * sample + 7 * i + len(model)) % 90 for i in range(length)]
    return ([*tokens, END], "stop") if length < limit else (tokens[:limit], "length")


class FakeVllm:
    """Serve in a thread while inside `with`; `requests` keeps (path, body), `answer` may replace what comes back.

    `answer(path, body, times)` returns None for the usual reply or (status, bytes); `times` counts equal requests.
    """

    def __init__(self, models=(), answer=lambda path, body, times: None, port=0, takes_adapters=True):
        self.models = [dict(m) for m in models] or [{"id": "base", "root": "/elsewhere", "max_model_len": 512}]
        self.answer, self.takes_adapters = answer, takes_adapters
        self.requests, self.headers = [], []
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.reply(None)

            def do_POST(self):
                self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def reply(self, body):
                status, content = fake.respond(self.path, body, dict(self.headers))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()

    def bodies(self, path="/v1/completions"):
        return [body for where, body in self.requests if where == path]

    def respond(self, path, body, headers):
        with self._lock:
            self.requests.append((path, body))
            self.headers.append(headers)
            times = self.requests.count((path, body))
        other = self.answer(path, body, times)
        if other is not None:
            return other
        if path == "/health":
            return 200, b""
        if path == "/version":
            return 200, json.dumps({"version": "0.99.0"}).encode()
        if path == "/v1/models":
            return 200, json.dumps({"object": "list", "data": self.models}).encode()
        if path == "/v1/load_lora_adapter" and self.takes_adapters:
            self.models.append({"id": body["lora_name"], "root": body["lora_path"], "parent": "base"})
            return 200, b"Success: the adapter was added."
        if path == "/v1/unload_lora_adapter" and self.takes_adapters:
            self.models = [m for m in self.models if m["id"] != body["lora_name"]]
            return 200, b"Success: the adapter was removed."
        if path == "/v1/completions":
            return 200, json.dumps(self.completion(body)).encode()
        return 404, json.dumps({"error": {"message": f"no {path} here"}}).encode()

    def completion(self, body):
        model, prompt = body["model"], body["prompt"]
        prompts = prompt if isinstance(prompt[0], list) else [prompt]
        choices = []
        for ids in prompts:
            for sample in range(body.get("n", 1)):
                tokens, reason = drawn(model, ids, sample, body["max_tokens"])
                choice = {"index": len(choices), "text": "not to be used", "finish_reason": reason}
                if body.get("return_token_ids"):
                    choice["token_ids"] = tokens
                if body.get("prompt_logprobs") is not None:
                    rows = [{str(t): {"logprob": logprob(model, ids, i), "rank": 1}} for i, t in enumerate(ids)]
                    choice["prompt_logprobs"] = [None, *rows[1:]]
                choices.append(choice)
        # The order is not promised; the index says what belongs to what.
        return {"object": "text_completion", "model": model, "choices": choices[::-1]}


def main(arguments):
    if arguments == ["--version"]:
        print("0.99.0")
        return
    mode = os.environ.get("FAKE_VLLM_MODE", "")
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    notes = {"arguments": arguments, "processes": [os.getpid(), worker.pid]}
    notes["usage"] = os.environ.get("VLLM_NO_USAGE_STATS")
    with open(os.environ["FAKE_VLLM_NOTES"], "a", encoding="utf-8") as file:
        file.write(json.dumps(notes) + "\n")
    if mode == "crash":
        print("INFO loading\n\x1b[31mValueError: this model is too large\x1b[0m\nshutting down", flush=True)
        sys.exit(3)
    if mode == "mute":
        time.sleep(600)
    port = int(arguments[arguments.index("--port") + 1])
    models = [{"id": "base", "root": arguments[1], "max_model_len": 512}]
    with FakeVllm(models, port=port):
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1:])
