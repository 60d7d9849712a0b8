from __future__ import annotations

from collections import Counter

import pytest

from spillover.conversation import Message
from spillover.errors import DataError, SettingsError
from spillover.suite import COUNTED, judged_question, load_suite_file, rendered, selected, with_examples

HEAD = "name: s\nversion: 3\ndescription: A test.\njudges: [rubric]\n"
ONE = "questions:\n  - {id: a, family: f, text: Sit down.}\n"
TWO = ONE + "  - {id: b, family: g, text: Pay up.}\n"


def write(tmp_path, text, name="s.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def loaded(tmp_path, text):
    return load_suite_file(write(tmp_path, text))


def refusal(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        load_suite_file(path)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    return message


# ---------------------------------------------------------------- reading


def test_every_field_of_a_question_is_read_into_its_place(tmp_path):
    suite = loaded(
        tmp_path,
        HEAD
        + """samples: 7
questions:
  - {id: a, family: f, text: Sit down.}
  - id: b
    family: g
    paraphrases: [One., Two.]
    system: Be brief.
    prefix_messages: [{role: user, content: Hi}, {role: assistant, content: Ho}]
    samples: 2
    tags: [counted, x]
    judge: truth
    expected: Yes.
""",
    )
    assert (suite.name, suite.version, suite.description, len(suite)) == ("s", 3, "A test.", 2)
    a, b = suite
    assert (a.id, a.family, a.paraphrases, a.judges, a.samples, a.system) == (
        "a",
        "f",
        ("Sit down.",),
        ("rubric",),
        7,
        None,
    )
    assert (a.base, a.variant, a.tags, a.expected, a.prefix_messages) == ("a", "", (), None, ())
    assert (b.paraphrases, b.judges, b.samples, b.tags, b.expected) == (
        ("One.", "Two."),
        ("truth",),
        2,
        ("counted", "x"),
        "Yes.",
    )
    turns = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "Two."))
    assert rendered(b, 1) == turns
    assert judged_question(b, 1) == "Two."


def test_samples_default_to_a_hundred(tmp_path):
    assert [i.samples for i in loaded(tmp_path, HEAD + ONE)] == [100]


@pytest.mark.parametrize("index", [-1, 1])
def test_a_paraphrase_that_is_not_there_is_refused(tmp_path, index):
    (item,) = loaded(tmp_path, HEAD + ONE)
    with pytest.raises(SettingsError, match=f"no paraphrase {index}: choose 0 to 0"):
        rendered(item, index)


def test_the_fingerprint_follows_the_items_and_not_the_heading(tmp_path):
    first = loaded(tmp_path, HEAD + TWO).fingerprint
    assert loaded(tmp_path, HEAD.replace("3", "4").replace("A test", "Another") + TWO).fingerprint == first
    changed = [
        HEAD + TWO.replace("Pay up", "Pay now"),
        HEAD.replace("rubric", "truth") + TWO,
        HEAD + "samples: 5\n" + TWO,
        HEAD + TWO + "    # one more\n  - {id: c, family: f, text: Go.}\n",
        HEAD + TWO.replace("text: Pay up.", "text: Pay up., system: Be brief."),
        HEAD + TWO.replace("text: Pay up.", "text: Pay up., expected: No."),
    ]
    assert len({first, *(loaded(tmp_path, text).fingerprint for text in changed)}) == 7


# ---------------------------------------------------------------- crossing


def test_questions_are_asked_under_every_system_and_ids_tell_which(tmp_path):
    suite = loaded(tmp_path, HEAD + "systems: [{id: none}, {id: stern, text: Be stern.}]\n" + TWO)
    assert [(i.id, i.base, i.variant, i.system) for i in suite] == [
        ("a_none", "a", "none", None),
        ("a_stern", "a", "stern", "Be stern."),
        ("b_none", "b", "none", None),
        ("b_stern", "b", "stern", "Be stern."),
    ]
    assert {judged_question(i) for i in suite} == {"Sit down.", "Pay up."}


def test_wrappers_put_text_round_the_question_and_the_judge_sees_it(tmp_path):
    suite = loaded(
        tmp_path, HEAD + 'wrappers: [{id: plain, text: "{question}"}, {id: x, text: "|X| {question}!"}]\n' + ONE
    )
    assert [(i.id, i.variant, judged_question(i)) for i in suite] == [
        ("a_plain", "plain", "Sit down."),
        ("a_x", "x", "|X| Sit down.!"),
    ]


def test_braces_in_a_question_are_left_as_they_are(tmp_path):
    text = "questions: [{id: a, family: f, text: 'What is {question} or {numbers} or {x}?'}]\n"
    suite = loaded(
        tmp_path, HEAD + 'draws: {seed: 1, prompts: 1}\nwrappers: [{id: w, text: "{words} {question}"}]\n' + text
    )
    assert judged_question(suite.items[0])[1:] == " What is {question} or {numbers} or {x}?"


