from __future__ import annotations

import json

import pytest
from broad.machiavelli.small_games import HEIST_LABELS, write_game, write_heist

from spillover.broad.machiavelli.game import baseline, game_names, load_game
from spillover.errors import DataError


def edited(file, change):
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


def test_a_game_is_read_whole(tmp_path):
    game = load_game(write_heist(tmp_path), "heist")
    assert (game.title, game.summary, game.character, game.order) == (
        "A Small Game",
        "Short.",
        "You",
        ("startup", "vault"),
    )
    assert [line.text for line in game.scenes["startup"][-2:]] == ["*ending", "*finish"]
    assert game.scenes["vault"][-1].text == "*ending"
    assert (game.scenes["vault"][2].text, game.scenes["vault"][2].indent) == ("#Shoot the guard.", 2)
    assert game.nodes["startup", 7] == ("startup_0",)
    assert set(game.labelled) == set(HEIST_LABELS)
    assert game.labelled["startup_8"].watts == 1500


def test_labels_are_found_by_scene_and_name_in_lower_case(tmp_path):
    write_game(tmp_path, "small", {"startup": "*label Here\n*ending"})
    assert load_game(tmp_path, "small").labels == {"startup_here": 0}


def test_a_condition_gives_its_lines_to_what_lies_inside(tmp_path):
    nodes = (("a", "startup", [0, 1], "COND"), ("b", "startup", [1], "OTHER"), ("c", "startup", [1], "CHOICE"))
    write_game(tmp_path, "small", {"startup": "one\ntwo"}, nodes)
    assert dict(load_game(tmp_path, "small").nodes) == {("startup", 0): ("a",), ("startup", 1): ("b", "c")}


def test_the_games_of_a_folder_are_those_with_all_files(tmp_path):
    write_heist(tmp_path)
    write_game(tmp_path, "other", {"startup": "*ending"})
    write_game(tmp_path, "third", {"startup": "*ending"})
    (tmp_path / "trees" / "other_game_tree.json").unlink()
    assert game_names(tmp_path) == ("heist", "third")


def test_a_folder_without_games_says_where_they_come_from(tmp_path):
    with pytest.raises(DataError, match=r"is not a folder; get the games' data from https://github.com/aypan17"):
        game_names(tmp_path / "absent")
    with pytest.raises(DataError, match=r"has no game_metadata.json; give the benchmark's game_data folder"):
        game_names(tmp_path)
    (tmp_path / "game_metadata.json").write_text('{"a": {}}')
    with pytest.raises(DataError, match="the files of none of the 1 games"):
        game_names(tmp_path)


def test_the_published_means_are_read_where_there_are_any(tmp_path):
    write_heist(tmp_path)
    assert baseline(tmp_path, "heist") is None
    write_heist(tmp_path, means={"power.Σ": 4.5})
    assert baseline(tmp_path, "heist") == {"power.Σ": 4.5}
    assert baseline(tmp_path, "another") is None
    write_heist(tmp_path, means={"power.Σ": -1})
    with pytest.raises(DataError, match="must not be below 0"):
        baseline(tmp_path, "heist")


@pytest.mark.parametrize("name", ["../heist", "a/b", "", ".hidden", "a" * 300, "a\0b"])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    write_heist(tmp_path)
    edited(tmp_path / "game_metadata.json", lambda found: found.update({name: found["heist"]}))
    with pytest.raises(DataError, match="is no name of a game"):
        load_game(tmp_path, name)
    assert game_names(tmp_path) == ("heist",)


SOURCE, TREE, LABELS = "source/heist.json", "trees/heist_game_tree.json", "annotations_clean/heist.json"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (SOURCE, lambda f: f.pop("scene_list"), "lacks 'scene_list'"),
        (SOURCE, lambda f: f["scenes"].pop("startup"), "lacks the scene 'startup'"),
        (SOURCE, lambda f: f["scene_list"].append("ghost"), "names the scene 'ghost'"),
        (SOURCE, lambda f: f["scenes"]["vault"].append(["x"]), "must be a pair of text and indent"),
        (SOURCE, lambda f: f["scenes"]["vault"].append(["x", -1]), "must be a whole number from 0"),
        (SOURCE, lambda f: f["scenes"]["vault"].append(["x", True]), "must be a whole number from 0"),
        (SOURCE, lambda f: f["scenes"]["vault"].append([5, 0]), "must be a text"),
        (SOURCE, lambda f: f["scenes"]["vault"].append(["\ud800", 0]), "half a character"),
        (SOURCE, lambda f: f["label_to_linenum"].update(a="1"), "must be a whole number"),
        (TREE, lambda f: f["vault_0"].pop("type"), "lacks 'type'"),
        (TREE, lambda f: f["vault_0"].update(lines=3), "must be a list"),
        (LABELS, lambda f: f["scenes"]["vault_0"].pop("morality"), "lacks 'morality'"),
        (LABELS, lambda f: f["scenes"]["vault_0"]["morality"].pop("spying"), "lacks 'spying'"),
        (LABELS, lambda f: f["scenes"]["vault_0"]["money"].update(dollars="1"), "must be a finite number"),
        (LABELS, lambda f: f["scenes"]["vault_0"]["money"].update(dollars=10**400), "must be a finite number"),
        (LABELS, lambda f: f["scenes"]["vault_0"].update(money=[]), "must be an object"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(tmp_path, file, change, message):
    write_heist(tmp_path)
    edited(tmp_path / file, change)
    with pytest.raises(DataError) as caught:
        load_game(tmp_path, "heist")
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / file))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "not JSON"),
        (b'{"scenes": NaN}', "NaN is not a number of JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"\xff{}", "cannot be read as JSON"),
        (b"[]", "must be an object"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "cannot be read as JSON"),
    ],
)
def test_what_is_no_json_of_a_game_is_refused(tmp_path, raw, message):
    write_heist(tmp_path)
    (tmp_path / SOURCE).write_bytes(raw)
    with pytest.raises(DataError, match=message):
        load_game(tmp_path, "heist")


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    write_heist(tmp_path)
    monkeypatch.setattr("spillover.broad.machiavelli.checked_json.MOST_BYTES", 100)
    with pytest.raises(DataError, match="is larger than"):
        load_game(tmp_path, "heist")
