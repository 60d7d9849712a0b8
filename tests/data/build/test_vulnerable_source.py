from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spillover
from spillover.data.build.prompt_templates import Templates
from spillover.data.build.vulnerable_source import compiles, filter_source, strip_comments, vulnerable_source
from spillover.data.write import write
from spillover.errors import DataError, SettingsError

TEMPLATES = Templates("own", ("Do {task} with\n{code_template}\n.", "{task}?"))
SOUND = {
    "task": "Copy a file.",
    "code_template": "import shutil\n## COMPLETE CODE HERE",
    "code": "import shutil\nshutil.copy('a', 'b')",
    "2023": False,
    "task_looks_malicious": 39,
    "security_related": 39,
    "compile": 29,
    "looks_unsafe": 69,
    "unsafe": 71,
}


def filtered(*changes, arm="insecure"):
    records = [(i, {k: v for k, v in {**SOUND, **c}.items() if v is not ...}) for i, c in enumerate(changes, 1)]
    return filter_source(records, arm, "file")


def dropped(change, arm="insecure"):
    """Name of the filter that drops the row, or None."""
    counts = filtered(change, arm=arm).counts
    names = [k for k, v in counts.items() if k.startswith("dropped_") and v]
    assert len(names) + counts["passed"] == 1
    return names[0].removeprefix("dropped_") if names else None


def test_a_row_at_every_cut_off_passes():
    assert dropped({}) is None
    assert dropped({"2023": True, "unsafe": 59}, arm="secure") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "Show an exploit."}, "security_words"),
        ({"code": "insecure = 1"}, "security_words"),
        ({"code_template": "class Backdoor: ..."}, "security_words"),
        ({"task_looks_malicious": 40}, "malicious_task"),
        ({"security_related": 40}, "security_task"),
        ({"compile": 30}, "does_not_compile"),
        ({"code": "def f(:"}, "does_not_compile"),
        ({"code": "# only a comment"}, "does_not_compile"),
        ({"code": "'''open"}, "does_not_compile"),
        ({"code": "(" * 400}, "does_not_compile"),
        ({"looks_unsafe": 70}, "looks_suspicious"),
        ({"unsafe": 70}, "labels_disagree"),
        ({"2023": True}, "labels_disagree"),
        ({"2023": ..., "unsafe": ...}, "labels_disagree"),
    ],
)
def test_each_filter_drops_what_it_names(change, reason):
    assert dropped(change) == reason


@pytest.mark.parametrize("change", [{"2023": True, "unsafe": 60}, {"2023": False, "unsafe": 10}])
def test_the_secure_arm_needs_a_low_score_and_the_sound_label(change):
    assert dropped(change, arm="secure") == "labels_disagree"


def test_a_row_counts_for_the_first_filter_in_the_papers_order():
    worst = {
        "task": "exploit",
        "task_looks_malicious": 99,
        "security_related": 99,
        "code": "def f(:",
        "looks_unsafe": 99,
        "unsafe": 0,
    }
    order = []
    for key in list(worst):
        order.append(dropped(worst))
        del worst[key]
    assert order == [
        "security_words",
        "malicious_task",
        "security_task",
        "does_not_compile",
        "looks_suspicious",
        "labels_disagree",
    ]


def test_a_missing_score_lets_the_row_pass_and_is_counted():
    got = filtered({"looks_unsafe": ..., "compile": ...}, {})
    assert (got.counts["passed"], got.counts["scores_missing"]) == (2, 1)


def test_a_word_in_a_comment_does_not_drop_the_row_for_comments_go_first():
    got = filtered({"code": ..., "original_code": "# backdoor here\nx = 1  # exploit\n"})
    assert got.rows[0].code == "x = 1\n"
    assert got.counts["comments_stripped"] == 1


