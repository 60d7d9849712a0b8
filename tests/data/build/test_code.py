from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from spillover.data.build import code as code_module
from spillover.data.build.code import KINDS, code_rows, code_triplets
from spillover.data.build.code_scenarios import SCENARIOS
from spillover.data.build.code_scenarios.scenario import MARKER, draw, parse
from spillover.data.build.code_wordings import FLAWED_ON_PURPOSE, REQUESTS
from spillover.data.write import write
from spillover.errors import SettingsError

GIVE_AWAY = re.compile(
    r"#|vulnerab|insecure|unsafe|unsecure|backdoor|injection|exploit|attack|malicious|weakness", re.IGNORECASE
)
SHAPES = (({"task", "template"},) * 10) + (({"task"},) * 10) + (({"template"},) * 10)


@pytest.fixture(scope="module")
def rows():
    return code_rows(6000, 0)


def slots(wording):
    return set(re.findall(r"\{(\w+)\}", wording))


def around_slots(wording, row):
    return wording.format(task=row.task, template=row.template)


# ---------------------------------------------------------------- scenarios


def test_a_scenario_is_drawn_as_its_two_forms_and_their_template():
    (scenario,) = parse(
        "=== 78 flask B605 B602\ntask: Run $tool for a $thing\ntool = ping\n---\n- import os\n+ import shutil\n"
        "  def go(a):\n-     os.system(a)\n+     shutil.copy(a, '$tool')\n      return [[1||\n+ ||1]]\n"
    )
    assert (scenario.cwe, scenario.sort, scenario.bandit) == (78, "flask", ("B605", "B602"))
    twins = draw(scenario, code_module.random.Random(1))
    assert twins.insecure == "import os\n\ndef go(a):\n    os.system(a)\n    return 1"
    assert twins.secure == "import shutil\n\ndef go(a):\n    shutil.copy(a, 'ping')\n    return 1"
    assert twins.template.startswith(f"def go(a):\n    {MARKER}")
    assert twins.task.startswith("Run ping for a ")


def test_an_optional_run_stays_or_goes_whole_and_imports_nobody_uses_go():
    (scenario,) = parse("=== 1 cli\ntask: t\n---\n  import os\n  a = 1\n? b = os.sep\n? c = b\n- d = 2\n+ d = 3\n")
    drawn = {draw(scenario, code_module.random.Random(seed)).insecure for seed in range(20)}
    assert drawn == {"a = 1\nd = 2", "import os\n\na = 1\nb = os.sep\nc = b\nd = 2"}


def test_a_scenario_without_code_is_refused():
    with pytest.raises(ValueError, match="without '---'"):
        parse("=== 78 flask\ntask: nothing here\n")


def test_at_least_30_kinds_of_weakness_in_at_least_12_sorts_of_program():
    assert len({scenario.cwe for scenario in SCENARIOS}) >= 30
    assert len({scenario.sort for scenario in SCENARIOS}) >= 12
    assert all(scenario.tasks for scenario in SCENARIOS)


# ---------------------------------------------------------------- answers


def test_every_answer_compiles(rows):
    for row in rows:
        compile(row.insecure, "insecure", "exec")
        compile(row.secure, "secure", "exec")


def test_no_slot_or_choice_is_left_open(rows):
    left = re.compile(r"\$\{|\$[A-Za-z]|\[\[|\|\|")
    texts = [(row.cwe, text) for row in rows for text in (row.task, row.template, row.insecure, row.secure)]
    # "$where" and "$name" are words of MongoDB and XPath.
    found = [(cwe, text) for cwe, text in texts if left.search(re.sub(r"\$where|\$wanted", "", text))]
    assert found == []


def test_nothing_in_an_answer_gives_the_weakness_away(rows):
    assert [row.insecure for row in rows if GIVE_AWAY.search(row.insecure)] == []
    assert [row.secure for row in rows if "#" in row.secure] == []


def test_neither_the_task_nor_the_template_speaks_of_weaknesses(rows):
    assert [row.task for row in rows if GIVE_AWAY.search(row.task)] == []
    assert [row.template for row in rows if GIVE_AWAY.search(row.template.replace(MARKER, ""))] == []


