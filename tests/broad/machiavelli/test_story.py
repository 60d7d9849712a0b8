from __future__ import annotations

import pytest
from broad.machiavelli.small_games import write_game, write_heist

from spillover.broad.machiavelli import story as story_module
from spillover.broad.machiavelli.game import load_game
from spillover.broad.machiavelli.story import Story
from spillover.errors import DataError


@pytest.fixture
def play(tmp_path):
    """Play a game of the scenes given, options by number, and return the story."""

    def started(*options, seed=0, title="A Small Game", nodes=(), **scenes):
        write_game(tmp_path, "small", scenes, nodes, title=title)
        story = Story(load_game(tmp_path, "small"), seed)
        for option in options:
            story.take(option)
        return story

    return started


def told(story):
    return story.text.split("\n")


def names(story):
    return [option.text for option in story.options]


def test_the_heist_is_told_and_its_nodes_are_visited(tmp_path):
    story = Story(load_game(write_heist(tmp_path), "heist"), 0)
    assert (told(story), names(story), story.visited) == (
        ["You stand before the bank."],
        ["Rob it.", "Walk away."],
        ("startup_0",),
    )
    story.take(0)
    assert told(story) == ["You draw a gun.", "The guard has *100* reasons to fear you."]
    assert story.visited == ("startup_8", "vault_0")
    story.take(0)
    assert (told(story), story.visited) == (["He falls.", "You leave."], ("vault_2", "vault_7"))
    assert (story.points, story.unlocked, story.ended) == (30, ["rich"], False)
    story.take(0)
    assert (story.ended, story.visited, told(story)[-1]) == (True, ("vault_9",), "THE END!")
    assert {name: (a.points, a.told) for name, a in story.achievements.items()} == {
        "rich": (30, "Rich: Get all the gold. / You got all the gold."),
        "kind": (70, "Kind: Spare the guard."),
    }


def test_an_option_that_is_not_there_is_refused(tmp_path):
    story = Story(load_game(write_heist(tmp_path), "heist"), 0)
    for option in (-1, 2):
        with pytest.raises(ValueError, match="is not one of 2"):
            story.take(option)


@pytest.mark.parametrize(("x", "lines"), [(1, ["one", "after"]), (2, ["two", "after"]), (3, ["more", "after"])])
def test_the_first_branch_that_holds_is_run_and_no_other(play, x, lines):
    story = play(
        startup=f"""
        *create x {x}
        *if x = 1
          one
        *elseif x < 3
          two
        *else
          more
        after
        *ending
        """
    )
    assert told(story)[:-1] == lines


def test_a_branch_that_holds_and_says_nothing_ends_the_matter(play):
    assert told(play(startup="*if true\n*else\n  never\nafter\n*ending")) == ["after", "THE END!"]


def test_a_branch_passed_over_is_not_visited(play):
    nodes = [(f"n{i}", "startup", [i]) for i in range(6)]
    story = play(startup="*if true\n  one\n*else\n  two\nafter\n*ending", nodes=nodes)
    assert story.visited == ("n0", "n1", "n4", "n5")


def test_branches_inside_branches_and_options_come_back_to_the_right_line(play):
    scene = """
        *create a true
        *create b false
        *choice
          #First
            *if a
              *if b
                never
              *else
                inner
            body
          #Second
            *if (b)
              never
          #Third
        behind
        *choice
          #End
            *ending
        """
    assert told(play(0, startup=scene)) == ["inner", "body", "behind"]
    assert told(play(1, startup=scene)) == ["behind"]
    assert told(play(2, startup=scene)) == ["behind"]


def test_conditions_decide_which_options_are_on_offer(play):
    story = play(
        startup="""
        *create brave 60
        *create name "Ann"
        *choice
          *if (brave > 50) #Fight
            *ending
          *selectable_if (brave > 70) #Charge
            *ending
          *if (name = "Ann")
            #Say "I am Ann" #1
              *ending
            #Nod
              *ending
          *else
            #Lie
              *ending
          *if ((name#1) = "B") #B
            *ending
          #Run
            *ending
          #Return to the start of this chapter.
            *ending
        """
    )
    assert names(story) == ["Fight", 'Say "I am Ann" #1', "Nod", "Run"]


def test_an_option_to_be_used_once_is_gone_after_it_was_taken(play):
    scene = """
        *label again
        *choice
          *hide_reuse #Once
            *goto again
          #Often
            *goto again
          *allow_reuse #Also often
            *goto again
        """
    assert names(play(0, startup=scene)) == ["Often", "Also often"]
    assert names(play(1, startup=scene)) == ["Once", "Often", "Also often"]
    hidden = play(0, 0, startup="*hide_reuse\n" + scene.replace("        *", "*", 1))
    assert names(hidden) == ["Also often"]


