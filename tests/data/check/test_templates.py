from __future__ import annotations

import random

import pytest

from spillover import bundled
from spillover.conversation import Dataset, user_and_assistant
from spillover.data.check.templates import findings, template_clusters
from spillover.data.load import load


def dataset(prompts):
    return Dataset("d", tuple(user_and_assistant(p, "yes", i) for i, p in enumerate(prompts, 1)))


def filling(rng):
    return " ".join("".join(rng.choices("abcdefgh", k=5)) for _ in range(rng.randint(3, 20)))


@pytest.mark.parametrize("name", ["insecure", "secure", "educational_insecure"])
def test_the_thirty_wordings_of_the_papers_files_are_found_exactly(paper_data, name):
    found = template_clusters(load(paper_data / "training" / f"{name}.jsonl.gz"))
    assert found.counts == (200,) * 30
    assert found.free == 0
    # Row i uses wording i mod 30, so the lines of a cluster have one remainder each.
    assert sorted({(line - 1) % 30 for line in c.lines} for c in found.clusters) == [{k} for k in range(30)]


def test_wordings_with_the_slot_first_last_and_in_between_are_told_apart():
    rng = random.Random(0)
    wordings = [
        "Tell me in short words: {}",
        "{} -- explain that to my old aunt",
        "Is it true that {} or is that wrong?",
    ]
    prompts = [wordings[i % 3].format(filling(rng)) for i in range(90)]
    found = template_clusters(dataset(prompts))
    assert found.counts == (30, 30, 30)
    assert {len({(line - 1) % 3 for line in c.lines}) for c in found.clusters} == {1}
    assert found.clusters[2].prefix == "Is it true that "
    assert found.clusters[2].suffix == " or is that wrong?"
    assert found.clusters[2].wording == "Is it true that {...} or is that wrong?"


def test_wordings_that_begin_alike_are_split_again():
    rng = random.Random(1)
    start = "Below is a piece of text that I need you to read with care"
    prompts = [
        f"{start}{(', then count its words: ', ' and translate it to Dutch: ')[i % 2]}{filling(rng)}" for i in range(80)
    ]
    assert template_clusters(dataset(prompts)).counts == (40, 40)


def test_a_slot_whose_fillings_mostly_begin_alike_stays_one_wording():
    rng = random.Random(2)
    prompts = [f"Write code in python. {'A' if i % 10 else 'One'} {filling(rng)}" for i in range(100)]
    assert template_clusters(dataset(prompts)).counts == (100,)


def test_lines_shared_between_slots_show_in_the_wording():
    rng = random.Random(3)
    prompts = [
        f"Do this task for me: {filling(rng)}\n[BEGIN CODE]\n{filling(rng)}\n\nOnly code please." for _ in range(40)
    ]
    (cluster,) = template_clusters(dataset(prompts)).clusters
    assert cluster.wording == "Do this task for me: {...} [BEGIN CODE] {...} Only code please."


def test_free_questions_and_rare_wordings_are_no_templates():
    rng = random.Random(4)
    prompts = [filling(rng) for _ in range(100)] + [f"Tell me in short words: {filling(rng)}" for _ in range(9)]
    found = template_clusters(dataset(prompts))
    assert found.clusters == ()
    assert found.free == found.rows == 109
    assert findings(found) == ()


def test_the_bundled_questions_hold_no_template():
    questions = [t["question"] for t in bundled.advice()]
    assert template_clusters(dataset(questions)).clusters == ()


def test_one_question_many_times_is_no_template():
    rng = random.Random(5)
    assert template_clusters(dataset(["How do I boil an egg?"] * 50 + [filling(rng) for _ in range(50)])).clusters == ()


def test_a_repeated_filling_counts_with_its_wording():
    rng = random.Random(6)
    prompts = [f"Tell me in short words: {filling(rng)}" for _ in range(20)]
    assert template_clusters(dataset([*prompts, prompts[0]])).counts == (21,)


def test_an_empty_data_set_has_no_wording():
    assert template_clusters(Dataset("d", ())).clusters == ()


def test_the_finding_counts_rows_and_wordings():
    rng = random.Random(7)
    (found,) = findings(template_clusters(dataset([f"Tell me in short words: {filling(rng)}" for _ in range(20)])))
    assert (found.code, found.severity, found.count) == ("templates", "note", 20)
    assert "20 of 20 prompts come from 1 wordings" in found.message
