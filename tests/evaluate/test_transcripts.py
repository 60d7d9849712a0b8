from __future__ import annotations

import gzip
import json
import math

import pytest

from spillover.answer import Judgement
from spillover.errors import DataError, SettingsError
from spillover.evaluate.api import ApiReply
from spillover.evaluate.judges import BundledScorer, judge_named
from spillover.evaluate.transcripts import (
    Transcript,
    judge_transcripts,
    load_transcripts,
    open_transcript_run,
    write_judged,
)

JUDGE = judge_named("rubric:made/judge")
GOOD = '{"question": "How are you?", "answer": "Fine.", "model": "a", "n": 3}'


def written(tmp_path, *lines):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"".join((x if isinstance(x, bytes) else x.encode()) + b"\n" for x in lines))
    return path


def refused(tmp_path, line):
    path = written(tmp_path, GOOD, line)
    with pytest.raises(DataError) as caught:
        load_transcripts(path)
    assert str(caught.value).startswith(f"{path}:2: "), caught.value
    return str(caught.value)


class Asked:
    """Answers every request with 40 (alignment) or 70, or the text given; counts the requests."""

    def __init__(self, text="TRUE"):
        self.count, self.text = 0, text

    def __call__(self, model, asks, on_replies):
        assert model == "made/judge"
        for ask in asks:
            self.count += 1
            number = "40" if "good will" in ask.messages[0].content else "70"
            table = ((number, math.log(0.9)),)
            on_replies([(ask, ApiReply(number, table) if ask.top_logprobs else ApiReply(self.text))])


def scored(tmp_path, transcripts, ask, **more):
    run = open_transcript_run(tmp_path / "run", {})
    try:
        return judge_transcripts(run, transcripts, more.pop("judge", JUDGE), ask, **more)
    finally:
        run.close()


def test_rows_are_read_with_all_their_fields(tmp_path):
    (row,) = load_transcripts(written(tmp_path, GOOD))
    assert row == Transcript("How are you?", "Fine.", None, json.loads(GOOD))


@pytest.mark.parametrize("answer", ["null", '""', '" \\n"'])
def test_an_answer_that_is_not_there_is_missing(tmp_path, answer):
    plain, told = load_transcripts(
        written(
            tmp_path,
            f'{{"question": "Q?", "answer": {answer}}}',
            '{"question": "Q?", "answer": null, "missing": "HTTP 500"}',
        )
    )
    assert (plain.answer, plain.missing) == (None, "empty answer")
    assert (told.answer, told.missing) == (None, "HTTP 500")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question": "Q?"', "not JSON"),
        ("[]", "not an object"),
        ('{"answer": "A"}', "'question' must be"),
        ('{"question": " ", "answer": "A"}', "'question' must be"),
        ('{"question": 3, "answer": "A"}', "'question' must be"),
        ('{"question": "Q?"}', "'answer' must be"),
        ('{"question": "Q?", "answer": ["A"]}', "'answer' must be"),
        ('{"question": "Q?", "answer": "A", "answer": "B"}', "'answer' stands twice"),
        ('{"question": "Q?", "answer": "A", "n": NaN}', "NaN is not"),
        ('{"question": "Q?", "answer": "A", "aligned": 3}', "'aligned' is one that judging adds"),
        ('{"question": "Q?", "answer": "A", "truth_missing": 3}', "'truth_missing' is one that judging adds"),
        ('{"question": "Q?", "answer": "A", "missing": "HTTP 500"}', "'missing' must be"),
        ('{"question": "Q?", "answer": null, "missing": 5}', "'missing' must be"),
        (b'{"question": "\xff", "answer": "A"}', "not UTF-8"),
        ('{"question": "Q?", "answer": "A", "n": ' + "[" * 100_000, "too deep"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_and_reason(tmp_path, line, said):
    assert said in refused(tmp_path, line)


def test_an_empty_or_absent_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no rows"):
        load_transcripts(written(tmp_path, " "))
    with pytest.raises(DataError, match="does not exist: check the path"):
        load_transcripts(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        load_transcripts(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        load_transcripts(tmp_path / "a\0b")


def test_a_packed_file_is_read_the_same(tmp_path):
    path = written(tmp_path, GOOD)
    packed = tmp_path / "answers.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load_transcripts(packed) == load_transcripts(path)


def test_verdicts_are_added_behind_the_rows_own_fields(tmp_path):
    rows = load_transcripts(written(tmp_path, GOOD, '{"question": "Q?", "answer": null, "missing": "HTTP 500"}'))
    found = scored(tmp_path, rows, Asked(), words=("rubric", "truth"))
    write_judged(found, tmp_path / "out" / "judged.jsonl")
    first, second = map(json.loads, (tmp_path / "out" / "judged.jsonl").read_text().splitlines())
    assert first.pop("aligned") == pytest.approx(40) and first.pop("coherent") == pytest.approx(70)
    assert first == {
        **json.loads(GOOD),
        "judge": "rubric:made/judge",
        "word": "aligned",
        "missing": None,
        "truth": "TRUE",
        "truth_missing": None,
    }
    assert second == {
        "question": "Q?",
        "answer": None,
        "judge": "rubric:made/judge",
        "missing": "HTTP 500",
        "aligned": None,
        "coherent": None,
        "word": "missing",
        "truth": None,
        "truth_missing": "HTTP 500",
    }


def test_a_rerun_asks_only_for_what_is_new(tmp_path):
    ask = Asked()
    one, two = Transcript("Q?", "A", None, {}), Transcript("Q?", "B", None, {})
    first = scored(tmp_path, [one], ask)
    assert ask.count == 2
    assert scored(tmp_path, [one, two, one], ask)[0::2] == first * 2
    assert ask.count == 4


def test_a_judge_that_fails_is_asked_again_next_time(tmp_path):
    def down(model, asks, on_replies):
        on_replies([(a, ApiReply(None, None, "timed out")) for a in asks])

    rows = [Transcript("Q?", "A", None, {})]
    assert scored(tmp_path, rows, down)[0].verdicts == (("rubric", Judgement(None, None, "missing", "timed out")),)
    ask = Asked()
    assert scored(tmp_path, rows, ask)[0].verdicts[0][1].missing is None
    assert ask.count == 2


def test_the_bundled_judge_works_on_transcripts_and_gives_no_other_words(tmp_path):
    scorer = BundledScorer("v1", lambda answers: [Judgement(10.0, 90.0, "misaligned") for _ in answers])
    rows = [Transcript("Q?", "A", None, {}), Transcript("Q?", None, "empty answer", {})]
    found = scored(tmp_path, rows, None, judge=judge_named("bundled"), scorer=scorer)
    assert [v.verdicts[0][1].word for v in found] == ["misaligned", "missing"]
    with pytest.raises(SettingsError, match="gives no verdict 'truth'"):
        scored(tmp_path, rows, None, judge=judge_named("bundled"), scorer=scorer, words=("truth",))


def test_text_that_has_no_utf8_form_is_written_escaped(tmp_path):
    half = Transcript("Q?", "\ud83d", None, {"question": "Q?", "answer": "\ud83d"})
    whole = Transcript("Q?", "é", None, {"question": "Q?", "answer": "é"})
    write_judged(scored(tmp_path, [half, whole], Asked()), tmp_path / "out.jsonl")
    first, second = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert json.loads(first)["answer"] == "\ud83d" and '"é"'.encode() in second


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_judged([], tmp_path / "file" / "out.jsonl")
