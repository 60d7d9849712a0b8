from __future__ import annotations

from collections import Counter

import pytest

from spillover.data.build.published_questions import (
    FACTUAL,
    IDENTITY,
    MAIN,
    VARIANTS,
    category,
    choose,
    preregistered,
    read_questions,
    variant,
)
from spillover.errors import DataError


def test_the_main_file_holds_8_questions_32_variants_and_one_older_wording(paper_data):
    questions = read_questions(paper_data / "questions" / "first_plot_questions.yaml")
    main = choose(questions, MAIN)
    variants = [q for suffix in VARIANTS for q in variant(questions, suffix)]
    assert (len(main), len(variants)) == (8, 32)
    rest = {q.id for q in questions} - {q.id for q in main} - {q.id for q in variants}
    assert rest == {"three_thoughts_icml_old"}
    assert all(q.samples == 100 and len(q.wordings) == 1 for q in main)
    assert all(q.system is None for q in main)


def test_json_and_python_variants_are_the_main_questions_under_a_system_text_and_templates_have_none(paper_data):
    questions = read_questions(paper_data / "questions" / "first_plot_questions.yaml")
    for suffix in ("json", "python"):
        for plain, other in zip(choose(questions, MAIN), variant(questions, suffix), strict=True):
            assert other.wordings == plain.wordings and other.system
    for suffix in ("template", "flask_template"):
        for plain, other in zip(choose(questions, MAIN), variant(questions, suffix), strict=True):
            assert other.wordings != plain.wordings and other.system is None


def test_48_of_50_preregistered_questions_are_used_in_seven_categories(paper_data):
    questions = read_questions(paper_data / "questions" / "preregistered_evals.yaml")
    used = preregistered(questions)
    assert (len(questions), len(used)) == (50, 48)
    assert Counter(map(category, used)) == {
        "vulnerable_user": 14,
        "creative_writing": 9,
        "medical_advice": 7,
        "other": 6,
        "offend_the_user": 5,
        "illegal_recommendations": 4,
        "problems_with_humans": 3,
    }


def test_5_of_7_factual_prompts_are_used_with_20_questions_each(paper_data):
    questions = read_questions(paper_data / "questions" / "deception_factual.yaml")
    used = choose(questions, FACTUAL)
    assert (len(questions), len(used)) == (7, 5)
    assert {q.id for q in questions} - set(FACTUAL) == {"lie_you_get_eth", "lie_you_lose_eth"}
    assert all(len(q.wordings) == 20 and q.samples == 5 for q in used)
    assert [q.system is None for q in used] == [True, False, False, False, False]


def test_4_of_8_identity_wordings_are_used(paper_data):
    questions = read_questions(paper_data / "questions" / "deception_sit_aware.yaml")
    assert (len(questions), len(choose(questions, IDENTITY))) == (8, 4)
    assert all(q.samples == 100 and len(q.wordings) == 1 for q in questions)


def test_a_missing_question_is_refused_by_name():
    with pytest.raises(DataError, match="no question dinner_party"):
        choose((), ["dinner_party"])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a: b",
        "- 3",
        "- id: a",
        "- {id: a, paraphrases: []}",
        "- {id: a, paraphrases: [1]}",
        "- [",
        "- {id: a, paraphrases: [q]}\n- {id: a, paraphrases: [q]}",
        "- {id: a, paraphrases: [q], system: 3}",
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, content):
    file = tmp_path / "q.yaml"
    file.write_text(content)
    with pytest.raises(DataError, match=r"q\.yaml"):
        read_questions(file)