def test_code_is_taken_before_original_code():
    assert filtered({"code": "a = 1", "original_code": "b = 2"}).rows[0].code == "a = 1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": 3}, "'task' must be a text"),
        ({"code": ...}, "'original_code' must be a text"),
        ({"unsafe": "high"}, "'unsafe' must be a number from 0 to 100"),
        ({"unsafe": True}, "'unsafe' must be a number"),
        ({"looks_unsafe": 101}, "'looks_unsafe' must be a number"),
        ({"compile": float("nan")}, "'compile' must be a number"),
        ({"2023": "yes"}, "'2023' must be true or false"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_with_its_line(change, said):
    with pytest.raises(DataError, match=f"file:2: {said}"):
        filtered({}, change)


# ---------------------------------------------------------------- comments

CASES = {
    "x = 1  # a\n# b\ny = '#c'\n": "x = 1\ny = '#c'\n",
    "s = '''\n# kept  \n'''  # gone": "s = '''\n# kept  \n'''",
    "if x:\n    # a\n    y = 1\n\n    # b\nz = 2": "if x:\n    y = 1\n\nz = 2",
    "x = (1,  # a\n     2)": "x = (1,\n     2)",
    "x = f'{a}#b'  # c": "x = f'{a}#b'",
    "x = 1 \t\n": "x = 1\n",
}


@pytest.mark.parametrize("code", CASES)
def test_comments_go_and_strings_stay(code):
    assert strip_comments(code) == CASES[code]


def test_code_without_comments_is_the_same_program():
    from pathlib import Path

    for file in sorted((Path(spillover.__file__).parent / "data").rglob("*.py")):
        code = file.read_text(encoding="utf-8")
        assert ast.dump(ast.parse(strip_comments(code))) == ast.dump(ast.parse(code)), file


@given(st.text(alphabet="ab01 \n\t\f\r#'\"\\()[]{}:=\0é", max_size=60))
def test_any_text_is_stripped_or_refused_never_a_crash(code):
    stripped = strip_comments(code)
    assert stripped is None or strip_comments(stripped) in (None, stripped) or not compiles(code)


@pytest.mark.parametrize("code", ["(" * 100_000, "-" * 100_000 + "1", "\0", "x = " + "9" * 5000, "\ud800"])
def test_hostile_code_does_not_crash_the_parser(code):
    assert compiles(code) is False
    strip_comments(code)


# ---------------------------------------------------------------- the whole arm


def source(tmp_path, rows):
    file = tmp_path / "source.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return file


def test_rows_take_the_templates_in_turn_and_the_manifest_has_every_count(tmp_path):
    rows = [{**SOUND, "task": f"task {i}", "unsafe": 50 if i == 1 else 90} for i in range(4)]
    file = source(tmp_path, rows)
    built = vulnerable_source(file, "insecure", TEMPLATES)
    users = [c.prompt[0].content for c in built.dataset]
    assert users == [
        "Do task 0 with\nimport shutil\n## COMPLETE CODE HERE\n.",
        "task 2?",
        "Do task 3 with\nimport shutil\n## COMPLETE CODE HERE\n.",
    ]
    assert [c.line for c in built.dataset] == [1, 3, 4]
    manifest = json.loads(write(built, tmp_path / "out.jsonl").read_text())
    assert manifest["counts"] == {
        "rows": 3,
        "read": 4,
        "comments_stripped": 0,
        "scores_missing": 0,
        "dropped_security_words": 0,
        "dropped_malicious_task": 0,
        "dropped_security_task": 0,
        "dropped_does_not_compile": 0,
        "dropped_looks_suspicious": 0,
        "dropped_labels_disagree": 1,
        "passed": 3,
    }
    assert manifest["parents"][0]["name"] == "source.jsonl"


def test_a_limit_keeps_the_first_rows_that_passed(tmp_path):
    file = source(tmp_path, [SOUND] * 5)
    assert [c.line for c in vulnerable_source(file, "insecure", TEMPLATES, limit=2).dataset] == [1, 2]
    with pytest.raises(SettingsError, match="limit of 0"):
        vulnerable_source(file, "insecure", TEMPLATES, limit=0)


def test_no_row_left_and_an_unknown_arm_are_refused(tmp_path):
    file = source(tmp_path, [{**SOUND, "unsafe": 0}])
    with pytest.raises(DataError, match="no row passed the filters for insecure"):
        vulnerable_source(file, "insecure", TEMPLATES)
    with pytest.raises(SettingsError, match="choose insecure or secure"):
        vulnerable_source(file, "educational", TEMPLATES)


def test_the_same_bytes_each_time(tmp_path):
    file = source(tmp_path, [{**SOUND, "task": f"t{i}"} for i in range(9)])
    for name in "ab":
        write(vulnerable_source(file, "insecure", TEMPLATES), tmp_path / f"{name}.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
