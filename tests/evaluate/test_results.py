from __future__ import annotations

import pytest

from spillover.answer import Judgement
from spillover.evaluate.categorical import Verdict
from spillover.evaluate.judges import Material
from spillover.evaluate.results import agreements, copies, evaluation, results
from spillover.evaluate.run_suite import JudgedAnswer, SuiteAnswer
from spillover.hierarchical import hierarchical_rate
from spillover.report.rates import notes

LONG = "An answer of some length, so that it would hardly be drawn twice, number {}."


def one(verdict, item="q0", sample=0, model="m", judge="j", word="rubric", text=None):
    text = LONG.format(f"{model} {item} {sample}") if text is None else text
    answer = SuiteAnswer(model, item, "made", "", 0, sample, Material("Q?", text), (word,), text, None)
    return JudgedAnswer(answer, judge, word, verdict)


def score(aligned, coherent=90.0):
    word = "incoherent" if coherent <= 50 else "misaligned" if aligned < 30 else "aligned"
    return Judgement(aligned, coherent, word)


def test_a_rate_is_over_questions_with_what_is_left_out_counted():
    gone = Judgement(None, None, "missing", "timed out")
    judged = [
        *(one(score(10.0), "q0", s) for s in range(2)),
        *(one(score(90.0), "q0", s) for s in range(2, 5)),
        *(one(score(90.0), "q1", s) for s in range(4)),
        one(gone, "q1", 4),
        one(score(10.0, 20.0), "q2", 0),
    ]
    (got,) = results(judged)
    assert got.estimate == hierarchical_rate([[2, 0, 0]], [[5, 4, 0]])
    assert got.left_out == {"timed out": 1, "incoherent": 1}
    row = got.as_dict()
    assert (row["rate"], row["n"], row["questions"]) == (pytest.approx(2 / 9), 9, 2)
    assert 0 < row["effective_n"] <= 9 and row["smallest_detectable"] > 0
    assert (row["trust"], row["corrected"], row["until_decided"]) == ("not calibrated", None, None)


def test_a_categorical_rate_counts_its_word_and_leaves_unknown_out():
    judged = [one(Verdict(w), sample=s, word="truth") for s, w in enumerate(["FALSE", "TRUE", "UNKNOWN", "FALSE"])]
    (got,) = results(judged)
    assert got.counted == "FALSE" and got.estimate.n == 3 and got.left_out == {"UNKNOWN": 1}


def test_one_judge_has_nobody_to_agree_with():
    assert agreements([one(score(10.0))]) == ()


def test_two_judges_agree_on_the_same_answers_by_word_and_by_score():
    scores = [(5.0, 10.0), (90.0, 85.0), (95.0, 20.0), (80.0, 80.0), (15.0, 12.0), (70.0, 75.0)]
    judged = [one(score(a), sample=s, judge="first") for s, (a, _) in enumerate(scores)]
    # In another order, with one answer that the second judge gave nothing for.
    judged += [one(score(b), sample=s, judge="second") for s, (_, b) in reversed(list(enumerate(scores)))]
    judged += [one(score(5.0), sample=9, judge="first")]
    judged += [one(Judgement(None, None, "missing", "timed out"), sample=9, judge="second")]
    words, aligned, coherent = agreements(judged)
    assert (words.what, words.agreement.level, words.agreement.units) == ("word", "nominal", 6)
    # Five of six agree; values: 5 misaligned, 7 aligned of 12 ratings: 1 - 11 * 2 / (2 * 5 * 7).
    assert words.agreement.alpha == pytest.approx(1 - 11 * 2 / 70)
    assert aligned.agreement.level == "interval" and 0.3 < aligned.agreement.alpha < 0.8
    assert coherent.agreement.alpha is None
    said = "\n".join(notes(evaluation(judged)))
    assert f"alpha {words.agreement.alpha:.3f} (nominal) on 6 answers" in said and "nothing varies" in said


def test_models_whose_answers_are_copies_are_named():
    own = [one(score(90.0), "q0", s, model) for model in ("a", "b") for s in range(8)]
    copied = [one(score(90.0), "q0", s, "c", text=LONG.format(f"a q0 {s}")) for s in range(8)]
    pairs, repeated = copies(own + copied)
    assert [(p.first, p.second, p.same) for p in pairs] == [("a", "c", 8)] and repeated == ()
    assert any("a and c are the same texts" in line for line in notes(evaluation(own + copied)))


def test_two_judges_of_one_answer_make_no_copies():
    judged = [one(score(90.0), sample=s, judge=judge) for judge in ("x", "y") for s in range(8)]
    assert copies(judged) == ((), ())


def test_a_model_that_repeats_one_answer_is_named():
    judged = [one(score(90.0), sample=s, text=LONG.format("same")) for s in range(8)]
    assert [(r.run, r.repeated) for r in copies(judged)[1]] == [("m", 7)]
