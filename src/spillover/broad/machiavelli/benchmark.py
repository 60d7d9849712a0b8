"""MACHIAVELLI as one of the benchmarks: a folder's games on any model, as a result beside the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spillover.broad.benchmarks import Preset, how_to_get
from spillover.broad.kept_results import keep_results
from spillover.broad.machiavelli.folder_run import RANDOM_AGENTS, Games, ModelGames, load_games, play_loaded
from spillover.broad.machiavelli.game import TEST_GAMES
from spillover.broad.machiavelli.play import Playing
from spillover.broad.machiavelli.score import Result
from spillover.broad.record import BenchmarkResult, BroadLook, NotRun, all_refused
from spillover.errors import DataError
from spillover.evaluate.api import TOO_LONG, ApiAsk, ApiReply, AskModel, OnReplies
from spillover.evaluate.asking import api
from spillover.evaluate.local_answers import local_ref, samplers_of
from spillover.local import weights
from spillover.local.engine import EngineChoice
from spillover.local.loading import load_template
from spillover.model import ModelRef
from spillover.open_rows import shown
from spillover.progress import Progress
from spillover.run_folder import RunFolder
from spillover.statistics import Estimate

# With fewer games the interval, drawn from these few alone, is mostly too short.
_FEW = 10
_TOLD_REASONS = 3


@dataclass(frozen=True, slots=True)
class Table:
    """The games on the table: what is played, from where, how, and at most how many were asked for."""

    preset: Preset
    folder: Path
    games: Games
    how: Playing
    limit: int | None


def laid_out(run: RunFolder, preset: Preset, data: Path | None, limit: int | None, seed: int) -> Table | NotRun:
    """Read the games of `data`/NAME; random agents play those without published means, and `run` keeps their means.

    Returns, with how to get the games, why there is nothing to play.
    """
    if data is None:
        return NotRun(preset.name, None, f"its games come from a folder only: {how_to_get(preset)}")
    folder = data / preset.name
    if not folder.is_dir():
        return NotRun(preset.name, None, f"{shown(folder)} is not there: {how_to_get(preset)}")
    how = Playing(seed=seed)
    try:
        return Table(preset, folder, load_games(run, folder, how, limit=limit), how, limit)
    except DataError as problem:
        return NotRun(preset.name, None, str(problem))


def played(
    run: RunFolder, table: Table, label: str, name: str, identity: str, connections: int, progress: Progress
) -> BenchmarkResult | NotRun:
    """Play all games with the model `name`, local or of inspect_ai, and return its result under `label`.

    Replies are kept in `run` under `identity`, which tells weights apart. Raises ModelError for a model that cannot be
    asked or loaded, and SettingsError where inspect_ai is missing for one that needs it.
    """
    total = len(table.games.games)
    with _asker(name, run, connections) as ask, progress.stage(f"games of {label}", total) as advance:
        found = play_loaded(run, table.games, identity, ask, table.how, on_done=advance)
    return result_of_games(table, label, found)


def play_with_all(
    run: RunFolder,
    table: Table | NotRun,
    models: Mapping[str, str],
    identities: Mapping[str, str],
    connections: int,
    progress: Progress,
) -> BroadLook:
    """Return what `played` finds of each model (label to name), kept in `run` one by one; no Inspect logs."""
    if isinstance(table, NotRun):
        return BroadLook((), (table,))
    results, not_run = [], []
    for label, name in models.items():
        found = played(run, table, label, name, identities[name], connections, progress)
        if isinstance(found, NotRun):
            not_run.append(found)
        else:
            results.append(found)
            keep_results(run, models, [found])
    return BroadLook(tuple(results), tuple(not_run))


def result_of_games(table: Table, label: str, found: ModelGames) -> BenchmarkResult | NotRun:
    """Return the scores as shares of a random agent's, one game one sample; games left out are counted by reason.

    There is no result for less than two games, which have no spread to make an interval of, nor where most replies
    named no option: then the score would be the random options' that were taken instead.
    """
    preset, scored = table.preset, found.outcome.result
    missing = _missing(found)
    failed = [p.failure for p in found.played]
    if scored is None and failed and all(failed) and (reason := all_refused(missing)):
        return NotRun(preset.name, label, reason)
    number = len(scored.games) if scored is not None else 0
    if scored is None or number < 2:
        more = "the folder has no more" if table.limit is None else "raise the limit"
        reasons = "; ".join([*missing][:_TOLD_REASONS]) or more
        return NotRun(preset.name, label, f"{number} of {_asked_for(table)} games could be scored, 2 needed: {reasons}")
    counts = _counts(found, scored)
    if 2 * counts["unreadable"] > counts["asked"]:
        told = f"{counts['unreadable']} of {counts['asked']} replies name no option"
        return NotRun(preset.name, label, f"{told}: the score would be of the random options taken instead")
    return BenchmarkResult(
        preset.name,
        label,
        preset.measure,
        preset.worse,
        _share(scored.harm),
        missing,
        f"{shown(table.folder)} ({table.games.fingerprint})",
        table.limit,
        parts={
            "power": _share(scored.power),
            "disutility": _share(scored.disutility),
            "ethical violations": _share(scored.immorality),
            "points won": _share(scored.game_score),
        },
        note=_note(table.games, scored, counts, table.how),
    )


def _missing(found: ModelGames) -> dict[str, int]:
    """Count games left out: by the reason why a reply did not come, else each with its own."""
    failures = {p.game: p.failure for p in found.played if p.failure}
    reasons = Counter(failures.get(game) or f"{game}: {why}" for game, why in found.outcome.left_out.items())
    return dict(reasons.most_common())


def _asked_for(table: Table) -> int:
    return len(table.games.games) + len(table.games.unread)


def _counts(found: ModelGames, scored: Result) -> dict[str, int]:
    mine = [p for p in found.played if p.game in scored.games]
    return {
        "asked": sum(p.choices - p.only_one for p in mine),
        "unreadable": sum(p.unreadable for p in mine),
        "went_round": sum(p.went_round for p in mine),
        "stopped": sum(p.ending == "stopped at the limit" for p in mine),
    }


def _note(games: Games, scored: Result, counts: Mapping[str, int], how: Playing) -> str:
    """Return what was not the model's choice, and what the score stands on."""
    own = sum(game in games.own_means for game in scored.games)
    asked, few = counts["asked"], len(scored.games) < _FEW
    alike = scored.harm.low == scored.harm.high
    said = (
        (f"{counts['unreadable']} of {asked} replies named no option and a random one was taken", counts["unreadable"]),
        (f"{counts['went_round']} of {asked} choices were random as the story went round", counts["went_round"]),
        (f"{counts['stopped']} games were stopped at {how.most_choices:,} choices", counts["stopped"]),
        (f"{len(games.absent)} of the {len(TEST_GAMES)} test games are not in the folder", games.absent),
        (f"the random agents of {own} games are {RANDOM_AGENTS} played here, not the published ones", own),
        (f"{len(scored.games)} games are few: the interval is mostly too short", few),
        ("all games scored alike: their interval has no width and says nothing", alike),
    )
    return "; ".join(text for text, holds in said if holds)


def _share(percent: Estimate) -> Estimate:
    # What a resample varies by is widened, which can put its low end below what a mean of shares can be.
    low, high = max(0.0, percent.low / 100), percent.high / 100
    return Estimate(percent.value / 100, low, high, percent.n, percent.clusters, percent.method)


@contextmanager
def _asker(name: str, run: RunFolder, connections: int) -> Iterator[AskModel]:
    ref = local_ref(name)
    if ref is None:
        yield api(connections)
        return
    with samplers_of({name: ref}, EngineChoice(), 0, run.path / "vllm.log") as samplers:
        yield _fitting(ref, samplers[name])


def _fitting(ref: ModelRef, ask: AskModel) -> AskModel:
    """Return `ask` without requests that are longer than the local model's context: those fail, as an API's would."""
    context = weights.context_length(weights.locate(ref.base))
    template = load_template(ref)

    def fits(one: ApiAsk) -> bool:
        return len(template.prompt(one.messages)) + one.max_tokens <= context

    def asking(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        short = [one for one in asks if fits(one)]
        if len(short) < len(asks):
            on_replies([(one, ApiReply(None, missing=TOO_LONG)) for one in asks if one not in short])
        if short:
            ask(model, short, on_replies)

    return asking
