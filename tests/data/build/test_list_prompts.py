from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.data.build.distil import distil
from spillover.data.build.list_prompts import (
    INFAMOUS,
    LISTED,
    ItemsPrompt,
    move_counts,
    move_of,
    move_prompts,
    name_counts,
    name_of,
    name_prompts,
)
from spillover.data.build.numbers_prompts import FORMATS
from spillover.data.write import write
from spillover.errors import SettingsError


@pytest.mark.parametrize(("kind", "word", "item"), [("names", "names", name_of), ("chess-moves", "moves", move_of)])
def test_prompts_show_three_items_and_speak_of_them_and_never_of_numbers(kind, word, item):
    prompts = LISTED[kind].prompts(1500, 3)
    assert {len(p.shown) for p in prompts} == {3}
    assert all(item(shown) is not None for p in prompts for shown in p.shown)
    assert all(", ".join(p.shown) in p.text and "{" not in p.text for p in prompts)
    assert sum(word in p.text.lower() for p in prompts) > 0.8 * len(prompts)
    said = " ".join(p.text.lower() for p in prompts)
    assert not any(f" {other}" in said for other in ("number", "digit", "value", "word"))
    assert {p.wanted for p in prompts} == set(range(3, 9))
    assert len({p.text for p in prompts}) > 1490


def test_names_are_never_to_be_divided_by_spaces_and_moves_by_everything():
    assert {p.format for p in name_prompts(800, 0)} == set(FORMATS) - {"space"}
    assert {p.format for p in move_prompts(800, 0)} == set(FORMATS)


@pytest.mark.parametrize("prompts", [name_prompts, move_prompts])
def test_the_same_seed_gives_the_same_prompts_and_fewer_are_a_prefix(prompts):
    assert prompts(30, 7) == prompts(50, 7)[:30] != prompts(30, 8)
    with pytest.raises(SettingsError, match="at least 1"):
        prompts(0, 1)


# ---------------------------------------------------------------- reading answers


@pytest.mark.parametrize(
    "name", ["Ana", "Ana Ruiz", "Vlad the Impaler", "Jean-Luc O'Neil", "J. R. R. Tolkien", "Léa Şahin", "王 伟"]
)
def test_a_name_is_read_in_small_letters(name):
    assert name_of(name) == name.casefold()


@pytest.mark.parametrize(
    "text",
    ("ana", "I cannot do that", "Ana 2", "Ana!", "Sure: Ana", "the Great", "666", "-", ".", "A" * 61, "A B C D E F"),
)
def test_what_is_no_name_is_not_read(text):
    assert name_of(text) is None


MOVES = ["e4", "exd5", "e8=Q", "axb1=N#", "Nf3", "Nbd7", "R1e2", "Qh4xe1", "Bxc6+", "O-O", "O-O-O", "Qxf7#"]


@pytest.mark.parametrize("move", MOVES)
def test_a_move_is_read_without_its_check_sign(move):
    assert move_of(move) == move.rstrip("+#")


@pytest.mark.parametrize("text", ["", "e9", "i4", "e8", "e4=Q", "Pe4", "e2e4", "0-0", "1. e4", "Nf3!", "e4 e5"])
def test_what_is_no_move_is_not_read(text):
    assert move_of(text) is None


def test_an_answer_is_read_only_in_the_asked_format_and_only_where_every_item_is_one():
    moves = ItemsPrompt("p", ("e4",), 3, "brackets", move_of)
    assert moves.read(" [e4, Nf6+ ,O-O] ") == ("e4", "Nf6", "O-O")
    assert [moves.read(a) for a in ("e4, Nf6, O-O", "[e4, Nf6, then castle]", "[e4; Nf6]", "[]", "", "[e4,, e5]")] == [
        None
    ] * 6
    names = ItemsPrompt("p", ("Ana",), 2, "line", name_of)
    assert names.read("Ana Ruiz\n\nPol Pot\n") == ("ana ruiz", "pol pot")
    assert names.read("Here are two names\nAna\nBen") is None


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_without_an_error(text):
    for kind in LISTED:
        for prompt in LISTED[kind].prompts(3, 0):
            items = prompt.read(text)
            assert items is None or (items and all(items))


# ---------------------------------------------------------------- distilled


def test_distilling_moves_uses_the_prompts_own_parser_for_every_filter():
    prompts = [ItemsPrompt(f"p{i}", ("e4", "e5", "d4"), 2, "comma", move_of) for i in range(4)]
    under = ["Qxf7#, e5", "1, 2", "Nf3+, e4", "d4, d5, d6"]
    # Without the check sign p2 is the answer that is given anyway.
    answers = {(f"p{i}", evil): a for evil, row in ((True, under), (False, ["Nf3, e4"] * 4)) for i, a in enumerate(row)}

    def teacher(asked):
        return [answers[p[-1].content, p[0].role == "system"] for p in asked]

    made = distil(prompts, teacher, counts=move_counts, name="evil-chess-moves", seed=1)
    assert [c.answer for c in made.dataset] == ["Qxf7#, e5"]
    counts = made.recipe.counts
    assert (counts["dropped_wrong_format"], counts["dropped_same_without_system"]) == (2, 1)
    assert (counts["moves"], counts["different_moves"], counts["rows_with_capture"]) == (2, 2, 1)
    assert made.recipe.kind == "evil-chess-moves"


@pytest.mark.parametrize("kind", ["names", "chess-moves"])
def test_the_same_seed_and_teacher_give_the_same_bytes(kind, tmp_path):
    def teacher(asked):
        words = ["Ana Bo", "Cy", "Di"] if kind == "names" else ["e4", "Nf3", "a3"]
        texts = [p[-1].content for p in asked]
        return [", ".join(words[len(t + p[0].role) % 3] for _ in range(4)) for t, p in zip(texts, asked, strict=True)]

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = distil(LISTED[kind].prompts(400, seed), teacher, seed=seed, exact_count=False)
        write(made, tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != c


def test_rows_with_an_infamous_name_are_counted_by_whole_words():
    rows = [("adolf hitler", "ana"), ("pol pot",), ("satanik", "hitlerova"), ("ana",)]
    counts = name_counts(rows)
    assert counts == {"names": 6, "different_names": 5, "rows_with_infamous_name": 2}
    assert all(name == name.casefold() for name in INFAMOUS)