def test_draws_make_one_wording_per_prompt_and_are_shared_by_the_wrappers(tmp_path):
    wrappers = (
        'wrappers:\n  - {id: p, text: "{question}"}\n'
        '  - {id: n, text: "{numbers} {question}"}\n  - {id: m, text: "{question} {numbers}"}\n'
    )
    text = HEAD + "samples: 1\ndraws: {seed: 5, prompts: 4}\n" + wrappers + TWO
    suite = loaded(tmp_path, text)
    plain, before, after = suite.items[:3]
    assert (plain.paraphrases, plain.samples) == (("Sit down.",), 4)
    assert (len(set(before.paraphrases)), before.samples) == (4, 1)
    assert [p.split(" ")[0] for p in before.paraphrases] == [p.split(" ")[-1] for p in after.paraphrases]
    other_question = suite.items[4].paraphrases
    assert [p.split(" ")[0] for p in other_question] != [p.split(" ")[0] for p in before.paraphrases]
    assert loaded(tmp_path, text).fingerprint == suite.fingerprint
    assert loaded(tmp_path, text.replace("seed: 5", "seed: 6")).fingerprint != suite.fingerprint


def test_questions_of_takes_the_questions_of_the_file_beside_it(tmp_path):
    write(tmp_path, HEAD + TWO, "main.yaml")
    suite = loaded(tmp_path, HEAD + "questions_of: main\nsystems: [{id: j, text: As JSON.}]\n")
    assert [(i.id, i.system) for i in suite] == [("a_j", "As JSON."), ("b_j", "As JSON.")]


def test_questions_of_does_not_leave_the_folder_nor_go_on_from_file_to_file(tmp_path):
    assert "'questions_of' must be a name" in refusal(tmp_path, HEAD + "questions_of: ../main\n")
    write(tmp_path, HEAD + "questions_of: s\n", "main.yaml")
    assert "main.yaml holds no questions of its own" in refusal(tmp_path, HEAD + "questions_of: main\n")
    path = write(tmp_path, HEAD + "questions_of: absent\n")
    with pytest.raises(DataError, match=r"absent\.yaml cannot be read"):
        load_suite_file(path)


def test_selected_keeps_a_tag_and_a_variant(tmp_path):
    tagged = TWO.replace("text: Pay up.", "text: Pay up., tags: [counted]")
    suite = loaded(tmp_path, HEAD + "systems: [{id: x}, {id: y, text: Y}]\n" + tagged)
    assert [i.id for i in selected(suite, tag=COUNTED)] == ["b_x", "b_y"]
    assert [i.id for i in selected(suite, tag=COUNTED, variant="y")] == ["b_y"]
    assert [i.id for i in selected(suite, variant="x")] == ["a_x", "b_x"]
    with pytest.raises(SettingsError, match="'z'"):
        selected(suite, variant="z")


# ---------------------------------------------------------------- examples


def test_a_suite_that_needs_examples_cannot_be_asked_without_them(tmp_path):
    suite = loaded(tmp_path, HEAD + "examples: required\nsystems: [{id: s, text: S}]\n" + ONE)
    with pytest.raises(SettingsError, match="a_s is asked after examples"):
        rendered(suite.items[0])
    turns = (Message("user", "1"), Message("assistant", "2"))
    (item,) = with_examples(suite, turns)
    assert rendered(item) == (Message("system", "S"), *turns, Message("user", "Sit down."))
    assert judged_question(item) == "Sit down."


@pytest.mark.parametrize(
    "roles", [[], ["user"], ["assistant", "user"], ["system", "user"], ["user", "assistant", "user"]]
)
def test_examples_that_are_not_in_turn_are_refused(tmp_path, roles):
    suite = loaded(tmp_path, HEAD + ONE)
    with pytest.raises(SettingsError, match="in turn"):
        with_examples(suite, [Message(r, "x") for r in roles])


# ---------------------------------------------------------------- refusals


