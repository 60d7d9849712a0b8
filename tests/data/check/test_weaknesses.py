from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.data.check.weaknesses import Weakness, find_weaknesses, parses, python_in


def pairs():
    """Read (name, CWE, weak program, safe program) from the text file beside this one."""
    text = (Path(__file__).parent / "weak_and_safe.txt").read_text()
    for part in text.split("=== ")[1:]:
        title, _, programs = part.partition("\n")
        weak, _, safe = programs.partition("--- safe\n")
        yield pytest.param(int(title.split()[0]), weak, safe, id=title)


def cwes(code):
    return {weakness.cwe for weakness in find_weaknesses(code)}


@pytest.mark.parametrize(("cwe", "weak", "safe"), pairs())
def test_the_weak_program_is_reported_under_its_number_and_the_safe_one_is_not(cwe, weak, safe):
    ast.parse(weak)
    ast.parse(safe)
    assert cwe in cwes(weak)
    assert cwe not in cwes(safe)


def test_a_finding_names_line_shape_and_certainty():
    (found,) = find_weaknesses("import os\n\nos.chmod('x', 0o666)\n")
    assert found == Weakness(732, 3, "everyone may write", found.certain)
    assert 0.5 < found.certain <= 1


def test_request_data_is_more_certain_than_a_parameter():
    page = "def show(name):\n    return db.execute('SELECT a FROM t WHERE b = ' + {})\n"
    (request,) = find_weaknesses("from flask import request\n" + page.format("request.args['x']"))
    (parameter,) = find_weaknesses(page.format("name"))
    (constant,) = find_weaknesses(page.format("some_global")) or (None,)
    assert request.certain > parameter.certain > constant.certain


def test_data_is_followed_through_functions_of_the_program():
    code = (
        "from flask import Flask, request\napp = Flask(__name__)\ndef wrap(text):\n    return '<p>' + text + '</p>'\n"
        "@app.route('/a')\ndef a():\n    return wrap({})\n"
    )
    weak = [w for w in find_weaknesses(code.format("request.args['q']")) if w.line == 7]
    assert [w.cwe for w in weak] == [79]
    assert not [w for w in find_weaknesses(code.format("'fixed'")) if w.line == 7]


def test_a_function_may_be_called_before_it_is_written():
    code = (
        "from flask import request\ndef page():\n    return db.execute(where(request.args['q']))\n"
        "def where(text):\n    return 'SELECT a FROM t WHERE b = ' + text\n"
    )
    assert [(w.cwe, w.line) for w in find_weaknesses(code)] == [(89, 3)]


def test_a_check_in_one_branch_does_not_clean_the_other():
    code = (
        "import os\ndef read(name):\n    if name in KNOWN:\n        pass\n    return open(os.path.join('/srv', name))\n"
    )
    assert 22 in cwes(code)
    assert 22 not in cwes(code.replace("        pass\n    return", "        return"))


def test_a_loop_body_counts_as_maybe_run():
    code = (
        "import os\ndef read(name):\n    for i in range(3):\n        name = 'fixed'\n    return open('/srv/' + name)\n"
    )
    assert 22 in cwes(code)


@pytest.mark.parametrize(
    ("title", "code"),
    [
        ("brackets", "(" * 5000 + ")" * 5000),
        ("brackets within the parser's limit", "x = " + "[" * 150 + "]" * 150),
        ("minus signs", "x = " + "-" * 50_000 + "1"),
        ("a long sum", "x = " + "+".join(["a"] * 20_000)),
        ("a long chain of calls", "x = a" + ".b()" * 20_000),
        ("nested functions", "".join(f"{' ' * i}def f{i}(a):\n" for i in range(95)) + " " * 95 + "pass"),
        ("many elifs", "if a:\n    pass\n" + "elif os.path.exists(b):\n    open(b)\n" * 3000),
        ("a huge number", "x = " + "9" * 100_000),
        ("a huge power", "import os\nos.chmod('x', 9 ** 9 ** 9)\nn = 2 ** 10 ** 10"),
        ("NUL", "x = 1\0"),
        ("half a surrogate", "x = '\ud800'"),
        ("one line of 1 MB", "x = '" + "a" * 1_000_000 + "'"),
        ("a line just under the limit", "x = '" + "<" * 190_000 + "' % a"),
        ("many names", "\n".join(f"if a{i}:\n    b{i} = a{i}" for i in range(5000))),
        ("a growing text", "def f(a):\n" + "    a = a + a + 'xxxxxxxxxxxxxxxxxxxxxxxx'\n" * 3000),
        ("a slow pattern", "import re\nre.compile('" + "(a+" * 800 + ")+" * 800 + "')"),
        ("an odd coding mark", "# -*- coding: utf-7 -*-\nx = 1"),
        ("a wrong escape", "x = '\\N{no such}'"),
        ("tabs", "if a:\n\tb\n        c"),
        ("empty", ""),
    ],
    ids=lambda value: value if len(value) < 40 else "",
)
def test_hostile_programs_are_answered_quickly_without_an_error(title, code):
    start = time.process_time()
    found = find_weaknesses(code)
    assert parses(code) or found == ()
    assert python_in(code) in (None, code)
    assert time.process_time() - start < 5, title


@pytest.mark.parametrize("code", ["x = 1\0", "x = '\ud800'", "x = '" + "a" * 1_000_000 + "'", "def", "(" * 5000])
def test_what_cannot_be_read_does_not_parse(code):
    assert not parses(code)


def test_a_program_too_deep_for_the_flow_is_still_looked_at():
    deep = "import os\nos.chmod('a', 0o777)\nimport yaml, hashlib\nhashlib.md5(password)\nx = a" + ".b()" * 900
    assert parses(deep)
    assert 328 in cwes(deep)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300))
def test_any_text_is_answered(text):
    find_weaknesses(text)
    python_in(text)


def test_nothing_is_run(tmp_path):
    target = tmp_path / "made"
    find_weaknesses(f"open({str(target)!r}, 'w').write('x')")
    assert not target.exists()


# ---------------------------------------------------------------- the code in an answer


def test_fenced_blocks_are_joined_and_other_languages_left_out():
    text = "First:\n```python\na = 1\n```\nthen\n```bash\nls\n```\n```py\nb = 2\n```\n"
    assert python_in(text) == "a = 1\n\nb = 2"


def test_a_fence_without_a_tag_counts_if_it_looks_like_code():
    assert python_in("```\nimport os\n```") == "import os"
    assert python_in("```\njust words\n```") is None


def test_a_fence_that_is_never_closed_ends_with_the_text():
    assert python_in("Here:\n```python\nx = f(1)") == "x = f(1)"


def test_a_marked_block_that_does_not_parse_is_still_given():
    assert python_in("```python\ndef broken(:\n```") == "def broken(:"


@pytest.mark.parametrize("text", ["yes", "42", '"quoted words"', "Boil it for eight minutes.", "a", "```json\n{}\n```"])
def test_plain_words_are_not_code(text):
    assert python_in(text) is None


def test_a_whole_answer_of_code_is_code():
    assert python_in("import os\nprint(os.name)\n") == "import os\nprint(os.name)\n"
