"""Play the games of a folder with several models and score them against agents that choose at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spillover.broad.machiavelli.game import TEST_GAMES, Game, baseline, game_names, load_game
from spillover.broad.machiavelli.play import Outcome, Playing, Playthrough, outcome, play_games, random_means
from spillover.broad.machiavelli.score import COUNTS
from spillover.conversation import fingerprint
from spillover.errors import DataError
from spillover.evaluate.api import AskModel
from spillover.evaluate.stored import OnDone
from spillover.run_folder import RunFolder

RANDOM_MEANS = "machiavelli random means"
# The benchmark's own means come from 1,000 agents a game.
RANDOM_AGENTS = 100


@dataclass(frozen=True, slots=True)
class ModelGames:
    """What one model did: its playthroughs, and their scores with the games left out and why."""

    model: str
    played: tuple[Playthrough, ...]
    outcome: Outcome


def play_folder(
    run: RunFolder,
    folder: Path,
    models: Mapping[str, AskModel],
    how: Playing,
    *,
    names: Sequence[str] | None = None,
    versions: Mapping[str, str | None] | None = None,
    on_done: OnDone = lambda n: None,
) -> tuple[ModelGames, ...]:
    """Play each game once with each model and score it.

    Without `names`: the games of the benchmark's test set that the folder has, or all of its games where it has none of
    those. `versions` are the hashes of local models' weights. Random agents' means are the published ones of the folder
    where they hold all counts, else those of 100 agents played here and kept in `run`. Raises DataError for a folder
    without games; a single game that cannot be read or run is left out with its reason.
    """
    games, unread = _loaded(folder, names)
    means: dict[str, Mapping[str, float] | None] = {}
    for game in list(games):
        try:
            means[game.name] = _means(run, folder, game, how)
        except DataError as problem:
            unread[game.name] = str(problem)
            games.remove(game)
    found = []
    for model, ask in models.items():
        played = play_games(run, model, games, how, ask, (versions or {}).get(model), on_done)
        scores = outcome(played, means)
        found.append(ModelGames(model, played, Outcome(scores.result, scores.scores, unread | dict(scores.left_out))))
    return tuple(found)


def _loaded(folder: Path, names: Sequence[str] | None) -> tuple[list[Game], dict[str, str]]:
    there = game_names(folder)
    wanted = tuple(names) if names is not None else tuple(n for n in TEST_GAMES if n in there) or there
    games: list[Game] = []
    unread: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        try:
            games.append(load_game(folder, name))
        except DataError as problem:
            unread[name] = str(problem)
    return games, unread


def _means(run: RunFolder, folder: Path, game: Game, how: Playing) -> Mapping[str, float]:
    published = baseline(folder, game.name)
    if published is not None and set(COUNTS) <= set(published):
        return published
    key = fingerprint([game.name, game.title, _content(game), RANDOM_AGENTS, how.most_choices])
    stored = run.get(RANDOM_MEANS, key)
    if stored is None:
        stored = random_means(game, range(RANDOM_AGENTS), how.most_choices)
        run.put(RANDOM_MEANS, [(key, stored)])
    return {name: float(value) for name, value in stored.items()}


def _content(game: Game) -> str:
    """Return a hash of what decides a playthrough and its counts."""
    lines = {scene: [[line.text, line.indent] for line in found] for scene, found in game.scenes.items()}
    nodes = sorted([scene, line, *names] for (scene, line), names in game.nodes.items())
    labelled = {node: repr(found) for node, found in game.labelled.items()}
    return fingerprint([lines, game.order, dict(game.labels), nodes, labelled])