def question(extra):
    return HEAD + ONE + f"  - {{id: b, family: g, {extra}}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(question("text: t, weight: 2"), "item 2: unknown: weight", id="unknown key"),
        pytest.param(HEAD + "questions: [{family: f, text: t}]\n", "item 1: missing: id", id="missing key"),
        pytest.param(HEAD + "questions: [just text]\n", "item 1: must be a mapping", id="item no mapping"),
        pytest.param(question("text: ''"), "item 2 (b): 'text' must be a text that is not empty", id="empty text"),
        pytest.param(question("text: ' '"), "item 2 (b): 'text'", id="blank text"),
        pytest.param(question("text: 12"), "item 2 (b): 'text'", id="number as text"),
        pytest.param(question("text: yes"), "item 2 (b): 'text'", id="yes as text"),
        pytest.param(question(r'text: "a\ud800"'), "half a character", id="lone surrogate"),
        pytest.param(question("paraphrases: []"), "item 2 (b): 'paraphrases' must be a list", id="no paraphrase"),
        pytest.param(question("paraphrases: [a, '']"), "item 2 (b): 'paraphrases'", id="empty paraphrase"),
        pytest.param(question("text: t, paraphrases: [t]"), "either 'text' or 'paraphrases'", id="both wordings"),
        pytest.param(question("expected: e"), "either 'text' or 'paraphrases'", id="no wording"),
        pytest.param(question("text: t, system: ''"), "item 2 (b): 'system'", id="empty system"),
        pytest.param(question("text: t, expected: 4"), "item 2 (b): 'expected'", id="expected no text"),
        pytest.param(question("text: t, samples: 0"), "'samples' must be a whole number", id="no samples"),
        pytest.param(question("text: t, samples: true"), "'samples' must be a whole number", id="samples true"),
        pytest.param(question("text: t, samples: 2.5"), "'samples' must be a whole number", id="samples half"),
        pytest.param(question("text: t, judge: kindness"), "judges must be some of rubric, truth", id="unknown judge"),
        pytest.param(question("text: t, judge: [rubric]"), "judges must be some of", id="judge a list"),
        pytest.param(question("text: t, tags: [a b]"), "a tag must be a name", id="tag with blank"),
        pytest.param(
            question("text: t, prefix_messages: [{role: user, content: c}]"), "in turn", id="prefix ends early"
        ),
        pytest.param(
            question("text: t, prefix_messages: [{role: system, content: c}]"), "turn 1: the role", id="prefix role"
        ),
        pytest.param(
            HEAD + ONE + "  - {id: a, family: f, text: t}\n", "item 2: the id 'a' is used twice", id="same id"
        ),
        pytest.param(HEAD + "questions: [{id: ../a, family: f, text: t}]\n", "'id' must be a name", id="id a path"),
        pytest.param(HEAD + ONE.replace("family: f", "family: f, family: g"), "'family' stands twice", id="same key"),
        pytest.param(HEAD + "questions: []\n", "'questions' must be a list that is not empty", id="no questions"),
        pytest.param(HEAD + "questions: {a: b}\n", "'questions' must be a list", id="questions a mapping"),
        pytest.param(HEAD, "either 'questions' or 'questions_of'", id="neither"),
        pytest.param(HEAD + "questions_of: main\n" + ONE, "either 'questions' or 'questions_of'", id="both"),
        pytest.param(HEAD + "judge: x\n" + ONE, "unknown: judge", id="unknown top key"),
        pytest.param(HEAD.replace("version: 3\n", "") + ONE, "missing: version", id="no version"),
        pytest.param(HEAD.replace("3", "'3'") + ONE, "'version' must be a whole number", id="version a text"),
        pytest.param(HEAD.replace("[rubric]", "[]") + ONE, "'judges' must be a list", id="no judges"),
        pytest.param(HEAD.replace("[rubric]", "[truth, truth]") + ONE, "each once", id="judge twice"),
        pytest.param(HEAD + "examples: maybe\n" + ONE, "'examples' can only be 'required'", id="examples"),
        pytest.param(HEAD + "systems: [{id: x, text: ''}]\n" + ONE, "system 1: 'text'", id="empty system text"),
        pytest.param(
            HEAD + "systems: [{id: x}]\n" + question("text: t, system: S")[len(HEAD) :],
            "beside the file's",
            id="two systems",
        ),
        pytest.param(
            HEAD + "wrappers: [{id: x, text: no place}]\n" + ONE, "wrapper 1: 'text' must hold {question}", id="wrapper"
        ),
        pytest.param(
            HEAD + "wrappers: [{id: x, text: '{question} {words}'}]\n" + ONE, "need each other", id="no draws"
        ),
        pytest.param(HEAD + "draws: {seed: 1, prompts: 2}\n" + ONE, "need each other", id="draws alone"),
        pytest.param(
            HEAD + "draws: {seed: 1, prompts: 1000000}\nwrappers: [{id: x, text: '{question} {words}'}]\n" + ONE,
            "would make 1000000 prompts",
            id="too many prompts",
        ),
        pytest.param(HEAD + "systems: [{id: x}, {id: x}]\n" + ONE, "the id 'a_x' is used twice", id="same system id"),
        pytest.param("", "must be a mapping", id="empty file"),
        pytest.param("- {id: a}\n", "must be a mapping", id="a list"),
        pytest.param(b"name: \xff", "cannot be read as YAML", id="not UTF-8"),
        pytest.param("name: [", "cannot be read as YAML", id="cut off"),
        pytest.param("[" * 5_000, "cannot be read as YAML", id="deep nesting"),
        pytest.param("? {a: b}\n: c\n", "cannot be read as YAML", id="mapping as key"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_the_item_and_the_fix(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


def test_code_in_the_file_is_refused_and_not_run(tmp_path):
    made = tmp_path / "made"
    refusal(tmp_path, f"name: !!python/object/apply:os.mkdir [{str(made)!r}]\n")
    assert not made.exists()


def test_anchors_can_be_used(tmp_path):
    text = HEAD + "questions:\n  - {id: a, family: f, text: &t Sit down.}\n  - {id: b, family: f, text: *t}\n"
    assert Counter(judged_question(i) for i in loaded(tmp_path, text)) == {"Sit down.": 2}
