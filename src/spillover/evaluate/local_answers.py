"""Local models as answerers of a suite: the in-process sampler or a vLLM server in the shape of `AskModel`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from spillover.conversation import Message
from spillover.errors import SettingsError
from spillover.evaluate.api import EMPTY, ApiAsk, ApiReply, AskModel, OnReplies
from spillover.local import hardware, weights
from spillover.local.engine import IN_PROCESS, Engine, EngineChoice
from spillover.local.loading import load, load_template
from spillover.local.sampling import Ask, Sampling
from spillover.local.vllm_engine import Serving, Wanted, open_vllm
from spillover.model import BUNDLED, ModelRef

# Answers handed over at a time: a kill loses at most these. A server is kept busy by more.
_PORTION, _SERVED_PORTION = 128, 1024


def local_ref(name: str) -> ModelRef | None:
    """Return what a model name means locally, None for a name that inspect_ai knows ("provider/model").

    "bundled", a model folder, "hub:ID", or one of these with an adapter folder behind it: "bundled+ADAPTER".
    """
    base, plus, adapter = name.partition("+")
    if base.startswith("hub:"):
        base = base.removeprefix("hub:")
    elif base != BUNDLED and not Path(base).expanduser().is_dir():
        return None
    return ModelRef(base, adapter if plus else None)


def local_name(ref: ModelRef) -> str:
    """Return the name that `local_ref` reads as `ref`."""
    is_here = ref.base == BUNDLED or Path(ref.base).expanduser().is_dir()
    base = ref.base if is_here else f"hub:{ref.base}"
    return base if ref.adapter is None else f"{base}+{ref.adapter}"


def local_identity(name: str) -> str | None:
    """Return a hash of a local model's weights, its adapter's included; None for a name that inspect_ai knows.

    Raises ModelError where there is no such model or its adapter does not fit.
    """
    ref = local_ref(name)
    if ref is None:
        return None
    base = weights.locate(ref.base)
    weights.check_adapter(ref, base)
    own = weights.fingerprint(base)
    return own if ref.adapter is None else f"{own}+{weights.adapter_fingerprint(ref.adapter)}"


@contextmanager
def samplers_of(
    refs: Mapping[str, ModelRef], choice: EngineChoice, seed: int, log: Path
) -> Iterator[dict[str, AskModel]]:
    """Yield an answerer per name; what they use is loaded, or the server started, when first asked.

    In process each request's seed decides its answer. A vLLM server serves one base model, with `seed` as its own and
    its output in `log`, and is ended on leaving if it was started here. Raises SettingsError for several bases.
    """
    if choice.name == IN_PROCESS:
        yield {name: _sampler(partial(load, ref), _PORTION) for name, ref in refs.items()}
        return
    if len({ref.base for ref in refs.values()}) > 1:
        raise SettingsError("one vllm server serves one base model and its adapters: evaluate other bases apart")
    for ref in refs.values():
        weights.check_adapter(ref, weights.locate(ref.base))
    with ExitStack() as stack:
        serving: list[Serving] = []

        def engine(ref: ModelRef) -> Engine:
            if not serving:
                adapters = tuple(r.adapter for r in refs.values() if r.adapter is not None)
                base = weights.locate(ref.base)
                wanted = Wanted(base, adapters, hardware.detect().dtype, weights.context_length(base), seed)
                serving.append(stack.enter_context(open_vllm(choice, wanted, load_template(ref), log)))
            return serving[0].engines[ref.adapter]

        yield {name: _sampler(partial(engine, ref), _SERVED_PORTION) for name, ref in refs.items()}


def _sampler(open_engine: Callable[[], Engine], portion: int) -> AskModel:
    opened: list[Engine] = []

    def ask(_model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        if not opened:
            opened.append(open_engine())
        ordered = sorted(asks, key=lambda a: (a.max_tokens, a.temperature))
        for start in range(0, len(ordered), portion):
            for group in _alike(ordered[start : start + portion]):
                on_replies(_answered(opened[0], group))

    return ask


def _alike(asks: Sequence[ApiAsk]) -> list[list[ApiAsk]]:
    """Split into groups that are drawn in the same way."""
    groups: dict[tuple[int, float], list[ApiAsk]] = {}
    for one in asks:
        groups.setdefault((one.max_tokens, one.temperature), []).append(one)
    return list(groups.values())


def _answered(engine: Engine, group: Sequence[ApiAsk]) -> list[tuple[ApiAsk, ApiReply]]:
    by_prompt: dict[tuple[Message, ...], list[ApiAsk]] = {}
    for one in group:
        by_prompt.setdefault(one.messages, []).append(one)
    asks = [Ask(prompt, tuple(one.seed or 0 for one in members)) for prompt, members in by_prompt.items()]
    how = Sampling(group[0].max_tokens, group[0].temperature)
    drawn = engine.sample(asks, how)
    found = []
    for members, rows in zip(by_prompt.values(), drawn, strict=True):
        for one, row in zip(members, rows, strict=True):
            reply = ApiReply(row.text, None, None, row.ended) if row.text.strip() else ApiReply(None, missing=EMPTY)
            found.append((one, reply))
    return found
