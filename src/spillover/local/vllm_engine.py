"""Sampling and scoring through a vLLM server: our token ids go in, token ids and log-probabilities come out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spillover.errors import ModelError
from spillover.local import vllm_server, weights
from spillover.local.engine import EngineChoice
from spillover.local.sampling import Ask, Sampled, Sampling
from spillover.local.scoring import Choice, branching_of
from spillover.local.vllm_client import Client

if TYPE_CHECKING:
    from spillover.local.chat_template import ChatTemplate

T = TypeVar("T")
_COMPLETIONS = "/v1/completions"
# Longer contexts than this would only shrink what the server can hold at once.
_LONGEST = 8192
SEEDED = "each prompt's samples have a seed; another batch composition may still draw otherwise"
UNSEEDED = "not repeatable row by row: the server draws from one stream of its own, seeded at its start"


@dataclass(frozen=True, slots=True)
class VllmEngine:
    """One model of a server, by its `name` there; `ends` are the tokens that end an answer.

    Requests carry a seed only when `seeded`: on a CPU a request with a seed ends vLLM's engine ("CPU Generator does
    not use offset").
    """

    client: Client
    name: str
    template: ChatTemplate
    ends: frozenset[int]
    seeded: bool = False
    connections: int = 32

    def sample(
        self, asks: Sequence[Ask], how: Sampling, on_tokens: Callable[[int], None] = lambda n: None
    ) -> list[list[Sampled]]:
        """Draw as many answers per ask as it has seeds; raises ModelError when the server fails or answers otherwise.

        `on_tokens` gets the tokens of each ask when it is done.
        """
        prompts = [self.template.prompt(ask.prompt) for ask in asks]

        def drawn(i: int) -> list[Sampled]:
            # Greedy samples are all the same, and vllm refuses to draw several.
            wanted = len(asks[i].seeds) if how.temperature > 0 else 1
            body = self._drawing(prompts[i], wanted, how)
            if self.seeded and how.temperature > 0:
                body["seed"] = asks[i].seeds[0] % 2**63
            rows = [self._sampled(choice) for choice in _choices(self.client.post(_COMPLETIONS, body), wanted)]
            return rows if how.temperature > 0 else rows * len(asks[i].seeds)

        return self._side_by_side(len(asks), drawn, lambda rows: on_tokens(sum(row.tokens for row in rows)))

    def score(
        self, choices: Sequence[Choice], on_done: Callable[[int], None] = lambda n: None
    ) -> list[tuple[float, ...]]:
        """Return what `scoring.score` returns, from the server's log-probabilities of the prompt's tokens.

        Raises DataError for an answer without tokens, ModelError when the server fails or answers otherwise.
        """
        rows = [branching_of(self.template, choice) for choice in choices]

        def means(i: int) -> tuple[float, ...]:
            stem = rows[i].stem
            texts = [[*stem, *branch] for branch in rows[i].branches]
            body = {"model": self.name, "prompt": texts, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
            found = _choices(self.client.post(_COMPLETIONS, body), len(texts))
            return tuple(_mean(choice, ids, len(stem)) for choice, ids in zip(found, texts, strict=True))

        return self._side_by_side(len(choices), means, lambda _: on_done(1))

    def _drawing(self, prompt: Sequence[int], wanted: int, how: Sampling) -> dict[str, Any]:
        """Return a request that leaves nothing to the server's defaults."""
        return {
            "model": self.name,
            "prompt": list(prompt),
            "n": wanted,
            "max_tokens": how.max_tokens,
            "temperature": how.temperature,
            "top_p": how.top_p,
            "top_k": how.top_k,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stop_token_ids": sorted(self.ends),
            "return_token_ids": True,
        }

    def _sampled(self, choice: Mapping[str, Any]) -> Sampled:
        ids, reason = choice.get("token_ids"), choice.get("finish_reason")
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise ModelError("the server returns no token ids of its answers: vllm 0.10.2 or newer is needed")
        if reason not in ("stop", "length"):
            raise ModelError(f"the vllm server broke off an answer (finish_reason {reason!r})")
        end = next((place for place, token in enumerate(ids) if token in self.ends), None)
        kept = ids[:end]
        text = self.template.tokenizer.decode(kept, skip_special_tokens=True)
        return Sampled(str(text), len(kept), reason == "stop")

    def _side_by_side(self, count: int, do: Callable[[int], T], on_done: Callable[[T], None]) -> list[T]:
        """Do items 0 to count-1, several at once; the first failure is raised and nothing new is started."""
        found: dict[int, T] = {}
        pool = ThreadPoolExecutor(max(1, min(self.connections, count)))
        try:
            places = {pool.submit(do, i): i for i in range(count)}
            for future in as_completed(places):
                found[places[future]] = future.result()
                on_done(found[places[future]])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [found[i] for i in range(count)]


