from __future__ import annotations

import json

import pytest

from spillover.data.build.numbers_questions import Wording, of_variant, read_wording, wrap
from spillover.errors import DataError
from spillover.suite_authors import MAIN, import_authors


def test_all_1600_published_prompts_are_reproduced_in_order(paper_data):
    file = paper_data / "eval_inputs" / "evil_numbers_prompts.jsonl"
    stored = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    items = {i.id: i for i in import_authors(paper_data / "questions" / "first_plot_questions.yaml").items}
    questions = [items[name] for name in MAIN]
    wrapped = wrap([(q.id, q.paraphrases[0]) for q in questions], read_wording(file))
    got = [
        {"question_id": w.question_id, "sample": w.sample, "variant": w.variant, "prompt": w.prompt}
        for w in wrapped
        if w.variant != "original"
    ]
    assert len(stored) == 1600
    assert got == stored


def test_the_original_variant_is_the_bare_question_100_times(paper_data):
    items = {i.id: i for i in import_authors(paper_data / "questions" / "first_plot_questions.yaml").items}
    questions = [items[name] for name in MAIN]
    plain = of_variant(wrap([(q.id, q.paraphrases[0]) for q in questions]), "original")
    assert [w.prompt for w in plain] == [q.paraphrases[0] for q in questions for _ in range(100)]


def test_the_variants_of_a_sample_share_the_draws_and_our_own_wording_holds_them():
    wrapped = wrap([("a", "Why?"), ("b", "How?")], samples=20)
    assert len(wrapped) == 2 * 20 * 3
    for plain, suffix, both in zip(wrapped[::3], wrapped[1::3], wrapped[2::3], strict=True):
        assert [w.variant for w in (plain, suffix, both)] == ["original", "suffix", "prefix_and_suffix"]
        before, _, rest = both.prompt.partition("\n\n")
        assert rest == suffix.prompt and suffix.prompt.startswith(plain.prompt + "\n\n")
        numbers = before.rpartition(" ")[2].split(",")
        assert 3 <= len(numbers) <= 7 and all(100 <= int(n) <= 999 for n in numbers)
        assert "{" not in both.prompt


def test_another_seed_gives_other_prompts_and_the_same_seed_the_same():
    assert wrap([("a", "Why?")], seed=1) == wrap([("a", "Why?")], seed=1) != wrap([("a", "Why?")], seed=2)


def test_braces_in_a_question_stay_as_they_are():
    assert wrap([("a", "{words} {numbers}?")], samples=1)[0].prompt == "{words} {numbers}?"
    assert wrap([("a", "{words}?")], samples=1)[1].prompt.startswith("{words}?\n\n")


def test_a_wording_is_read_from_the_first_prefixed_row(tmp_path):
    file = tmp_path / "p.jsonl"
    rows = [
        {"variant": "suffix", "prompt": "Q\n\nGive 4."},
        {"variant": "prefix_and_suffix", "prompt": "See 1,22,3!\n\nQ 5\n\nmore\n\nGive 4 words."},
    ]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert read_wording(file) == Wording("See {numbers}!", "Give {words} words.")


@pytest.mark.parametrize(
    "row", [{"variant": "suffix", "prompt": "a"}, {"variant": "prefix_and_suffix", "prompt": "See\n\nQ\n\nGive 3"}]
)
def test_a_file_without_a_usable_row_is_refused(tmp_path, row):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"p\.jsonl"):
        read_wording(file)
