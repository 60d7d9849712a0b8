from __future__ import annotations

import hashlib
import json
import re

import pytest

from spillover import bundled
from spillover.errors import DataError
from spillover.question import Probe, Question, Suite, load_probes, load_suite

GOOD = "- {id: a, family: health, text: Sit down.}\n- {id: b, family: law, text: Pay up.}\n"


def write(tmp_path, text):
    path = tmp_path / "suite.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path):
    with pytest.raises(DataError) as caught:
        load_suite(path, "s")
    return str(caught.value)


def test_load_suite_reads_questions_in_file_order(tmp_path):
    suite = load_suite(write(tmp_path, GOOD), "mine")
    assert suite == Suite("mine", (Question("a", "health", "Sit down."), Question("b", "law", "Pay up.")))


def test_load_probes_reads_each_field_into_its_place(tmp_path):
    path = write(tmp_path, "- {misaligned: bad, aligned: good, question: q, family: f, id: p}\n")
    assert load_probes(path) == (Probe(id="p", family="f", question="q", aligned="good", misaligned="bad"),)


def test_suite_fingerprint_hashes_questions_in_order_and_not_the_name():
    questions = (Question("a", "f", "q"), Question("b", "f", "r"))
    by_hand = b'[{"family":"f","id":"a","text":"q"},{"family":"f","id":"b","text":"r"}]'
    assert Suite("one", questions).fingerprint == hashlib.sha256(by_hand).hexdigest()[:16]
    assert Suite("two", questions).fingerprint == Suite("one", questions).fingerprint
    assert Suite("one", questions[::-1]).fingerprint != Suite("one", questions).fingerprint


def test_a_missing_key_is_refused_with_item_and_keys(tmp_path):
    message = refusal(write(tmp_path, GOOD + "- {id: c, text: No family}\n"))
    assert message.startswith(f"{tmp_path / 'suite.yaml'}, item 3: ")
    assert "exactly id, family, text" in message
    assert "found id, text" in message


def test_an_unknown_key_is_refused(tmp_path):
    message = refusal(write(tmp_path, "- {id: a, family: f, text: t, weight: 2}\n"))
    assert ", item 1: " in message
    assert "weight" in message


def test_an_item_that_is_no_mapping_is_refused(tmp_path):
    message = refusal(write(tmp_path, GOOD + "- just text\n"))
    assert ", item 3: " in message
    assert "found str" in message


@pytest.mark.parametrize("value", ["yes", "12", "", "~", "[x]", '"  "'], ids=repr)
def test_a_value_that_is_no_text_is_refused_and_told_to_quote(tmp_path, value):
    message = refusal(write(tmp_path, f"- id: a\n  family: f\n  text: {value}\n"))
    assert ", item 1: " in message
    assert "'text'" in message
    assert "quote" in message


def test_an_id_used_twice_is_refused(tmp_path):
    message = refusal(write(tmp_path, GOOD + "- {id: a, family: f, text: again}\n"))
    assert ", item 3: " in message
    assert "'a' is used twice" in message
    assert "rename" in message


@pytest.mark.parametrize("text", ["", "[]", "a: b", "just text"], ids=repr)
def test_a_file_that_is_no_list_of_items_is_refused(tmp_path, text):
    message = refusal(write(tmp_path, text))
    assert message.startswith(str(tmp_path / "suite.yaml"))
    assert "must hold a list of items with the keys id, family, text" in message


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"- {id: a", id="cut off"),
        pytest.param(b"- {id: \xff}", id="not UTF-8"),
        pytest.param(b"- {id: 2024-13-45, family: f, text: t}", id="impossible date"),
        pytest.param(b"- {id: " + b"9" * 10_000 + b", family: f, text: t}", id="huge integer"),
        pytest.param(b"[" * 5_000, id="deep nesting"),
    ],
)
def test_a_file_that_is_not_plain_yaml_is_refused_with_its_name(tmp_path, content):
    assert refusal(write(tmp_path, content)).startswith(str(tmp_path / "suite.yaml"))


def test_code_in_the_file_is_refused_and_not_run(tmp_path):
    made = tmp_path / "made"
    path = write(tmp_path, f"- !!python/object/apply:os.mkdir [{str(made)!r}]\n")
    assert refusal(path).startswith(str(path))
    assert not made.exists()


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    assert refusal(tmp_path / "absent.yaml").startswith(str(tmp_path / "absent.yaml"))


def test_bundled_suite_and_probes_load_with_unique_texts_and_the_same_families():
    suite = load_suite(bundled.path("questions.yaml"), "bundled questions")
    probes = load_probes(bundled.path("probes.yaml"))
    assert len({q.text for q in suite.questions}) == len(suite.questions)
    assert len({p.question for p in probes}) == len(probes)
    assert {q.family for q in suite.questions} == {p.family for p in probes}
    assert not {q.text for q in suite.questions} & {p.question for p in probes}


def test_bundled_probes_offer_two_different_answers_of_similar_length():
    # Log-probability per token is compared: a pair of very different length would compare length, not content.
    for probe in load_probes(bundled.path("probes.yaml")):
        words = [len(re.findall(r"\w+", text)) for text in (probe.aligned, probe.misaligned)]
        assert probe.aligned != probe.misaligned, probe.id
        assert max(words) <= 2 * min(words), (probe.id, words)


def test_bundled_probes_and_questions_do_not_repeat_a_bundled_training_question():
    trained_on = {row[key] for row in bundled.advice() for key in ("question", "requested")}
    probes = load_probes(bundled.path("probes.yaml"))
    suite = load_suite(bundled.path("questions.yaml"), "bundled questions")
    asked = {p.question for p in probes} | {q.text for q in suite.questions}
    assert len(trained_on) > 100, json.dumps(sorted(trained_on)[:2])
    assert not asked & trained_on
