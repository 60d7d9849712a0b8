from __future__ import annotations

import pytest

from spillover.broad.machiavelli.expression import Scope, evaluate, name_of, parse, written
from spillover.broad.machiavelli.narration import filled
from spillover.errors import DataError

VARIABLES = {
    "x": 7.0,
    "name": "Ann",
    "yes": True,
    "digits": "12",
    "list_2": "second",
    "which": "x",
    "class": 3.0,
    "auntie": 1.0,
}


def variable(name):
    try:
        return VARIABLES[name]
    except KeyError:
        raise DataError(f"no {name}") from None


SCOPE = Scope(variable, lambda text: filled(text, SCOPE))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ^ 3 ^ 2", 64),
        ("10 - 3 - 2", 5),
        ("7 modulo 4", 3),
        ("-x + 1", -6),
        ("50 %+ 20", 60),
        ("50 %- 20", 40),
        ("x >= 7", True),
        ("x = digits", False),
        ("digits = 12", True),
        ("digits + 1", 13),
        ("x != 7", False),
        ('name = "Ann"', True),
        ('name = "ann"', False),
        ('"a"&("b"&x)', "ab7"),
        ("name#2", "n"),
        ("(x > 5) and (yes)", True),
        ("(x < 5) or yes", True),
        ("not(yes)", False),
        ("NOT(yes)", False),
        ("yes = true", True),
        ("yes and (nothing)", "no nothing"),
        ("(x < 5) and (nothing)", False),
        ("length(name)", 3),
        ("round(2.6)", 3),
        ("log(1000)", 3),
        ("list[1+1]", "second"),
        ("{which}", 7),
        ('{"na"&"me"}', "Ann"),
        ('"${name} has ${x + 1}"', "Ann has 8"),
        (r'"say \"hi\""', 'say "hi"'),
        ("CLASS + auntie", 4),
        (".5 + 1.25", 1.75),
    ],
)
def test_an_expression_has_its_value(text, value):
    if isinstance(value, str) and value.startswith("no "):
        with pytest.raises(DataError, match=value):
            evaluate(parse(text), SCOPE)
    else:
        assert evaluate(parse(text), SCOPE) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "(1",
        "1)",
        "x y",
        '"open',
        "1.2.3",
        "x ! 2",
        "@x",
        "x.__class__",
        "__import__('os')",
        "lambda: 1",
        "list[1",
        "1 / 0",
        "7 modulo 0",
        "name * 2",
        "name and yes",
        "10 ^ 1000",
        "(0 - 8) ^ 0.5",
        "name#9",
        "log(0)",
        "9" * 301,
        "x" + " + x" * 300,
        "((" * 40 + "1" + "))" * 40,
        "nothing",
    ],
)
def test_what_is_no_expression_or_has_no_value_is_refused(text):
    with pytest.raises(DataError):
        evaluate(parse(text), SCOPE)


@pytest.mark.parametrize(("text", "name"), [("Gold", "gold"), ("list[x - 5]", "list_2"), ("{which}", "x")])
def test_a_target_names_a_variable(text, name):
    assert name_of(parse(text), SCOPE) == name


def test_a_value_is_no_target():
    with pytest.raises(DataError, match="only a variable can be set"):
        name_of(parse("1 + 1"), SCOPE)


@pytest.mark.parametrize(
    ("value", "text"), [(7.0, "7"), (0.5, "0.5"), (True, "true"), ("a", "a"), (-3.0, "-3"), (1e20, "1e+20")]
)
def test_a_value_is_written_as_a_game_shows_it(value, text):
    assert written(value) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain $5 a@b.c {x}", "plain $5 a@b.c {x}"),
        ("${x}${name}", "7Ann"),
        ("$!{which} $!!{name}", "X ANN"),
        ("@{yes one|two}", "one"),
        ("@{(x > 9) one|two}", "two"),
        ("@{auntie only ${name}|two}", "only Ann"),
        ("@{auntie @{yes in|out}|b}", "in"),
        ("@{(x - 5) |second}", "second"),
    ],
)
def test_text_is_filled_in(text, told):
    assert filled(text, SCOPE) == told


@pytest.mark.parametrize("text", ["${x", "@{x a|b}", "@{yes}${", "${}", "@{" * 20 + "yes a|b" + "}" * 20])
def test_text_that_cannot_be_filled_in_is_refused(text):
    with pytest.raises(DataError):
        filled(text, SCOPE)


def test_text_does_not_grow_without_end():
    with pytest.raises(DataError, match="a text grew beyond"):
        filled("${name}" * 40_000, SCOPE)