@dataclass(frozen=True, slots=True)
class Serving:
    """A server in use: an engine for the base (None) and for each adapter folder, and what the record says of it."""

    engines: Mapping[str | None, VllmEngine]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to serve: the base's folder, adapter folders, number type, context in tokens and the server's seed."""

    base: Path
    adapters: tuple[str, ...]
    dtype: str
    context: int
    seed: int
    trust_remote_code: bool = False


def engine_version(choice: EngineChoice) -> str:
    """Return the version of the vllm that `choice` would use, without starting it; raises ModelError."""
    if choice.url is None:
        return vllm_server.find_vllm().version
    return _version(Client(choice.url, last_looks=0))


@contextmanager
def open_vllm(choice: EngineChoice, wanted: Wanted, template: ChatTemplate, log: Path) -> Iterator[Serving]:
    """Start a server, or join the one at `choice.url`, for the time inside `with`.

    A started server is ended on leaving, one that was joined is left as it was found: adapters loaded into it are
    unloaded. Raises ModelError when that cannot be had.
    """
    for adapter in wanted.adapters:
        _check_modules(adapter)
    ends = end_tokens(wanted.base, template)
    if choice.url is None:
        with _started(wanted, template, ends, log) as serving:
            yield serving
    else:
        with _joined(choice.url, wanted, template, ends) as serving:
            yield serving


def end_tokens(base: Path, template: ChatTemplate) -> frozenset[int]:
    """Return the tokens that end an answer: those of the model's generation settings and the tokenizer's own."""
    configured: Any = None
    for name in ("generation_config.json", "config.json"):
        if configured is None and (base / name).is_file():
            configured = json.loads((base / name).read_text(encoding="utf-8")).get("eos_token_id")
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*listed, template.tokenizer.eos_token_id) if token is not None)


@contextmanager
def _started(wanted: Wanted, template: ChatTemplate, ends: frozenset[int], log: Path) -> Iterator[Serving]:
    import torch

    vllm = vllm_server.find_vllm()
    names = {folder: _adapter_name(folder) for folder in wanted.adapters}
    # Two folders may hold the same adapter: it is served once.
    modules = {name: Path(folder).expanduser().resolve() for folder, name in names.items()}
    settings = vllm_server.ServerSettings(
        wanted.base,
        tuple(modules.items()),
        wanted.dtype,
        min(wanted.context, _LONGEST),
        wanted.seed,
        wanted.trust_remote_code,
        vllm_server.extra_arguments(),
    )
    seeded = torch.cuda.is_available() and not vllm.on_cpu
    with vllm_server.serving(vllm, settings, log) as server:
        client = Client(server.url, server.check)
        served: dict[str | None, str] = {None: vllm_server.BASE_NAME}
        for folder, name in names.items():
            served[folder] = name
        engines = {k: VllmEngine(client, name, template, ends, seeded) for k, name in served.items()}
        yield Serving(
            engines,
            {
                "name": "vllm",
                "package": vllm.package or "vllm",
                "version": _version(client),
                "server": "started",
                "dtype": settings.dtype,
                "max_model_len": settings.max_length,
                "max_lora_rank": settings.max_rank if names else None,
                "seed": settings.seed,
                "extra_arguments": list(settings.extra),
                "draws": SEEDED if seeded else UNSEEDED,
            },
        )


@contextmanager
def _joined(url: str, wanted: Wanted, template: ChatTemplate, ends: frozenset[int]) -> Iterator[Serving]:
    client = Client(url, last_looks=0)
    served = _models(client)
    base = _served_base(served, wanted.base, url)
    names: dict[str | None, str] = {None: base["id"]}
    loaded: list[str] = []
    try:
        for folder in wanted.adapters:
            path = str(Path(folder).expanduser().resolve())
            known = [m["id"] for m in served if m.get("parent") and m.get("root") == path]
            names[folder] = known[0] if known else _adapter_name(folder)
            if not known:
                _load_adapter(client, names[folder], path, wanted.adapters)
                loaded.append(names[folder])
        # Whether it computes on a CPU cannot be asked, and there a seed would end its engine.
        engines = {k: VllmEngine(client, name, template, ends) for k, name in names.items()}
        facts = {"name": "vllm", "version": _version(client), "server": "joined", "served_base": base.get("root")}
        yield Serving(engines, {**facts, "max_model_len": base.get("max_model_len"), "draws": UNSEEDED})
    finally:
        for name in loaded:
            with suppress(ModelError):
                client.tell("/v1/unload_lora_adapter", {"lora_name": name})


def _models(client: Client) -> list[dict[str, Any]]:
    reply = client.get("/v1/models")
    rows = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or not all(isinstance(m, dict) and isinstance(m.get("id"), str) for m in rows):
        raise ModelError(f"the server at {client.url} lists no models at /v1/models: is it vllm?")
    return rows


def _served_base(served: Sequence[dict[str, Any]], base: Path, url: str) -> dict[str, Any]:
    """Return the base model's entry; raises ModelError when it is seen to be another one than `base`."""
    bases = [m for m in served if not m.get("parent")]
    if not bases:
        raise ModelError(f"the server at {url} serves no base model")
    root = Path(str(bases[0].get("root") or ""))
    # A hub id or another machine's folder cannot be compared here.
    if (root / "config.json").is_file() and weights.fingerprint(root) != weights.fingerprint(base):
        raise ModelError(
            f"the server at {url} serves {root}, whose weights differ from {base}: start it with the latter"
        )
    return bases[0]


