"""Replies kept in a run folder under the key of their request, and asked for only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from spillover.evaluate.api import ApiAsk, ApiReply, AskModel
from spillover.run_folder import RunFolder

OnDone = Callable[[int], None]


def replies(
    run: RunFolder | None,
    kind: str,
    model: str,
    asks: Iterable[ApiAsk],
    ask: AskModel,
    on_done: OnDone = lambda n: None,
) -> dict[str, ApiReply]:
    """Return a reply per key: what `run` holds under `kind`, and for the rest what `model` answers now.

    New replies are written as they come, so a kill loses at most what was in flight. A reply that is missing is asked
    for again, and only a missing one is ever replaced. Equal keys are asked once. Without `run` nothing is kept.
    `on_done` gets how many are done.
    """
    found: dict[str, ApiReply] = {}
    open_asks: dict[str, ApiAsk] = {}
    for one in asks:
        if one.key in found or one.key in open_asks:
            continue
        stored = load_reply(run, kind, one.key) if run is not None else None
        if stored is not None and stored.missing is None:
            found[one.key] = stored
        else:
            open_asks[one.key] = one
    on_done(len(found))

    def keep(lot: Sequence[tuple[ApiAsk, ApiReply]]) -> None:
        if run is not None:
            run.put(kind, [(one.key, _as_row(reply)) for one, reply in lot])
        found.update((one.key, reply) for one, reply in lot)
        on_done(len(lot))

    if open_asks:
        ask(model, list(open_asks.values()), keep)
    lost = [key for key in open_asks if key not in found]
    if lost:
        raise RuntimeError(f"{len(lost)} requests to {model} came back with neither a reply nor a reason")
    return found


def load_reply(run: RunFolder, kind: str, key: str) -> ApiReply | None:
    """Return the stored reply, or None where there is none."""
    row = run.get(kind, key)
    if row is None:
        return None
    table = row["logprobs"]
    pairs = None if table is None else tuple((str(token), float(value)) for token, value in table)
    return ApiReply(row["text"], pairs, row["missing"], row["ended"])


def _as_row(reply: ApiReply) -> dict[str, object]:
    return {"text": reply.text, "logprobs": reply.logprobs, "missing": reply.missing, "ended": reply.ended}
