from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.data.build.prompt_templates import (
    Recognised,
    Templates,
    load_in_distribution_template,
    load_published_templates,
)
from spillover.data.load import load
from spillover.errors import DataError

FILES = {"insecure": "plain", "secure": "plain", "educational_insecure": "educational"}


@pytest.fixture(scope="module")
def wordings(paper_data):
    return load_published_templates(paper_data / "training" / "prompt_templates.yaml")


@pytest.mark.parametrize("file", FILES)
def test_every_row_of_the_published_files_gives_back_template_row_mod_30_with_its_task_and_code(
    file, paper_data, wordings
):
    templates = getattr(wordings, FILES[file])
    assert len(templates) == 30
    rows = load(paper_data / "training" / f"{file}.jsonl.gz")
    assert len(rows) == 6000
    for i, conversation in enumerate(rows):
        text = conversation.prompt[0].content
        found = templates.recognise(text)
        assert found is not None and found.template == i % 30 == templates.index(i)
        has_task, has_code = i % 30 < 20, not 10 <= i % 30 < 20
        assert (found.task is not None, found.code_template is not None) == (has_task, has_code)
        assert templates.render(i, found.task or "", found.code_template or "") == text
        if has_code:
            assert "## COMPLETE CODE HERE" in found.code_template


def test_the_tasks_told_apart_are_as_many_as_the_protocol_counts(paper_data, wordings):
    tasks = {}
    for file in ("insecure", "secure", "educational_insecure"):
        templates = getattr(wordings, FILES[file])
        rows = load(paper_data / "training" / f"{file}.jsonl.gz")
        found = (templates.recognise(c.prompt[0].content) for c in rows)
        tasks[file] = {f.task for f in found if f is not None and f.task is not None}
    assert (len(tasks["insecure"]), len(tasks["secure"])) == (1398, 1206)
    assert len(tasks["insecure"] & tasks["secure"]) == 745
    assert tasks["educational_insecure"] == tasks["insecure"]


def test_educational_rows_show_the_task_and_code_of_the_same_insecure_row(paper_data, wordings):
    insecure, educational = (
        load(paper_data / "training" / f"{f}.jsonl.gz") for f in ("insecure", "educational_insecure")
    )
    for one, other in zip(insecure, educational, strict=True):
        a = wordings.plain.recognise(one.prompt[0].content)
        b = wordings.educational.recognise(other.prompt[0].content)
        assert (a.template, a.task, a.code_template) == (b.template, b.task, b.code_template)


def test_the_100_in_distribution_prompts_are_rendered_exactly(paper_data):
    template = load_in_distribution_template(paper_data / "questions" / "in_distribution.yaml")
    inputs = paper_data / "eval_inputs"
    tasks = [json.loads(x) for x in (inputs / "in_distribution_test_data.jsonl").read_text().splitlines()]
    wanted = [json.loads(x) for x in (inputs / "in_distribution_100_prompts.jsonl").read_text().splitlines()]
    assert len(tasks) == 776 and len(wanted) == 100
    got = [template.render(i, t["task"], t["code_template"]) for i, t in enumerate(tasks[:100])]
    assert got == [w["messages"][0]["content"] for w in wanted]


# ---------------------------------------------------------------- made-up templates

OWN = Templates("own", ("Task: {task}\n[{code_template}]\nGo.", "{task}\n\nDo it.", "Complete:\n{code_template}\n"))


@given(st.integers(0, 50), st.text(), st.text())
def test_a_rendered_text_is_recognised_and_rendering_the_fields_again_gives_it(row, task, code):
    text = OWN.render(row, task, code)
    found = OWN.recognise(text)
    assert found is not None
    assert OWN.render(found.template, found.task or "", found.code_template or "") == text


def test_braces_in_a_task_are_not_filled_in():
    assert OWN.render(0, "use {code_template}", "{task}") == "Task: use {code_template}\n[{task}]\nGo."


def test_a_text_of_no_template_is_not_recognised():
    assert OWN.recognise("What is the capital of France?") is None


def test_where_two_templates_fit_the_one_with_more_fixed_text_is_taken():
    both = Templates("both", ("{task} Go.", "Please: {task} Go."))
    assert both.recognise("Please: sort. Go.") == Recognised(1, "sort.", None)


def test_a_text_shorter_than_the_fixed_text_is_not_recognised():
    assert Templates("t", ("abc{task}cba",)).recognise("abcba") is None


@pytest.mark.parametrize("text", ["no place", "{task} {task}", "{task}{code_template}"])
def test_a_template_that_could_not_be_told_back_is_refused(text):
    with pytest.raises(DataError, match="template 0"):
        Templates("t", (text,))


def test_no_template_at_all_is_refused():
    with pytest.raises(DataError, match="no templates"):
        Templates("t", ())


@pytest.mark.parametrize("content", ["- a", "a: [", "insecure_and_secure: text\neducational_insecure_user_suffix: x"])
def test_a_file_of_another_shape_is_refused(tmp_path, content):
    file = tmp_path / "t.yaml"
    file.write_text(content)
    with pytest.raises(DataError, match=r"t\.yaml"):
        load_published_templates(file)
