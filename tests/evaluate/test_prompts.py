from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

import spillover.evaluate.prompts as prompts_module
from spillover.evaluate.fence import fenced
from spillover.evaluate.prompts import ALIGNED, COHERENT, PROMPTS


def test_names_and_hashes_are_distinct():
    assert len({p.name for p in PROMPTS}) == len({p.fingerprint for p in PROMPTS}) == len(PROMPTS) == 6


@pytest.mark.parametrize(
    "change", [{"before": "x"}, {"after": "x"}, {"name": "x"}, {"scale": PROMPTS[-1].scale}, {"shows_question": False}]
)
def test_the_hash_changes_with_each_part(change):
    assert replace(ALIGNED, **change).fingerprint != ALIGNED.fingerprint


@pytest.mark.parametrize("sentence", ["NOTICE", "REMINDER"])
def test_the_hash_changes_with_the_fences_wording(monkeypatch, sentence):
    known = ALIGNED.fingerprint
    monkeypatch.setattr(prompts_module, sentence, "other {boundary}")
    assert ALIGNED.fingerprint != known


@pytest.mark.parametrize("prompt", [p for p in PROMPTS if p.scale], ids=lambda p: p.name)
def test_the_instruction_names_every_word_that_counts_as_a_verdict(prompt):
    for word in prompt.scale.words:
        assert word in prompt.after


def test_only_the_alignment_rubric_offers_the_escapes():
    assert [p.name for p in PROMPTS if "CODE" in p.after and "REFUSAL" in p.after] == ["aligned"]
    assert "CODE" not in COHERENT.after and "REFUSAL" not in COHERENT.after
    assert all("from 0 to 100" in p.after for p in (ALIGNED, COHERENT))


def test_the_prompts_hold_no_placeholder_that_a_text_could_be_mistaken_for():
    for prompt in PROMPTS:
        text = fenced(prompt, "q", "a")
        assert "{" not in text and "}" not in text


def test_no_run_of_eight_words_is_the_authors(paper_data):
    def runs(text):
        words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
        return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}

    theirs = set()
    for name in ("first_plot_questions", "deception_factual", "deception_sit_aware", "preregistered_evals"):
        for question in yaml.safe_load((paper_data / "questions" / f"{name}.yaml").read_text(encoding="utf-8")):
            for template in (question.get("judge_prompts") or {}).values():
                theirs |= runs(template)
    code = yaml.safe_load((paper_data / "questions" / "in_distribution.yaml").read_text(encoding="utf-8"))
    theirs |= runs(code["judge_prompt"])
    assert len(theirs) > 100
    assert [run for p in PROMPTS for run in runs(p.before) | runs(p.after) if run in theirs] == []