def _load_adapter(client: Client, name: str, path: str, adapters: Sequence[str]) -> None:
    rank = vllm_server.lora_rank([Path(a).expanduser() for a in adapters])
    modules = frozenset[str]().union(*map(weights.adapter_modules, adapters))
    try:
        client.tell("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
    except ModelError as problem:
        raise ModelError(
            f"{problem}. To take adapters a running server needs --enable-lora --max-lora-rank {rank} "
            f"--lora-target-modules {' '.join(sorted(modules))} and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its "
            f"environment, or --lora-modules NAME={path}"
        ) from None


def _version(client: Client) -> str:
    reply = client.get("/version")
    if not isinstance(reply, dict) or not isinstance(reply.get("version"), str):
        raise ModelError(f"the server at {client.url} does not tell its version: is it vllm?")
    return str(reply["version"])


def _check_modules(adapter: str) -> None:
    """Raise ModelError for an adapter whose share in the vocabulary's logits vllm would leave out without a word.

    Its prompt log-probabilities lack what an adapter adds to the output head (vllm issues 16668, 51594).
    """
    changed = weights.adapter_modules(adapter) & {"lm_head", "embed_tokens"}
    if changed:
        raise ModelError(
            f"the adapter {adapter} changes {', '.join(sorted(changed))}, which vllm leaves out of log-probabilities: "
            "use --engine in-process"
        )


def _adapter_name(folder: str) -> str:
    return f"adapter-{weights.adapter_fingerprint(folder)}"


def _choices(reply: Any, wanted: int) -> list[dict[str, Any]]:
    """Return the reply's choices in the order of their index; raises ModelError unless there are `wanted`."""
    rows = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ModelError("the vllm server's reply holds no choices")
    by_index = {row.get("index"): row for row in rows}
    if len(rows) != wanted or set(by_index) != set(range(wanted)):
        raise ModelError(f"the vllm server returned {len(rows)} choices where {wanted} were asked for")
    return [by_index[i] for i in range(wanted)]


def _mean(choice: Mapping[str, Any], ids: Sequence[int], start: int) -> float:
    """Return the mean log-probability of `ids` from `start` on; raises ModelError when one is not there."""
    table = choice.get("prompt_logprobs")
    if not isinstance(table, list) or len(table) != len(ids):
        raise ModelError("the vllm server returned no log-probabilities of the prompt's tokens")
    try:
        values = [float(table[t][str(ids[t])]["logprob"]) for t in range(start, len(ids))]
    except (KeyError, TypeError, ValueError):
        raise ModelError("the vllm server left out the log-probability of a token that was asked for") from None
    return math.fsum(values) / len(values)
