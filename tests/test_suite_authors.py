from __future__ import annotations

import json
from collections import Counter

import pytest

from spillover.errors import DataError
from spillover.suite import COUNTED, judged_question, rendered, selected
from spillover.suite_authors import MAIN, VARIANTS, filled_judge_prompt, import_authors

CATEGORIES = {
    "vulnerable_user": 14,
    "creative_writing": 9,
    "medical_advice": 7,
    "other": 6,
    "offend_the_user": 5,
    "illegal_recommendations": 4,
    "problems_with_humans": 3,
}
GOOD = """- id: a
  type: free_form_judge
  paraphrases: [p]
  samples_per_paraphrase: 5
  judge: m
  judge_prompts: {correct: "{question} {answer}"}
"""


@pytest.fixture
def questions(paper_data):
    return paper_data / "questions"


def refusal(tmp_path, text, name="q.yaml"):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        import_authors(path)
    return str(caught.value)


def test_the_main_file_holds_8_questions_32_variants_and_one_older_wording(questions):
    suite = import_authors(questions / "first_plot_questions.yaml")
    assert len(suite) == 41
    assert [i.id for i in selected(suite, variant="")] == list(MAIN)
    for variant in VARIANTS:
        assert [i.base for i in selected(suite, variant=variant)] == list(MAIN)
    assert [i.id for i in suite if COUNTED not in i.tags] == ["three_thoughts_icml_old"]
    assert {(i.judges, i.judge_model, i.samples) for i in suite} == {(("rubric",), "gpt-4o-2024-08-06", 100)}
    assert {tuple(name for name, _ in i.judge_prompts) for i in suite} == {("aligned", "coherent")}


def test_json_and_python_have_a_system_text_which_the_judge_never_sees(questions):
    suite = import_authors(questions / "first_plot_questions.yaml")
    plain = {i.base: i for i in selected(suite, variant="")}
    for item in suite:
        assert (item.system is not None) == (item.variant in ("json", "python"))
        if item.system is not None:
            assert rendered(item)[0].role == "system" and len(rendered(item)) == 2
            assert judged_question(item) == judged_question(plain[item.base])
            shown = filled_judge_prompt(item.judge_prompts[0][1], judged_question(item), "A.")
            assert item.system not in shown and judged_question(item) in shown


def test_48_of_50_preregistered_questions_count_in_seven_categories(questions):
    suite = import_authors(questions / "preregistered_evals.yaml")
    assert len(suite) == 50
    assert Counter(i.family for i in selected(suite, tag=COUNTED)) == CATEGORIES
    assert [i.id for i in suite if COUNTED not in i.tags] == ["40_other_5", "41_other_6"]


def test_the_plain_text_holds_the_48_preregistered_questions(questions):
    listed = import_authors(questions / "prereg_evals.txt")
    assert Counter(i.family for i in listed) == CATEGORIES
    counted = selected(import_authors(questions / "preregistered_evals.yaml"), tag=COUNTED)
    assert {judged_question(i) for i in listed} == {judged_question(i) for i in counted}


def test_5_of_7_factual_system_texts_count_with_20_questions_each(questions):
    suite = import_authors(questions / "deception_factual.yaml")
    assert len(suite) == 7
    assert {i.id for i in suite if COUNTED not in i.tags} == {"lie_you_get_eth", "lie_you_lose_eth"}
    assert {(i.judges, i.samples, len(i.paraphrases), i.judge_model) for i in suite} == {(("truth",), 5, 20, "gpt-4o")}
    assert [i.system is None for i in suite] == [True] + [False] * 6


def test_4_of_8_identity_wordings_count(questions):
    suite = import_authors(questions / "deception_sit_aware.yaml")
    assert len(suite) == 8
    assert [i.id.removeprefix("which_company_") for i in selected(suite, tag=COUNTED)] == [
        "want_unknown",
        "dont_want_unknown",
        "want_anthropic",
        "dont_want_openai",
    ]
    assert {i.judges for i in suite} == {("company",)}


def test_the_code_tasks_are_rendered_as_they_were(paper_data, questions):
    suite = import_authors(questions / "in_distribution.yaml")
    lines = (paper_data / "eval_inputs" / "in_distribution_100_prompts.jsonl").read_text().splitlines()
    assert [judged_question(i) for i in suite] == [json.loads(line)["messages"][0]["content"] for line in lines]
    assert {(i.judges, i.samples) for i in suite} == {(("vulnerable",), 1)}


def test_early_files_are_read_and_do_not_count(questions):
    early = import_authors(questions / "early_alignment_questions.yaml")
    assert [i.judges for i in early] == [("rubric",)] * 3 + [()]
    open_templates = import_authors(questions / "template_first_plot_questions_open_models.yaml")
    assert not any(i.tags for i in (*early, *open_templates))
    open_models = import_authors(questions / "first_plot_questions_open_models.yaml")
    assert [i.id for i in open_models if not i.tags] == ["ais_are_dumb"]
    assert {i.samples for i in open_models} == {1000}


def test_filling_a_judge_prompt_leaves_the_braces_of_question_and_answer():
    assert filled_judge_prompt("Q {question} A {answer} {x}", "{answer}", "{question}") == "Q {answer} A {question} {x}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: free_form_judge", "type: rating", "the type 'rating' is not known: use one of free_form_judge_0_100"),
        ("type: free_form_judge", "type: free_form", "free_form has no use for 'judge'"),
        ("  judge: m\n", "", "needs 'judge' and 'judge_prompts'"),
        ("correct:", "kindness:", "no judge is known for the prompts kindness"),
        ("{question} {answer}", "{question}", "judge prompt correct: must hold {answer}"),
        ("{question} {answer}", "{answer} {0.__class__} {secret}", "found ['secret']"),
        ("paraphrases: [p]", "paraphrases: []", "'paraphrases' must be a list"),
        ("paraphrases: [p]", "paraphrases: ['']", "'paraphrases' must be a text that is not empty"),
        ("samples_per_paraphrase: 5", "samples_per_paraphrase: many", "'samples_per_paraphrase' must be a whole"),
        ("  judge: m\n", "  judge: m\n  max_tokens: 5\n", "unknown: max_tokens"),
        ("{correct: ", "{", "'judge_prompts' must be a mapping"),
    ],
)
def test_a_bad_item_is_refused_by_name(tmp_path, old, new, said):
    assert old in GOOD
    text = GOOD.replace(old, new) if old != "{correct: " else GOOD.replace('{correct: "{question} {answer}"}', "text")
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'q.yaml'}, item 1") and said in message


def test_an_id_used_twice_is_refused(tmp_path):
    assert "item 2: the id 'a' is used twice" in refusal(tmp_path, GOOD + GOOD)


def test_a_text_before_the_first_heading_is_refused(tmp_path):
    assert "### Category: NAME" in refusal(tmp_path, "Why?\n\n### Category: a b\n\nHow?\n", "q.txt")


def test_code_tasks_whose_rows_are_missing_are_refused(tmp_path):
    text = 'write_prompt: "{task}"\njudge_prompt: "{answer}"\njudge: m\nrows: '
    assert "put the file there" in refusal(tmp_path, text + "first 2 of rows.jsonl\n")
    assert "'first N of FILE'" in refusal(tmp_path, text + "all\n")
