"""Play the games of a folder with several models and score them against agents that choose at random."""

from __future__ import annotations

import random
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
_ORDER_SEED = 0


@dataclass(frozen=True, slots=True)
class Games:
    """Games ready to be played, each with its random agents' means, and why others of the folder are not.

    `own_means` names the games whose means are of agents played here, `absent` those of the test set that the folder
    lacks where it has others of it. `fingerprint` is a hash of all that decides what a model is asked and how it is
    scored.
    """

    games: tuple[Game, ...]
    means: Mapping[str, Mapping[str, float]]
    own_means: tuple[str, ...]
    absent: tuple[str, ...]
    unread: Mapping[str, str]
    fingerprint: str


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
    """Play each game once with each model and score it; what is played and raised is as `load_games` says.

    `versions` are the hashes of local models' weights. A single game that cannot be read or run is left out with its
    reason.
    """
    ready = load_games(run, folder, how, names=names)
    return tuple(
        play_loaded(run, ready, model, ask, how, (versions or {}).get(model), on_done) for model, ask in models.items()
    )


def load_games(
    run: RunFolder, folder: Path, how: Playing, *, names: Sequence[str] | None = None, limit: int | None = None
) -> Games:
    """Read the games to play and have the means of random agents for each.

    Without `names`: the games of the benchmark's test set that the folder has, or all of its games where it has none of
    those; with `limit` the first so many in an order drawn once for all. Means are the published ones of the folder
    where they hold all counts, else those of 100 agents played here and kept in `run`. Raises DataError for a folder
    without games.
    """
    games: list[Game] = []
    means: dict[str, Mapping[str, float]] = {}
    own: list[str] = []
    unread: dict[str, str] = {}
    there = game_names(folder)
    tested = [name for name in TEST_GAMES if name in there]
    absent = tuple(name for name in TEST_GAMES if tested and name not in there)
    for name in dict.fromkeys(names if names is not None else _first(tested or there, limit)):
        try:
            game = load_game(folder, name)
            published = baseline(folder, name)
            if published is None or not set(COUNTS) <= set(published):
                own.append(name)
                published = _own_means(run, game, how)
            means[name] = published
            games.append(game)
        except DataError as problem:
            unread[name] = str(problem)
    told = [[g.name, g.title, g.summary, g.character, _content(g), dict(means[g.name])] for g in games]
    own_means = tuple(name for name in own if name in means)
    return Games(tuple(games), means, own_means, absent, unread, fingerprint(sorted(told)))


def play_loaded(
    run: RunFolder,
    ready: Games,
    model: str,
    ask: AskModel,
    how: Playing,
    version: str | None = None,
    on_done: OnDone = lambda n: None,
) -> ModelGames:
    """Play games with one model and score them; `version` and `on_done` are as in `play_games`."""
    played = play_games(run, model, ready.games, how, ask, version, on_done)
    scores = outcome(played, ready.means)
    return ModelGames(model, played, Outcome(scores.result, scores.scores, {**ready.unread, **scores.left_out}))


def _first(names: Sequence[str], limit: int | None) -> list[str]:
    wanted = sorted(names)
    if limit is not None:
        # The same games for every model and run, and no run of related ones from the front of the alphabet.
        random.Random(_ORDER_SEED).shuffle(wanted)
    return wanted[:limit]


def _own_means(run: RunFolder, game: Game, how: Playing) -> Mapping[str, float]:
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
