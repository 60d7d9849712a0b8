"""What answers questions and scores given answers: weights in this process, or a vLLM server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from spillover.errors import SettingsError

if TYPE_CHECKING:
    from spillover.local.sampling import Ask, Sampled, Sampling
    from spillover.local.scoring import Choice

IN_PROCESS, VLLM = "in-process", "vllm"


class Engine(Protocol):
    """One model that can be asked. `LoadedModel` and `VllmEngine` have this form."""

    def sample(self, asks: Sequence[Ask], how: Sampling, on_tokens: Callable[[int], None] = ...) -> list[list[Sampled]]:
        """Draw the asked answers, per ask in the order of its seeds; `on_tokens` gets the tokens drawn so far."""
        ...

    def score(self, choices: Sequence[Choice], on_done: Callable[[int], None] = ...) -> list[tuple[float, ...]]:
        """Return per choice the mean log-probability per token (nats) of each of its answers."""
        ...


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine measures: `name` is "in-process" or "vllm"; `url` is a running server's, None to start one."""

    name: str = IN_PROCESS
    url: str | None = None


def engine_named(text: str) -> EngineChoice:
    """Read "in-process", "vllm" or "vllm=URL"; raises SettingsError for anything else."""
    name, equals, url = text.partition("=")
    if text in (IN_PROCESS, VLLM):
        return EngineChoice(text)
    if name != VLLM or not equals:
        raise SettingsError(f"no engine {text!r}: choose 'in-process', 'vllm' or 'vllm=http://127.0.0.1:8000'")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment or parts.username:
        raise SettingsError(
            f"--engine {text}: the server's address must look like http://127.0.0.1:8000 (a key goes in VLLM_API_KEY)"
        )
    return EngineChoice(VLLM, url.rstrip("/").removesuffix("/v1"))
