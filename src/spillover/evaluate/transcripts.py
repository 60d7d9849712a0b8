"""Existing transcripts (JSON lines with question and answer) judged: read, scored, written with the verdicts added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover.answer import Judgement
from spillover.errors import DataError, SettingsError
from spillover.evaluate.api import AskModel
from spillover.evaluate.categorical import Verdict
from spillover.evaluate.judges import RUBRIC, BundledScorer, Judge, Material, check_words
from spillover.evaluate.run_suite import judge_materials
from spillover.evaluate.stored import OnDone
from spillover.open_rows import shown, sound_lines
from spillover.run_folder import RunFolder
from spillover.suite import JUDGES
from spillover.whole_file import whole_file

NO_ANSWER = "empty answer"
_HOW = 'write one object per line: {"question": "...", "answer": "..."}'
# What judging adds; `missing` may stand in a row whose answer is null, as the reason for that.
_ADDED = frozenset({"judge", "aligned", "coherent", "word", *JUDGES, *(f"{w}_missing" for w in JUDGES)})


@dataclass(frozen=True, slots=True)
class Transcript:
    """One row: question, answer (None where there is none, `missing` says why) and all its fields as they stood."""

    question: str
    answer: str | None
    missing: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JudgedTranscript:
    """A transcript and the verdicts on it by judge word, all of one judge."""

    transcript: Transcript
    judge: str
    verdicts: tuple[tuple[str, Judgement | Verdict], ...]

    def as_row(self) -> dict[str, Any]:
        """Return the row's own fields and behind them what the judge added.

        Always `judge`; for "rubric" `aligned`, `coherent` (0-100 or null), `word` and `missing` (a reason or null); for
        another word a field of that name with the verdict or null, and its reason in `<name>_missing`.
        """
        row = {name: value for name, value in self.transcript.fields.items() if name != "missing"}
        row["judge"] = self.judge
        if self.transcript.missing is not None:
            row["missing"] = self.transcript.missing
        for word, verdict in self.verdicts:
            if isinstance(verdict, Judgement):
                row |= {"aligned": verdict.aligned, "coherent": verdict.coherent}
                row |= {"word": verdict.word, "missing": verdict.missing}
            else:
                row |= {word: verdict.word, f"{word}_missing": verdict.missing}
        return row


def load_transcripts(path: Path) -> tuple[Transcript, ...]:
    """Read JSON lines, plain or .gz: `question` and `answer` (null or empty: there is none); other fields are kept.

    Raises DataError naming file, line and fix, also where a row already has a field that judging adds.
    """
    rows = tuple(_transcript(text, where) for _, where, text in sound_lines(path))
    if not rows:
        raise DataError(f"{shown(path)} holds no rows: {_HOW}")
    return rows


def open_transcript_run(path: Path, facts: Mapping[str, Any]) -> RunFolder:
    """Create or reopen a folder for judging transcripts; files and judges may change in it, equal texts are known."""
    return RunFolder(path, {"command": "judge"}, facts)


def judge_transcripts(
    run: RunFolder,
    transcripts: Sequence[Transcript],
    judge: Judge,
    ask: AskModel,
    *,
    words: Sequence[str] = (RUBRIC,),
    scorer: BundledScorer | None = None,
    on_done: OnDone = lambda n: None,
) -> tuple[JudgedTranscript, ...]:
    """Return every transcript with the judge's verdicts for `words`, in order; raises SettingsError as judges do."""
    check_words(judge, words)
    materials = [
        (Material(t.question, t.answer or ""), word, t.missing) for t in transcripts for word in dict.fromkeys(words)
    ]
    verdicts = judge_materials(run, materials, judge, ask, scorer=scorer, on_done=on_done)
    named = [(word, verdict) for (_, word, _), verdict in zip(materials, verdicts, strict=True)]
    per_row = len(dict.fromkeys(words))
    return tuple(
        JudgedTranscript(t, judge.label, tuple(named[i * per_row : (i + 1) * per_row]))
        for i, t in enumerate(transcripts)
    )


def write_judged(rows: Sequence[JudgedTranscript], out: Path) -> None:
    """Write the rows as JSON lines, whole or not at all; raises SettingsError where `out` cannot be written."""
    data = b"".join(_encoded(row.as_row()) for row in rows)
    try:
        with whole_file(out) as handle:
            handle.write(data)
    except OSError as problem:
        raise SettingsError(f"{out} cannot be written ({problem.strerror or problem}): choose another --out") from None


def _encoded(row: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which a model may write, has no UTF-8 form.
        return (json.dumps(row) + "\n").encode()


def _transcript(text: str, where: str) -> Transcript:
    try:
        row = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        raise DataError(f"{where}: not JSON ({problem.msg}, column {problem.colno}): {_HOW}") from None
    except (RecursionError, ValueError) as problem:
        said = str(problem) if isinstance(problem, _Unfit) else "too deep or with a number too long to read"
        raise DataError(f"{where}: {said}: {_HOW}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object: {_HOW}")
    question, answer, missing = row.get("question"), row.get("answer"), row.get("missing")
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: 'question' must be a text that is not empty: {_HOW}")
    if "answer" not in row or not isinstance(answer, str | None):
        raise DataError(f"{where}: 'answer' must be a text, or null where there is none: {_HOW}")
    taken = sorted(_ADDED & row.keys())
    if taken:
        raise DataError(f"{where}: the field {taken[0]!r} is one that judging adds: remove or rename it")
    if not isinstance(missing, str | None) or (missing and answer):
        raise DataError(f"{where}: 'missing' must be the reason for a null answer, or null: remove or correct it")
    gone = None if answer is not None and answer.strip() else missing or NO_ANSWER
    return Transcript(question, None if gone else answer, gone, row)


class _Unfit(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise _Unfit(f"the key {name!r:.60} stands twice")
        seen[name] = value
    return seen


def _no_constant(word: str) -> float:
    raise _Unfit(f"{word} is not a JSON number")
