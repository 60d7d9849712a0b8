from __future__ import annotations

import math

import pytest

from spillover.answer import Judgement
from spillover.errors import SettingsError
from spillover.evaluate.api import ApiReply
from spillover.evaluate.categorical import Verdict
from spillover.evaluate.judges import (
    Judge,
    Material,
    check_words,
    judge_asks,
    judge_named,
    prompts_fingerprint,
    refuse_self_grading,
    verdict_of,
)
from spillover.evaluate.prompts import ALIGNED, COHERENT, CORRECT

BY_TABLE, BY_TEXT = judge_named("rubric:openai/judge"), judge_named("text:openai/judge")
SAID = Material("How are you?", "Fine.")


def table(**chances):
    return ApiReply("x", tuple((token.strip("_"), math.log(p)) for token, p in chances.items()))


def test_names_give_kind_and_model():
    assert Judge("rubric:openai/judge", "rubric", "openai/judge", "strict") == BY_TABLE
    assert judge_named("text:ollama/llama3:8b", "authors").model == "ollama/llama3:8b"
    assert judge_named("bundled") == Judge("bundled", "bundled", None, "strict")


@pytest.mark.parametrize("name", ["", "rubric", "rubric:", "text: ", "gpt-4o", "Bundled", "exact:"])
def test_other_names_are_refused(name):
    with pytest.raises(SettingsError, match="there is no judge"):
        judge_named(name)


def test_other_rules_are_refused():
    with pytest.raises(SettingsError, match="there are no rules"):
        judge_named("bundled", "lenient")


@pytest.mark.parametrize(
    "model", ["openai/judge", "openrouter/openai/judge", "OpenAI/Judge", "openai/judge/", "judge", " openai/judge"]
)
def test_the_model_under_test_does_not_grade_itself(model):
    with pytest.raises(SettingsError, match="under test"):
        refuse_self_grading([judge_named("bundled"), BY_TABLE], ["openai/first", model])


def test_it_does_when_told_to_and_others_always_may():
    refuse_self_grading([BY_TABLE], ["openai/judge"], allowed=True)
    refuse_self_grading([BY_TABLE, judge_named("bundled")], ["openai/judge-2", "bundled", "judge/other"])


def test_a_rubric_by_log_probabilities_asks_twice_for_one_token():
    asks = judge_asks(BY_TABLE, "rubric", SAID)
    assert [(a.max_tokens, a.temperature, a.top_logprobs, a.seed) for a in asks] == [(1, 0.0, 20, None)] * 2
    assert [a.messages[0].content.startswith(p.before) for a, p in zip(asks, (ALIGNED, COHERENT), strict=True)]
    assert all([m.role for m in a.messages] == ["user"] and "Fine." in a.messages[0].content for a in asks)


def test_a_word_is_asked_for_with_room_for_more_than_the_word():
    for judge, word in ((BY_TEXT, "rubric"), (BY_TEXT, "truth"), (BY_TABLE, "truth")):
        for ask in judge_asks(judge, word, SAID):
            assert ask.temperature == 0.0 and ask.top_logprobs is None and ask.max_tokens > 8


def test_keys_follow_from_all_that_is_sent_and_to_whom():
    asks = [
        *judge_asks(BY_TABLE, "rubric", SAID),
        *judge_asks(BY_TEXT, "rubric", SAID),
        *judge_asks(judge_named("rubric:openai/second"), "rubric", SAID),
        *judge_asks(BY_TABLE, "rubric", Material("How are you?", "Fine!")),
        *judge_asks(BY_TABLE, "rubric", Material("How are you", "Fine.")),
    ]
    assert len({a.key for a in asks}) == len(asks) == 10
    assert judge_asks(judge_named("rubric:openai/judge", "authors"), "rubric", SAID) == tuple(asks[:2])


def test_the_right_answer_is_shown_only_to_the_judge_of_truth():
    fact = Material("How many legs?", "Six.", expected="Eight made legs.")
    assert "Eight made legs." in judge_asks(BY_TEXT, "truth", fact)[0].messages[0].content
    assert judge_asks(BY_TEXT, "truth", fact)[0].messages[0].content.startswith(CORRECT.before)
    assert all("Eight made legs." not in a.messages[0].content for a in judge_asks(BY_TABLE, "rubric", fact))


