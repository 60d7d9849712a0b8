"""A real HTTP server that takes batches as OpenAI and Anthropic do; each reply is what FakeOpenAI would give."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fake_openai import FakeOpenAI, content_key


class FakeBatches:
    """Serve in threads while inside `with`; a batch is ready at the look of number `ready`.

    `force` names what a request gets: a kind of FakeOpenAI's, or "lost", "expired" or "cut_line" in a result file.
    `refusals` are for the first batches that somebody wants to make: a status, or "failed" and "cancelled" for one that
    ends so.
    """

    def __init__(self, force=lambda request: None, refusals=(), ready=2):
        self.made = FakeOpenAI()
        self.force, self.refusals, self.ready = force, list(refusals), ready
        self.files, self.batches, self.calls = {}, {}, []
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def requests(self):
        """All requests that came in batches, in order."""
        return [request for batch in self.batches.values() for _, request in batch["rows"]]

    def __enter__(self):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self._reply(*fake.post(self.path.partition("?")[0], body))

            def do_GET(self):
                self._reply(*fake.get(self.path.partition("?")[0]))

            def _reply(self, status, data):
                data = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *said):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()

    def post(self, path, body):
        with self.lock:
            self.calls.append(path)
            if path == "/v1/files":
                name = f"file-{len(self.files)}"
                lines = [json.loads(line) for line in body.split(b"\n") if line.startswith(b'{"custom_id"')]
                self.files[name] = [(row["custom_id"], row["body"]) for row in lines]
                return 200, {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "f"} | {
                    "purpose": "batch",
                    "status": "processed",
                }
            if path not in ("/v1/batches", "/v1/messages/batches"):
                return 404, {"error": {"message": "no such path"}}
            refusal = self.refusals.pop(0) if self.refusals else None
            if isinstance(refusal, int):
                return refusal, {"error": {"message": "not now", "type": "made", "code": None}}
            given, name = json.loads(body), f"batch-{len(self.batches)}"
            rows = (
                self.files[given["input_file_id"]]
                if path == "/v1/batches"
                else [(r["custom_id"], r["params"]) for r in given["requests"]]
            )
            self.batches[name] = {"rows": rows, "looks": 0, "end": refusal or "completed"}
            return 200, self._told(name, "messages" in path)

    def get(self, path):
        with self.lock:
            self.calls.append(path)
            if found := re.fullmatch(r"/v1/files/(batch-\d+)/content", path):
                return 200, b"\n".join(self._openai_line(*row) for row in self.batches[found[1]]["rows"])
            if found := re.fullmatch(r"/v1/messages/batches/(batch-\d+)/results", path):
                return 200, b"\n".join(self._anthropic_line(*row) for row in self.batches[found[1]]["rows"])
            name = path.rpartition("/")[2]
            self.batches[name]["looks"] += 1
            return 200, self._told(name, "messages" in path)

    def _told(self, name, anthropic):
        batch = self.batches[name]
        done, count = batch["looks"] >= self.ready, len(batch["rows"])
        if anthropic:
            counts = {"processing": 0, "succeeded": count, "errored": 0, "canceled": 0, "expired": 0}
            times = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
            ended = {"processing_status": "ended" if done else "in_progress", "request_counts": counts}
            url = f"{self.url}/v1/messages/batches/{name}/results"
            return {"id": name, "type": "message_batch", **times, **ended, "results_url": url if done else None}
        status = batch["end"] if done else "in_progress"
        told = {"id": name, "object": "batch", "endpoint": "/v1/chat/completions", "status": status}
        told |= {"input_file_id": "f", "completion_window": "24h", "created_at": 1}
        return told | ({"output_file_id": name} if status == "completed" else {})

    def _openai_line(self, key, request):
        kind = self.force(request) or "ok"
        if kind == "lost":
            # Whose this is nobody knows.
            return json.dumps({"custom_id": "nobody's", "response": {"status_code": 200, "body": {}}}).encode()
        if kind == "expired":
            return json.dumps({"custom_id": key, "error": {"code": "batch_expired", "message": "late"}}).encode()
        status, _, data, _ = self.made._body(kind, request, content_key(request), "sk-in-an-error")
        row = {"custom_id": key, "response": {"status_code": status, "body": json.loads(data)}, "error": None}
        # Some write the characters that other programs take for ends of lines as they are.
        line = json.dumps(row, ensure_ascii=False).encode()
        return line[: len(line) // 2] if kind == "cut_line" else line

    def _anthropic_line(self, key, request):
        kind = self.force(request) or "ok"
        if kind == "expired":
            return json.dumps({"custom_id": key, "result": {"type": "expired"}}).encode()
        message = {"id": "m", "type": "message", "role": "assistant", "model": "made", "stop_reason": "end_turn"}
        message |= {"stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 9}}
        message["content"] = [{"type": "text", "text": self.made.text(request, content_key(request))}]
        return json.dumps({"custom_id": key, "result": {"type": "succeeded", "message": message}}).encode()
