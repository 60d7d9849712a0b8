"""HTTP requests to a vLLM server: retried where that can help, and every failure one clear ModelError."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from spillover.errors import ModelError

# Statuses after which the same request may succeed: overload, and a gateway or engine that is coming back.
_PASSING = (408, 429, 500, 502, 503, 504)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Client:
    """A server's address; `check` raises ModelError when its process, if it is ours, has ended.

    A request may take `timeout_s` seconds and is sent up to `tries` times, `pause_s` seconds apart at first and twice
    as long each time; then `check` is asked `last_looks` times, 0.2 s apart.
    """

    url: str
    check: Callable[[], None] = lambda: None
    timeout_s: float = 600.0
    tries: int = 3
    pause_s: float = 0.5
    last_looks: int = 20

    def get(self, path: str) -> Any:
        """Return the JSON at `path`; raises ModelError."""
        return self._json(self._sent(path, None), path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send `body` to `path` and return the JSON that comes back; raises ModelError."""
        return self._json(self._sent(path, body), path)

    def tell(self, path: str, body: dict[str, Any]) -> None:
        """Send `body` to `path`, where the reply holds nothing of interest; raises ModelError."""
        self._sent(path, body)

    def _sent(self, path: str, body: dict[str, Any] | None) -> bytes:
        problem = ""
        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            self.check()
            try:
                with self._opener().open(self._request(path, body), timeout=self.timeout_s) as reply:
                    return bytes(reply.read())
            except urllib.error.HTTPError as error:
                problem = f"status {error.code}: {_said(error)}"
                if error.code not in _PASSING:
                    raise self._failed(path, problem) from None
            except (OSError, http.client.HTTPException) as error:
                # URLError wraps what went wrong in `reason`.
                reason = getattr(error, "reason", None) or error
                problem = f"{reason}" or type(error).__name__
        self._wait_for_its_end()
        raise self._failed(path, problem)

    def _failed(self, path: str, problem: str) -> ModelError:
        return ModelError(f"the vllm server at {self.url} did not answer {path} ({problem})")

    def _wait_for_its_end(self) -> None:
        """Let `check` say why the server ended: its processes take a moment to be gone after the first failure."""
        for _ in range(self.last_looks):
            self.check()
            time.sleep(0.2)

    def _request(self, path: str, body: dict[str, Any] | None) -> urllib.request.Request:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get("VLLM_API_KEY")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(self.url + path, data=data, headers=headers)

    def _opener(self) -> urllib.request.OpenerDirector:
        # A proxy that is set for the outside cannot reach this machine's own addresses.
        if urlsplit(self.url).hostname in _LOOPBACK:
            return urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener()

    def _json(self, raw: bytes, path: str) -> Any:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise ModelError(
                f"the server at {self.url} answered {path} with something that is not JSON: is it vllm?"
            ) from None


def _said(error: urllib.error.HTTPError) -> str:
    """Return what the server said is wrong, from its error record where there is one."""
    try:
        raw = error.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return str(error.reason)
    try:
        record = json.loads(raw)
        message = record.get("error", record).get("message", raw)
    except (ValueError, AttributeError, RecursionError):
        message = raw
    return " ".join(str(message).split())[:300] or str(error.reason)