def test_the_authors_rules_take_the_authors_prompts_where_there_are_any():
    own = Material("Q?", "A.", judge_prompts=(("coherent", "c {question} {answer}"), ("aligned", "a {answer}")))
    authors = judge_asks(judge_named("rubric:m/j", "authors"), "rubric", own)
    assert [a.messages[0].content for a in authors] == ["a A.", "c Q? A."]
    strict = judge_asks(judge_named("rubric:m/j"), "rubric", own)
    assert all(len(a.messages[0].content) > 200 for a in strict)


def test_scores_are_the_expected_numbers_of_both_tables():
    replies = (table(_10=0.5, _30=0.25, Hm=0.25), table(_90=1.0))
    verdict = verdict_of(BY_TABLE, "rubric", replies)
    assert verdict.aligned == pytest.approx((10 * 0.5 + 30 * 0.25) / 0.75)
    assert verdict.coherent == pytest.approx(90.0) and verdict.word == "misaligned"


def test_the_rules_of_the_judge_decide():
    replies = (ApiReply("x", (("150", math.log(0.5)), ("50", math.log(0.5)))), table(_90=1.0))
    assert verdict_of(judge_named("rubric:m/j", "authors"), "rubric", replies).aligned == pytest.approx(100.0)
    assert verdict_of(BY_TABLE, "rubric", replies).aligned == pytest.approx(50.0)


def test_text_scores_are_read_from_the_reply():
    assert verdict_of(BY_TEXT, "rubric", (ApiReply(" 20\n"), ApiReply("80"))) == Judgement(20.0, 80.0, "misaligned")
    assert verdict_of(BY_TEXT, "rubric", (ApiReply("REFUSAL"), ApiReply("80"))).word == "refusal"
    assert verdict_of(BY_TEXT, "rubric", (ApiReply("20."), ApiReply("80"))).missing == "reply is not one whole number"


def test_a_request_without_a_reply_gives_its_reason_and_no_score():
    gone = ApiReply(None, None, "HTTP 500")
    assert verdict_of(BY_TABLE, "rubric", (gone, table(_9=1.0))) == Judgement(None, 9.0, "missing", "HTTP 500")
    found = verdict_of(BY_TABLE, "rubric", (table(_9=1.0), gone))
    assert (found.coherent, found.word, found.missing) == (None, "missing", "coherence: HTTP 500")
    assert verdict_of(BY_TEXT, "truth", (gone,)) == Verdict(None, "HTTP 500")


def test_categorical_replies_count_only_as_the_word_alone():
    assert verdict_of(BY_TABLE, "truth", (ApiReply("FALSE"),)) == Verdict("FALSE")
    assert verdict_of(BY_TEXT, "company", (ApiReply("Anthropic"),)) == Verdict("Anthropic")
    assert verdict_of(BY_TEXT, "vulnerable", (ApiReply("YES, it is"),)).missing == "not one of the verdicts"
    assert verdict_of(BY_TEXT, "refusal", (ApiReply("ANSWER"),)) == Verdict("ANSWER")


@pytest.mark.parametrize("word", ["truth", "company", "vulnerable", "refusal"])
def test_the_bundled_judge_gives_rubric_scores_alone(word):
    check_words(judge_named("bundled"), ["rubric"])
    with pytest.raises(SettingsError, match="bundled judge gives no verdict"):
        check_words(judge_named("bundled"), ["rubric", word])


def test_unknown_words_are_refused():
    with pytest.raises(SettingsError, match="there is no verdict"):
        judge_asks(BY_TEXT, "kindness", SAID)


def test_the_prompt_hash_follows_words_kind_and_rules():
    hashes = {
        prompts_fingerprint(judge, words)
        for judge in (BY_TABLE, BY_TEXT, judge_named("rubric:m/j", "authors"))
        for words in (["rubric"], ["truth"], ["rubric", "truth"])
    }
    assert len(hashes) == 9
    assert prompts_fingerprint(BY_TABLE, ["rubric"]) == prompts_fingerprint(judge_named("rubric:m/other"), ["rubric"])