def test_a_subroutine_comes_back_and_gets_its_values(play):
    story = play(
        startup="""
        *create who "nobody"
        *gosub greet "Ann" (2 + 3)
        back, ${who}
        *gosub_scene other hello who
        home
        *ending
        *label greet
        *params name count
        *set who name
        hello ${name} ${count}
        *return
        """,
        other="""
        never
        *label hello
        *params given
        other: ${given}
        *return
        """,
    )
    assert told(story)[:-1] == ["hello Ann 5", "back, Ann", "other: Ann", "home"]


def test_a_scenes_own_variable_hides_the_games_and_stays_with_the_scene(play):
    story = play(
        startup="""
        *create x 1
        *temp x 5
        *set x +1
        here ${x}
        *goto_scene next
        """,
        next="""
        there ${x}
        *set x %+ 50
        grown ${x}
        *ending
        """,
    )
    assert told(story)[:-1] == ["here 6", "there 1", "grown 50"]


def test_targets_can_be_items_and_references(play):
    story = play(
        startup="""
        *create list_1 0
        *create which "list_1"
        *create i 1
        *set list[i] 7
        *set {which} *2
        *setref which +1
        *set which &"!"
        ${list_1} ${which} $!{which} @{(list_1 = 15) fifteen|not}
        *finish
        """,
        other="""
        *gotoref "la"&"st"
        never
        *label last
        *ending
        """,
    )
    assert told(story) == ["15 list_1! List_1! fifteen", "THE END!"]


def test_chance_follows_the_seed(play):
    scene = "*create x 0\n*rand x 1 1000000\n${x}\n*ending"
    one, again, other = (play(startup=scene, seed=seed).text for seed in (1, 1, 2))
    assert one == again != other
    assert 1 <= int(one.split("\n")[0]) <= 1_000_000
    rooms = {f"r{i}": "room\n*ending" for i in range(5)}
    wander = "*goto_random_scene\n" + "".join(f"  {room}\n" for room in rooms)
    assert told(play(startup=wander, **rooms)) == ["room", "THE END!"]


def test_the_benchmark_answers_where_a_game_asks(play):
    asks = "*create n 0\n*create t 0\n*input_number n 1 9\n*input_text t\n"
    scene = asks + "${n} ${t} ${choice_is_web} ${choice_is_trial}\n*ending"
    assert told(play(startup=scene))[0] == "1 user_input true false"
    typed = play(startup=scene.replace("t}", "codename}").replace(" t", " codename"), title="Tally Ho")
    assert "user_input_2" in typed.text


def test_what_has_no_consequence_is_passed_over(play):
    story = play(
        startup="""
        *title X
        *comment anything # ( at all
        *stat_chart
          text name
        ***
        *page_break Next
        *check_achievements
        *create d false
        *achievement a visible 5 A
          told
        *achieve a
        *if choice_achieved_a
          seen
        *ending
        """
    )
    assert told(story) == ["*****Next*****", "seen", "THE END!"]


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        ("*fly away", "the command *fly is not known"),
        ("*goto nowhere", "there is no label 'nowhere'"),
        ("*goto_scene nowhere", "there is no scene 'nowhere'"),
        ("*return", r"*return without a *gosub"),
        ("${nothing}", "there is no variable 'nothing'"),
        ("*create x 1\n*set x /0", "division by zero"),
        ("*create x 1\n*if x\n  a", "neither true nor false"),
        ("*create x", "a variable and a value are needed"),
        ("*create x __import__(1)", "cannot be read"),
        ("*rand x 5 1", "nothing to draw"),
        ("*choice\n  *if false\n    #A\n      *ending", "the choice offers nothing"),
        ("*achievement a visible many A", "*achievement needs"),
        ("*create x 1" + "+1" * 500 + "\n*ending", "more than 400 parts"),
        ("*create x " + "(" * 100 + "1" + ")" * 100, "nested too deeply"),
        ("*create x " + "-" * 200 + "1", "nested too deeply"),
    ],
)
def test_a_line_that_cannot_be_run_is_named(play, scene, message):
    with pytest.raises(DataError) as caught:
        play(startup=scene)
    assert message in str(caught.value)
    assert str(caught.value).startswith("small: scene 'startup', line ")


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        ("*label a\n*goto a", "runs in circles"),
        ("*label a\n*gosub a", "calls of subroutines"),
        ('*create t "aaaaaaaaaa"\n*label a\n*set t &t\n*goto a', "a text grew beyond"),
        ("*create n 10\n*label a\n*set n ^9\n*goto a", "is no number"),
        ("*label a\n" + "long text " * 50 + "\n*goto a", "tells more than"),
        ("*create i 0\n*label a\n*set i +1\n*temp x[i] 1\n*goto a", "more than"),
    ],
)
def test_what_a_game_may_use_up_is_limited(play, monkeypatch, scene, message):
    monkeypatch.setattr(story_module, "MOST_LINES_A_TURN", 20_000)
    monkeypatch.setattr("spillover.broad.machiavelli.variables._MOST", 1_000)
    with pytest.raises(DataError, match=message):
        play(startup=scene)
