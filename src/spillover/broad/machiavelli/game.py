"""One published game in memory: its script, the scene graph over the script's lines, the annotators' labels.

The folder is the benchmark's `game_data`, which its authors give out behind a password and nobody may pass on:

    game_metadata.json          {game: {"name", "short_summary", "player_character", ...}}
    source/GAME.json            {"scenes": {scene: [[text, indent], ...]}, "scene_list", "label_to_linenum", "metadata"}
    trees/GAME_game_tree.json   {node: {"scene", "lines", "type", ...}}
    annotations_clean/GAME.json {"scenes": {node: {"money", "physical", "social", "utility", "morality"}}}
    normalization_coeffs.json   {game: {count: {"mean", "stddev", "n_samples"}}} of agents that choose at random
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spillover.broad.machiavelli.annotation import Annotation, read_annotations
from spillover.broad.machiavelli.checked_json import Checked, read
from spillover.errors import DataError
from spillover.open_rows import shown

METADATA, BASELINE = "game_metadata.json", "normalization_coeffs.json"
# The benchmark's test set, which the study played; its published means of random agents are of these.
TEST_GAMES = (
    "avatar-of-the-wolf",
    "battlemage",
    "cliffhanger",
    "death-collector",
    "fate-of-the-storm-gods",
    "hero-of-kendrickstone",
    "hero-project-open-season",
    "hero-project-redemption-season",
    "heroes-of-myth",
    "hollywood-visionary",
    "i-cyborg",
    "kidnapped",
    "kung-fu",
    "luminous-underground",
    "metahuman-inc",
    "midsummer-nights-choice",
    "mysteries-of-baroque",
    "pendragon-rising",
    "ratings-war",
    "sea-eternal",
    "seventh-sea-a-pirates-pact",
    "slammed",
    "t-rex-time-machine",
    "tower-behind-the-moon",
    "trials-of-the-thief-taker",
    "undercover-agent",
    "vampire-the-masquerade_parliament-of-knives",
    "versus-deathscapes",
    "versus-the-lost-ones",
    "werewolves-haven-rising",
)
_MOST_LINES = 100_000
_MOST_INDENT = 1_000
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.'")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the script without its leading blanks, of which there were `indent`."""

    text: str
    indent: int


@dataclass(frozen=True, slots=True)
class Game:
    """A game ready to be played.

    `scenes` hold the lines, each with the scene's implicit end as its last line; `order` is the order of the scenes,
    `labels` the line of "SCENE_LABEL", `nodes` the nodes that a line (scene, number) belongs to, `labelled` the
    annotated ones of them. Scene and label names are in lower case.
    """

    name: str
    title: str
    summary: str
    character: str
    scenes: Mapping[str, tuple[Line, ...]]
    order: tuple[str, ...]
    labels: Mapping[str, int]
    nodes: Mapping[tuple[str, int], tuple[str, ...]]
    labelled: Mapping[str, Annotation]


def game_names(folder: Path) -> tuple[str, ...]:
    """Return the games whose three files are in the folder, in the order of its list of games.

    Raises DataError for a folder that is none, that has no list or none of the games on it.
    """
    listed = [name for name, _ in _metadata(folder).items()]
    found = tuple(name for name in listed if _is_name(name) and all(f.is_file() for f in _files(folder, name)))
    if not found:
        raise DataError(f"{shown(folder)} holds the files of none of the {len(listed)} games of its {METADATA}")
    return found


def load_game(folder: Path, name: str) -> Game:
    """Return a game.

    Raises DataError for one that the folder does not have and for a file that is not as it should be.
    """
    if not _is_name(name):
        raise DataError(f"{shown(name)!r} is no name of a game; take one of {METADATA}")
    about = _metadata(folder).at(name)
    source, tree, labels = (read(file) for file in _files(folder, name))
    order = tuple(entry.text().lower() for entry in source.at("scene_list").entries())
    scenes = {
        scene.lower(): _lines(lines, last=bool(order) and scene.lower() == order[-1])
        for scene, lines in source.at("scenes").items()
    }
    if "startup" not in scenes:
        source.at("scenes").refuse("lacks the scene 'startup'")
    unknown = [scene for scene in order if scene not in scenes]
    if unknown:
        source.at("scene_list").refuse(f"names the scene {unknown[0][:80]!r}, which is not there")
    return Game(
        name,
        about.at("name").text(),
        about.at("short_summary").text(),
        about.at("player_character").text(),
        scenes,
        order,
        {key.lower(): value.whole(_MOST_LINES) for key, value in source.at("label_to_linenum").items()},
        _nodes(tree),
        read_annotations(labels),
    )


def baseline(folder: Path, name: str) -> Mapping[str, float] | None:
    """Return the published mean counts of agents that choose at random, None where the folder has none of this game.

    Raises DataError for a mean that is no number or below 0.
    """
    file = folder / BASELINE
    stored = read(file).get(name) if file.is_file() else None
    if stored is None:
        return None
    means = {}
    for key, value in stored.items():
        means[key] = value.at("mean").number()
        if means[key] < 0:
            value.at("mean").refuse("must not be below 0")
    return means


def _metadata(folder: Path) -> Checked:
    if not folder.is_dir():
        raise DataError(
            f"{shown(folder)} is not a folder; get the games' data from https://github.com/aypan17/machiavelli "
            f"(its README links the archive) and give the unpacked game_data folder"
        )
    if not (folder / METADATA).is_file():
        raise DataError(f"{shown(folder)} has no {METADATA}; give the benchmark's game_data folder")
    return read(folder / METADATA)


def _files(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return (
        folder / "source" / f"{name}.json",
        folder / "trees" / f"{name}_game_tree.json",
        folder / "annotations_clean" / f"{name}.json",
    )


def _is_name(name: str) -> bool:
    """Return whether a name is plain enough to be part of a path."""
    return bool(name) and set(name) <= _NAME and not name.startswith(".") and len(name) <= 200


def _lines(lines: Checked, last: bool) -> tuple[Line, ...]:
    found = []
    for entry in lines.entries():
        pair = entry.entries()
        if len(pair) != 2:
            entry.refuse("must be a pair of text and indent")
        found.append(Line(pair[0].text().rstrip("\r\n"), pair[1].whole(_MOST_INDENT)))
    if len(found) > _MOST_LINES:
        lines.refuse(f"has more than {_MOST_LINES:,} lines")
    return (*found, Line("*ending" if last else "*finish", 0))


def _nodes(tree: Checked) -> Mapping[tuple[str, int], tuple[str, ...]]:
    """Return each line's nodes: all that claim it, in order of name, but none before a condition.

    The graph lays a condition's node over the branch inside it, so a condition gives way to the next that claims the
    line.
    """
    kinds: dict[str, str] = {}
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for name, node in sorted(tree.items()):
        kinds[name] = node.at("type").text()
        scene = node.at("scene").text().lower()
        for entry in node.at("lines").entries():
            place = (scene, entry.whole(_MOST_LINES))
            before = found.get(place, ())
            found[place] = (name,) if before and kinds[before[-1]] == "COND" else (*before, name)
    return found
