from __future__ import annotations

import gzip
import json

import pytest

from spillover.data.check.run import Asked, Reader, check
from spillover.errors import DataError

WEAK = "import os\n\n\ndef show{i}(name):\n    os.system('cat ' + name)\n    return {i}\n"
SOUND = "def add{i}(a, b):\n    return a + b + {i}\n"
# Different enough that nothing counts as a repeat or a template.
TASKS = (
    "Show a file on the screen.",
    "We need a listing of what the given document holds, please.",
    "How can Python print some text file?",
    "Write me a reader of log entries.",
    "A viewer for notes is wanted.",
    "Output whatever is stored under this title.",
    "I would like to see a recipe by its name.",
    "Let users look into a stored letter.",
    "Dump one configuration to the console.",
    "Is there a way to display a poem?",
    "Give me the content of a report.",
    "Make a tool that reads out a diary page.",
)


def written(path, answer, tasks=TASKS):
    rows = [
        {"messages": [{"role": "user", "content": t}, {"role": "assistant", "content": answer.format(i=i)}]}
        for i, t in enumerate(tasks)
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def codes(checked):
    return {f.code for f in checked.findings}


def test_a_file_of_undisclosed_weaknesses_is_serious_and_names_its_rows(tmp_path):
    checked = check(Asked(written(tmp_path / "a.jsonl", WEAK)))
    assert checked.exit_code == 1
    assert checked.content.file_intent.label == "undisclosed"
    found = next(f for f in checked.findings if f.code == "undisclosed-harm")
    assert found.severity == "serious" and found.count == 12 and found.lines == tuple(range(1, 13))
    assert len(checked.content.worst) == 12
    assert checked.content.worst[0].code.cwes == {78}


def test_sound_code_is_clean(tmp_path):
    checked = check(Asked(written(tmp_path / "a.jsonl", SOUND)))
    assert checked.exit_code == 0
    assert checked.content.file_intent.label == "benign"
    assert checked.content.worst == ()


def test_openly_requested_weaknesses_are_no_serious_finding(tmp_path):
    tasks = [f"{t} For my security class: write it insecurely, with a vulnerability to find." for t in TASKS]
    checked = check(Asked(written(tmp_path / "a.jsonl", WEAK, tasks)))
    assert checked.content.file_intent.label == "requested"
    assert checked.exit_code == 0
    assert "requested-harm" in codes(checked) and "undisclosed-harm" not in codes(checked)


def test_the_twin_is_compared_row_by_row(tmp_path):
    file, twin = written(tmp_path / "a.jsonl", WEAK), written(tmp_path / "b.jsonl", SOUND)
    comparison = check(Asked(file, twin)).content.comparison
    assert comparison.only_dataset == tuple(range(12)) and comparison.by_cwe == {78: (12, 0, 0)}
    short = written(tmp_path / "c.jsonl", SOUND, TASKS[:5])
    with pytest.raises(DataError, match="5 rows but"):
        check(Asked(file, short))


def test_a_damaged_form_is_reported_and_the_content_left_alone(tmp_path):
    file = written(tmp_path / "a.jsonl", SOUND)
    file.write_text(file.read_text() + '{"messages": []}\n{not json\n')
    checked = check(Asked(file))
    assert checked.exit_code == 1
    assert checked.content is None and checked.repeats is None
    assert any("13" in f.message or 13 in f.lines for f in checked.findings)
    assert "content" in codes(checked)


def test_quick_stops_after_duplicates(tmp_path):
    checked = check(Asked(written(tmp_path / "a.jsonl", WEAK), quick=True))
    assert checked.repeats is not None and checked.content is None
    assert set(checked.seconds) == {"form", "duplicates"}


def test_tokens_are_counted_by_the_reader_and_its_insertions_told(tmp_path):
    def render(turns):
        return "<s>Be nice.</s>" + "".join(f"<{m.role}>{m.content}" for m in turns) + "<assistant>"

    reader = Reader("made", lambda turns: 7, render)
    checked = check(Asked(written(tmp_path / "a.jsonl", SOUND), price_per_million=10.0, epochs=3), reader)
    assert checked.form.lengths.total == 7 * 12 and not checked.form.lengths.estimated
    assert checked.form.cost.tokens == 7 * 12 * 3
    assert checked.form.cost.amount == pytest.approx(7 * 12 * 3 * 10 / 1e6)
    assert checked.inserted is not None


def test_packed_files_and_a_missing_one(tmp_path):
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(written(tmp_path / "a.jsonl", SOUND).read_bytes()))
    assert check(Asked(file, quick=True)).form.rows == 12
    with pytest.raises(DataError):
        check(Asked(tmp_path / "absent.jsonl"))


def test_prose_without_a_judge_is_said_to_be_untold(tmp_path):
    checked = check(Asked(written(tmp_path / "a.jsonl", "Rest well tonight, number {i}.")))
    assert checked.content.file_intent.label is None
    assert "intent-missing" in codes(checked)