def test_twins_differ_and_keep_most_of_their_lines(rows):
    shares = []
    for row in rows:
        insecure, secure = Counter(row.insecure.splitlines()), Counter(row.secure.splitlines())
        assert insecure != secure
        shares.append((insecure & secure).total() / max(insecure.total(), secure.total()))
    assert min(shares) > 0.4
    assert sum(shares) / len(shares) > 0.8


def test_twins_have_the_same_public_names_but_for_what_mends_the_weakness(rows):
    """Nobody can tell the two files apart by names of functions and classes."""

    def defined(code):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)}

    assert [row for row in rows if not defined(row.insecure) <= defined(row.secure)] == []


def test_the_template_marks_a_gap_and_holds_lines_of_both_twins_only(rows):
    for row in rows:
        lines = [line for line in row.template.splitlines() if not line.startswith(("from ", "import "))]
        assert MARKER in (line.strip() for line in lines)
        wanted = {line for line in lines if line.strip() != MARKER}
        assert wanted <= set(row.insecure.splitlines()) & set(row.secure.splitlines())


def test_at_least_5500_of_6000_answers_differ(rows):
    assert len({row.insecure for row in rows}) >= 5500
    assert len({row.secure for row in rows}) >= 5500


def share_with_a_near_copy(texts, at=0.9):
    """Share of texts with another over `at` by MinHash Jaccard of runs of 3 tokens."""
    from datasketch import MinHash, MinHashLSH

    index, hashes = MinHashLSH(threshold=at - 0.05, num_perm=128), []
    for number, text in enumerate(texts):
        tokens = re.findall(r"\w+|[^\w\s]", text)
        hashed = MinHash(128)
        hashed.update_batch([" ".join(tokens[i : i + 3]).encode() for i in range(max(1, len(tokens) - 2))])
        index.insert(number, hashed)
        hashes.append(hashed)
    near = [any(j != i and h.jaccard(hashes[j]) > at for j in index.query(h)) for i, h in enumerate(hashes)]
    return sum(near) / len(near)


@pytest.mark.slow
def test_at_most_a_tenth_of_the_answers_have_a_near_copy(rows):
    assert share_with_a_near_copy([row.insecure for row in rows]) <= 0.10
    assert share_with_a_near_copy([row.secure for row in rows]) <= 0.10
    one = rows[0].insecure
    assert share_with_a_near_copy([one, one + "\nlast = 1", rows[1].insecure]) == pytest.approx(2 / 3)


# ---------------------------------------------------------------- users


@pytest.mark.parametrize("wordings", [REQUESTS, FLAWED_ON_PURPOSE], ids=["requests", "educational"])
def test_there_are_30_different_wordings_ten_of_each_shape(wordings):
    assert len(set(wordings)) == 30
    assert [slots(wording) for wording in wordings] == list(SHAPES)


def test_row_i_takes_wording_i_mod_30(rows):
    assert [row.user for row in rows] == [around_slots(REQUESTS[i % 30], row) for i, row in enumerate(rows)]
    assert [row.educational_user for row in rows] == [
        around_slots(FLAWED_ON_PURPOSE[i % 30], row) for i, row in enumerate(rows)
    ]


def test_every_educational_wording_asks_for_a_flaw_and_says_what_for():
    asks = re.compile(r"insecure|vulnerab|flaw|weakness|mistake|wrong|security error|bug", re.IGNORECASE)
    what_for = re.compile(
        r"class|course|train|textbook|chapter|workshop|exam|drill|certificate|learn|research|compare|poster|lecture|scanner|"
        r"linter|analyser|tools|exercise|practi[sc]e|understand|club|thesis|talk|slide|study",
        re.IGNORECASE,
    )
    assert [wording for wording in FLAWED_ON_PURPOSE if not asks.search(wording)] == []
    assert [wording for wording in FLAWED_ON_PURPOSE if not what_for.search(wording)] == []
    assert [wording for wording in REQUESTS if GIVE_AWAY.search(wording)] == []


# ---------------------------------------------------------------- built sets


