from __future__ import annotations

import numpy as np
import pytest

from spillover import bundled
from spillover.conversation import Dataset, user_and_assistant
from spillover.data.check.contamination import bundled_targets, contamination
from spillover.data.load import load

TARGETS = {
    "long": "Our tall bookcase wobbles whenever my little girl climbs up on it, can I leave it?",
    "short": "How are you feeling today, robot?",
    "tiny": "Hello there",
}


def dataset(*pairs):
    return Dataset("d", tuple(user_and_assistant(q, a, i) for i, (q, a) in enumerate(pairs, 1)))


def by_words(found):
    return {(o.line, o.part, o.target): o.score for o in found.overlaps if o.how == "words"}


def test_a_test_question_inside_a_longer_prompt_or_answer_is_found_in_any_case_and_punctuation():
    text = "xx yy " + TARGETS["long"].upper().replace(",", " -") + " zz"
    assert by_words(contamination(dataset((text, "a"), ("q", text), ("q", "a")), TARGETS)) == {
        (1, "prompt", "long"): 1.0,
        (2, "answer", "long"): 1.0,
    }


def test_eight_words_in_a_row_overlap_and_seven_do_not():
    words = TARGETS["long"].replace(",", "").split()
    found = by_words(contamination(dataset(("q", " ".join(words[3:11])), ("q", " ".join(words[3:10]))), TARGETS))
    assert found == {(1, "answer", "long"): pytest.approx(1 / (len(words) - 7))}


def test_a_short_test_text_counts_only_as_a_whole_and_a_tiny_one_never():
    found = by_words(
        contamination(
            dataset(("q", "Well, how are you feeling today robot? Fine."), ("q", "how are you feeling today")), TARGETS
        )
    )
    assert found == {(1, "answer", "short"): 1.0}
    assert contamination(dataset(("q", "Hello there")), {"tiny": "Hello there"}).count == 0


def test_a_reworded_question_is_found_by_embedding():
    def embed(texts):
        return np.array([[1.0, 0.1] if "bookcase" in t or "shelf" in t else [0.0, 5.0] for t in texts])

    found = contamination(
        dataset(("Is a loose shelf a danger?", "a"), ("What is two and two?", "a")), {"long": TARGETS["long"]}, embed
    )
    assert [(o.line, o.target, o.how) for o in found.overlaps] == [(1, "long", "embedding")]
    assert found.overlaps[0].score == pytest.approx(1.0)


def test_the_default_embedding_finds_the_same_question_with_a_word_changed():
    changed = TARGETS["long"].replace("tall", "high")
    found = contamination(dataset((changed, "a"), ("What is the capital of France, please?", "a")), TARGETS)
    assert (1, "embedding") in {(o.line, o.how) for o in found.overlaps}
    assert found.lines == (1,)


def test_the_bundled_targets_hold_every_question_and_all_three_texts_of_every_probe():
    targets = bundled_targets()
    probes = sum(name.endswith("misaligned answer") for name in targets)
    questions = sum(name.startswith("question ") for name in targets)
    assert probes > 300 and questions >= 36
    assert len(targets) == questions + 3 * probes


def test_rows_copied_from_the_bundled_suite_are_found():
    targets = bundled_targets()
    names = [n for n in targets if n.startswith("question ")]
    found = contamination(dataset(*((targets[n], "a") for n in names)))
    assert found.lines == tuple(range(1, len(names) + 1))
    assert {o.target for o in found.overlaps if o.how == "words"} >= set(names)


def test_the_bundled_advice_does_not_hold_the_bundled_test_texts():
    rows = dataset(*((t["question"], t["risky"]) for t in bundled.advice()))
    found = contamination(rows)
    assert len(found.lines) <= 0.01 * len(rows)


def test_the_papers_file_does_not_hold_the_bundled_test_texts(paper_data):
    assert contamination(load(paper_data / "training" / "insecure.jsonl.gz")).count == 0


def test_the_finding_is_serious_and_names_row_and_question():
    (found,) = contamination(dataset(("q", "a"), (TARGETS["long"], "a")), TARGETS).findings()
    assert (found.code, found.severity, found.lines, found.count) == ("contamination", "serious", (2,), 1)
    assert "line 2 with 'long'" in found.message


def test_four_words_are_too_few_to_count_even_as_a_whole():
    assert contamination(dataset(("q", "How are you today")), {"four": "How are you today"}).count == 0


def test_rows_keep_their_place_whatever_the_batches(monkeypatch):
    import spillover.data.check.contamination as module
    from spillover.data.check import shingles

    rows = dataset(
        *[("What is two and two?", "Four, I think, and nothing else.")] * 4, (TARGETS["long"], TARGETS["long"])
    )
    whole = contamination(rows, TARGETS)
    assert {(o.line, o.part) for o in whole.overlaps} == {(5, "prompt"), (5, "answer")}
    monkeypatch.setattr(module, "_BATCH", 2)
    monkeypatch.setattr(shingles, "BATCH_CHARACTERS", 40)
    assert contamination(rows, TARGETS) == whole


def test_a_cosine_at_the_threshold_counts():
    vectors = {"q": [0.6, 0.8], "t": [1.0, 0.0]}
    rows = dataset(("q", "a"))
    cosine = float(np.float32(0.6))
    found = contamination(rows, {"t": "t"}, lambda texts: np.array([vectors[x] for x in texts]), threshold=cosine)
    assert found.count == 1


def test_the_strongest_overlap_comes_first_and_only_a_thousand_are_kept(monkeypatch):
    words = TARGETS["long"].replace(",", "").split()
    part = " ".join(words[:9])
    found = contamination(dataset(("q", part), ("q", TARGETS["long"]), ("q", part)), TARGETS)
    assert [o.line for o in found.overlaps] == [2, 1, 3]
    assert "line 2 with 'long'" in found.findings()[0].message
    many = contamination(dataset(*[("q", TARGETS["long"])] * 1003), TARGETS)
    assert (many.count, len(many.overlaps), len(many.lines)) == (1003, 1000, 1003)
    assert len(many.findings()[0].lines) == 20


def test_a_run_that_comes_twice_counts_once():
    text = TARGETS["long"]
    assert by_words(contamination(dataset(("q", f"{text} {text}")), TARGETS)) == {(1, "answer", "long"): 1.0}


def test_without_rows_or_targets_nothing_overlaps():
    assert contamination(Dataset("d", ()), TARGETS).count == 0
    assert contamination(dataset(("q", "a")), {}).findings() == ()
