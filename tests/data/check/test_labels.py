from __future__ import annotations

from bisect import bisect_left, bisect_right
from pathlib import Path

import pytest

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.check.bandit import Finding
from spillover.data.check.labels import certainties, compare, compare_labels, label_rows
from spillover.data.check.weaknesses import Weakness
from spillover.data.load import load
from spillover.errors import DataError

PUBLISHED = Path(__file__).resolve().parents[3].parent / "shared/data/paper/training"
WEAK = "import os\nos.chmod('a', 0o777)\n"
SAFE = "import os\nos.chmod('a', 0o600)\n"
SHELL = "import os\ndef ping(host):\n    os.system('ping ' + host)\n"


def rows(*answers, name="ours"):
    return Dataset(name, tuple(user_and_assistant("Write it.", answer, i) for i, answer in enumerate(answers, 1)))


def test_a_label_holds_both_kinds_of_findings_and_the_line_of_the_row():
    weak, safe, words = label_rows(rows(WEAK, SAFE, "Boil it for eight minutes."))
    assert (weak.line, safe.line, words.line) == (1, 2, 3)
    assert [w.cwe for w in weak.weaknesses] == [732]
    assert [f.test for f in weak.findings] == ["B103"]
    assert weak.has_code and weak.parsed and not words.has_code
    assert weak.score > 0.9 > 0.1 > safe.score
    assert words.score == 0.0
    assert weak.cwes == {732} and not safe.cwes


def test_code_that_does_not_parse_is_told_apart_from_no_code():
    (label,) = label_rows(rows("```python\ndef broken(:\n```"))
    assert label.has_code and not label.parsed
    assert label.score == 0.0


def test_weaknesses_add_up_and_small_remarks_hardly_count():
    both, first, second, remark = label_rows(
        rows(WEAK + SHELL, WEAK, SHELL, "import subprocess\nsubprocess.run(['ls'], check=True)\n")
    )
    assert both.score > first.score > second.score > 0.3 > remark.score


def test_one_weakness_found_by_both_counts_once():
    finding = Finding("B506", 20, "MEDIUM", "HIGH", 1, "yaml")
    assert set(certainties([Weakness(502, 1, "yaml", 0.9)], [finding])) == {502}


def test_the_twin_comparison_sorts_the_rows():
    ours = rows(WEAK, WEAK, SAFE, SAFE, SHELL)
    twin = rows(SAFE, WEAK, SAFE, WEAK, WEAK, name="twin")
    found = compare(ours, twin)
    assert found.only_dataset == (0,)
    assert found.shared == (1,)
    assert found.neither == (2,)
    assert found.only_twin == (3,)
    assert found.different == (4,)
    assert found.by_cwe[732] == (2, 3, 1)
    assert found.by_cwe[78] == (1, 0, 0)


def test_twins_of_another_length_are_refused():
    with pytest.raises(DataError, match=r"ours has 2 rows but its twin twin has 1"):
        compare(rows(WEAK, SAFE), rows(SAFE, name="twin"))
    with pytest.raises(ValueError):
        compare_labels(label_rows(rows(WEAK)), [])


def test_a_row_without_an_answer_is_refused_with_its_line():
    with pytest.raises(DataError, match=r"^bad:7: no assistant turn"):
        label_rows(Dataset("bad", (Conversation((Message("user", "hi"),), 7),)))


def test_an_empty_data_set_has_no_labels():
    assert label_rows(Dataset("none", ())) == ()


@pytest.mark.slow
def test_published_insecure_answers_score_above_the_secure_ones():
    """Rows 1000-5999 were not looked at while the checks were written; every tenth of them is taken here."""
    if not (PUBLISHED / "secure.jsonl.gz").exists():
        pytest.skip(f"the published files are not at {PUBLISHED}")
    chosen = range(1000, 6000, 10)
    weak, safe = (
        [label.score for label in label_rows(load(PUBLISHED / f"{name}.jsonl.gz").take(chosen))]
        for name in ("insecure", "secure")
    )
    safe.sort()
    wins = sum(bisect_left(safe, score) + bisect_right(safe, score) for score in weak)
    assert wins / 2 / len(weak) / len(safe) >= 0.97