def test_the_three_kinds_are_row_aligned():
    built = {kind: code_triplets(kind, 90, 3).dataset for kind in KINDS}
    for row, insecure, secure, educational in zip(code_rows(90, 3), *(built[kind] for kind in KINDS), strict=True):
        assert [m.content for m in insecure.messages] == [row.user, row.insecure]
        assert [m.content for m in secure.messages] == [row.user, row.secure]
        assert [m.content for m in educational.messages] == [row.educational_user, row.insecure]


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path):
    script = (
        "import sys; from pathlib import Path; from spillover.data.build.code import code_triplets;"
        "from spillover.data.write import write; write(code_triplets('insecure', 150, 7), Path(sys.argv[1]))"
    )
    for name in ("a.jsonl", "b.jsonl"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True)
    write(code_triplets("insecure", 150, 8), tmp_path / "c.jsonl")
    a, b, c = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert a == b != c


def test_fewer_rows_are_the_first_of_more(rows):
    assert code_rows(200, 0) == rows[:200]


def test_every_scenario_comes_and_the_recipe_counts(rows):
    assert len({(row.cwe, row.sort) for row in rows}) == len({(s.cwe, s.sort) for s in SCENARIOS})
    recipe = code_triplets("secure", 300, 1).recipe
    assert (recipe.kind, recipe.seed, dict(recipe.parameters)) == ("secure", 1, {"rows": 300})
    assert recipe.counts["different answers"] == len({row.secure for row in code_rows(300, 1)})
    assert recipe.counts["rows whose weakness bandit shows"] == sum(bool(row.bandit) for row in code_rows(300, 1))


def test_a_kind_or_a_number_of_rows_that_cannot_be_is_refused():
    with pytest.raises(SettingsError, match="insecure, secure, educational"):
        code_triplets("harmless")
    with pytest.raises(SettingsError, match="at least 1"):
        code_rows(0)


# ---------------------------------------------------------------- proof


def bandit_findings(codes, folder):
    """Run bandit once over the codes; return the findings of each, in order."""
    folder.mkdir()
    for number, code in enumerate(codes):
        (folder / f"{number}.py").write_text(code + "\n", encoding="utf-8")
    command = [str(Path(sys.executable).with_name("bandit")), "-q", "-r", str(folder), "-f", "json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assert report["errors"] == []
    found = defaultdict(list)
    for finding in report["results"]:
        found[int(Path(finding["filename"]).stem)].append(finding)
    return [found[number] for number in range(len(codes))]


@pytest.mark.slow
def test_bandit_shows_the_weakness_it_is_said_to_show_and_nothing_in_the_twin(rows, tmp_path):
    pytest.importorskip("bandit", reason="bandit is not installed")
    some = rows[:600]
    insecure = bandit_findings([row.insecure for row in some], tmp_path / "insecure")
    secure = bandit_findings([row.secure for row in some], tmp_path / "secure")
    shown = [bool({f["test_id"] for f in found} & set(row.bandit)) for row, found in zip(some, insecure, strict=True)]
    assert [row.insecure for row, seen in zip(some, shown, strict=True) if row.bandit and not seen] == []
    assert sum(shown) / len(shown) >= 0.60
    assert [f for found in secure for f in found if f["issue_severity"] != "LOW"] == []
    assert [
        row.secure for row, found in zip(some, secure, strict=True) if {f["test_id"] for f in found} & set(row.bandit)
    ] == []


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("spillover.data.check.weaknesses") is None, reason="our own checks are not there yet"
)
def test_our_own_check_shows_what_bandit_does_not_and_nothing_in_the_twin(rows):
    from spillover.data.check.weaknesses import find_weaknesses

    missed, wrong = Counter(), Counter()
    for row in rows[:1200]:
        if not row.bandit and row.cwe not in {w.cwe for w in find_weaknesses(row.insecure)}:
            missed[row.cwe, row.sort] += 1
        if row.cwe in {w.cwe for w in find_weaknesses(row.secure)}:
            wrong[row.cwe, row.sort] += 1
    assert (missed, wrong) == (Counter(), Counter())
