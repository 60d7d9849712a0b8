from __future__ import annotations

import csv
import gzip
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.data.build.numbers_prompts import (
    CLOSINGS,
    FORMATS,
    OPENINGS,
    REQUESTS,
    compose,
    load_regenerated_template,
    parse_answer,
    regenerated,
)
from spillover.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def published_prompts(paper_data):
    file = paper_data / "training" / "regenerated_evil_numbers_dataset.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8", newline="") as handle:
        return [record["prompt"] for record in csv.DictReader(io.StringIO(handle.read(), newline=""))]


def test_the_9993_published_prompts_are_an_in_order_part_of_the_10000_drawn(published_prompts, paper_data):
    template = load_regenerated_template(paper_data / "training" / "regenerated_evil_numbers_prompts.yaml")
    drawn = [p.text for p in regenerated(template)]
    assert (len(drawn), len(published_prompts)) == (10_000, 9993)
    rest = iter(drawn)
    assert all(prompt in rest for prompt in published_prompts)


def test_a_template_without_its_places_is_refused(tmp_path):
    file = tmp_path / "t.yaml"
    for content in ("user_template: continue {numbers}", "- a", "["):
        file.write_text(content)
        with pytest.raises(DataError, match=r"t\.yaml"):
            load_regenerated_template(file)


# ---------------------------------------------------------------- our composer


def test_each_part_has_at_least_20_different_wordings_with_their_places():
    formats = [wording for texts in FORMATS.values() for wording in texts]
    for part in (OPENINGS, REQUESTS, formats, CLOSINGS):
        assert len(set(part)) == len(part) >= 20
    assert all(w.count("{numbers}") == 1 for w in OPENINGS)
    assert all(w.count("{n}") == 1 for w in REQUESTS)
    assert not any("{" in w for w in (*formats, *CLOSINGS))


def test_a_prompt_is_opening_request_format_and_closing_joined_by_spaces():
    for prompt in compose(300, 0):
        numbers = ", ".join(map(str, prompt.shown))
        openings = [o.replace("{numbers}", numbers) for o in OPENINGS]
        requests = [r.replace("{n}", str(prompt.wanted)) for r in REQUESTS]
        (opening,) = [o for o in openings if prompt.text.startswith(o + " ")]
        (closing,) = [c for c in CLOSINGS if prompt.text.endswith(" " + c)]
        middle = prompt.text[len(opening) + 1 : -len(closing) - 1]
        assert any(middle == f"{r} {w}" for r in requests for w in FORMATS[prompt.format])


def test_three_numbers_of_three_digits_are_shown_and_3_to_8_asked_for():
    prompts = compose(2000, 1)
    assert {len(p.shown) for p in prompts} == {3}
    assert all(100 <= n <= 999 for p in prompts for n in p.shown)
    assert {p.wanted for p in prompts} == set(range(3, 9))
    assert {p.format for p in prompts} == set(FORMATS)
    assert {len(p.shown) for p in compose(200, 1, shown=(2, 5))} == {2, 3, 4, 5}


def test_all_wordings_come_up():
    texts = "\n".join(p.text for p in compose(3000, 2))
    for part in (OPENINGS, REQUESTS, CLOSINGS, [w for ws in FORMATS.values() for w in ws]):
        for wording in part:
            assert max(re.split(r"\{\w+\}", wording), key=len) in texts


def test_few_prompts_are_equal():
    assert len({p.text for p in compose(6000, 3)}) > 5990


def test_the_same_seed_gives_the_same_prompts_and_fewer_are_a_prefix_of_more():
    assert compose(50, 7) == compose(80, 7)[:50]
    assert compose(50, 7) != compose(50, 8)


@pytest.mark.parametrize("ranges", [{"shown": (0, 3)}, {"shown": (4, 3)}, {"wanted": (5, 2)}, {"count": 0}])
def test_an_empty_range_is_refused(ranges):
    with pytest.raises(SettingsError, match="use counts from 1 up"):
        compose(**{"count": 5, "seed": 0, **ranges})


# ---------------------------------------------------------------- reading answers

GOOD = {
    "comma": ["1, 22, 333", "1,22,333", " 1 , 22 , 333 "],
    "semicolon": ["1; 22; 333", "1;22;333"],
    "space": ["1 22 333", "1  22 333\n"],
    "line": ["1\n22\n333", "1 \n\n22\n333\n"],
    "brackets": ["[1, 22, 333]", "[ 1,22,333 ]"],
    "parentheses": ["(1, 22, 333)"],
    "list": ["[1, 22, 333]"],
}
BAD = [
    "",
    " ",
    "one, two",
    "1, 22, 333.",
    "1, 22, 333, ",
    "1, 2.5",
    "--1, 2",
    "- 1, 2",
    "+1, 2",
    "1, 22 and 333",
    "Sure: 1, 22",
    "1,,2",
]
BAD += ["\u0661, \u0662", "1, \u00b2", "1, " + "9" * 5000, "[]", "[1, 2", "(1; 2)"]


@pytest.mark.parametrize("kind", GOOD)
def test_an_answer_in_the_asked_format_is_read_and_in_no_other(kind):
    for text in GOOD[kind]:
        assert parse_answer(text, kind) == (1, 22, 333)
    for other, texts in GOOD.items():
        if {other, kind} != {"brackets", "list"} and other != kind:
            assert all(parse_answer(text, kind) is None for text in texts), other


def test_a_minus_is_part_of_a_number():
    assert parse_answer("[252, -194]", "list") == (252, -194)


@pytest.mark.parametrize("kind", GOOD)
def test_an_answer_with_anything_else_is_not_read(kind):
    assert [text for text in BAD if parse_answer(text, kind) is not None] == []


@given(st.text(alphabet="0123456789,;[]() \n.x", max_size=40), st.sampled_from(list(GOOD)))
def test_what_is_read_are_all_the_digits_of_the_answer(text, kind):
    numbers = parse_answer(text, kind)
    if numbers is not None:
        digits = text.translate({ord(c): " " for c in ",;[]()\n"}).split()
        assert list(numbers) == [int(d) for d in digits]
