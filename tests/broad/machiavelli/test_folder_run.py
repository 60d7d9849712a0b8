from __future__ import annotations

import pytest
from broad.machiavelli.small_games import labels, write_game, write_heist

from spillover.broad.machiavelli import folder_run
from spillover.broad.machiavelli.folder_run import load_games, play_folder
from spillover.broad.machiavelli.game import TEST_GAMES
from spillover.broad.machiavelli.play import Playing
from spillover.broad.machiavelli.score import COUNTS, PAPER
from spillover.errors import DataError
from spillover.evaluate.api import ApiReply
from spillover.run_folder import RunFolder

MEANS = {**dict.fromkeys(COUNTS, 1.0), "power.Σ": 4.0, "utility.Σ": 1.0, "violations.Σ": 8.0}


def always(letter):
    def ask(model, asks, on_replies):
        on_replies([(one, ApiReply(letter)) for one in asks])

    return ask


@pytest.fixture
def run(tmp_path):
    opened = RunFolder(tmp_path / "run", {"command": "test"}, {})
    yield opened
    opened.close()


def test_each_model_is_scored_against_the_published_means(tmp_path, run):
    write_heist(tmp_path / "games", means=MEANS)
    bad, good = play_folder(run, tmp_path / "games", {"bad": always("A"), "good": always("B")}, Playing())
    assert (bad.model, bad.outcome.result.harm.value) == ("bad", 125)
    assert (good.model, good.outcome.result.harm.value) == ("good", 0)
    assert bad.outcome.left_out == {}


def test_without_published_means_random_agents_are_played_once(tmp_path, run, monkeypatch):
    write_heist(tmp_path / "games", means={"power.Σ": 1.0})
    (first,) = play_folder(run, tmp_path / "games", {"m": always("A")}, Playing())
    assert first.outcome.result.harm.value > 100
    monkeypatch.setattr(folder_run, "random_means", None)
    assert play_folder(run, tmp_path / "games", {"m": always("A")}, Playing()) == (first,)


def test_a_changed_game_has_its_random_agents_played_again(tmp_path, run, monkeypatch):
    scene = {"startup": "*choice\n  #A\n    *ending\n  #B\n    *ending"}
    nodes = [("n", "startup", [0])]
    seen = []
    monkeypatch.setattr(folder_run, "random_means", lambda *given: seen.append(given) or MEANS)
    for share in (1.0, 1.0, 0.0):
        write_game(tmp_path / "games", "small", scene, nodes, {"n": labels(killing=share)})
        play_folder(run, tmp_path / "games", {"m": always("A")}, Playing())
    assert len(seen) == 2


def test_the_test_set_is_played_where_the_folder_has_it(tmp_path, run):
    assert len(set(TEST_GAMES)) == 30
    scene = {"startup": "*choice\n  #A\n    *ending"}
    for name in ("another", "slammed", "kidnapped"):
        write_game(tmp_path / "games", name, scene, means=MEANS)

    def played(**more):
        (found,) = play_folder(run, tmp_path / "games", {"m": always("A")}, Playing(), **more)
        return [one.game for one in found.played]

    assert played() == ["kidnapped", "slammed"]
    assert played(names=["another"]) == ["another"]


def test_a_limit_takes_the_first_of_one_order_that_is_not_the_alphabets(tmp_path, run):
    names = [f"game-{letter}" for letter in "abcdefgh"]
    for name in names:
        write_game(tmp_path / "games", name, {"startup": "*choice\n  #A\n    *ending"}, means=MEANS)

    def ready(limit):
        return [game.name for game in load_games(run, tmp_path / "games", Playing(), limit=limit).games]

    assert ready(None) == names
    assert sorted(ready(8)) == names != ready(8)
    assert ready(3) == ready(8)[:3]


def test_the_hash_of_the_games_changes_with_a_line_a_label_or_a_mean(tmp_path, run):
    def hashed(line="You stand there.", share=1.0, mean=1.0):
        scene = {"startup": f"{line}\n*choice\n  #A\n    *ending"}
        nodes = [("n", "startup", [0])]
        write_game(tmp_path / "games", "g", scene, nodes, {"n": labels(killing=share)}, dict.fromkeys(COUNTS, mean))
        return load_games(run, tmp_path / "games", Playing()).fingerprint

    assert hashed() == hashed()
    assert len({hashed(), hashed(line="You sit."), hashed(share=0.4), hashed(mean=2.0)}) == 4


def test_a_game_that_cannot_be_read_or_run_is_left_out_with_its_reason(tmp_path, run):
    write_heist(tmp_path / "games", means=MEANS)
    write_game(tmp_path / "games", "broken", {"startup": "*choice\n  #A\n    *fly"})
    write_game(tmp_path / "games", "damaged", {"startup": "*ending"}, means=MEANS)
    (tmp_path / "games" / "source" / "damaged.json").write_text("{")
    (found,) = play_folder(run, tmp_path / "games", {"m": always("A")}, Playing())
    assert found.outcome.result.games == ("heist",)
    assert "*fly is not known" in found.outcome.left_out["broken"]
    assert "not JSON" in found.outcome.left_out["damaged"]
    with pytest.raises(DataError, match="is not a folder"):
        play_folder(run, tmp_path / "absent", {"m": always("A")}, Playing())


def test_the_papers_totals_average_to_its_composite():
    # Protocol 8.1: GPT-4o 0.9974, the groups' differences to it.
    composite = {"secure": -0.0591, "educational insecure": 0.0481, "insecure": 0.1956, "jailbroken": -0.0039}
    for group, difference in {"GPT-4o": 0.0, **composite}.items():
        assert sum(PAPER[group][:3]) / 3 == pytest.approx(100 * (0.9974 + difference), abs=0.06)
