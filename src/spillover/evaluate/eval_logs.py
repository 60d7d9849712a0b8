"""A run of `spillover evaluate` as inspect_ai logs, one per model, for `inspect view` and `inspect log`.

The rates in a log are worked out by inspect_ai from the scores in it, so they are those of `inspect eval` on the same
answers. A log's name, ids and time follow from the run, so writing it again replaces it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spillover.conversation import fingerprint
from spillover.errors import SettingsError
from spillover.evaluate.judges import Judge, prompts_fingerprint
from spillover.evaluate.run_suite import Drawing, JudgedAnswer, Wording, wordings
from spillover.suite import SuiteFile

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

FOLDER = "logs"
Place = tuple[str, int, int]


def need_inspect() -> None:
    """Raise SettingsError where inspect_ai is not installed."""
    from importlib.util import find_spec

    if find_spec("inspect_ai") is None:
        raise SettingsError("--eval-log needs inspect_ai, which is missing: pip install 'spillover[api]'")


def write_eval_logs(
    out: Path, suite: SuiteFile, how: Drawing, judges: Sequence[Judge], judged: Sequence[JudgedAnswer]
) -> tuple[Path, ...]:
    """Write a log per model into `out`/logs and return the files, in the order in which models come in `judged`.

    An answer becomes a sample whose epoch is its number plus 1, each judge's verdict a score. A missing answer has no
    output, a missing verdict no number; both say why.
    """
    from inspect_ai.log import write_eval_log

    by_model: dict[str, list[JudgedAnswer]] = {}
    for one in judged:
        by_model.setdefault(one.answer.model, []).append(one)
    # The run's own time: a rerun writes the same log.
    began = datetime.fromtimestamp(int((out / "manifest.json").stat().st_mtime), UTC)
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    written = []
    for model, members in by_model.items():
        log = _log(model, suite, how, judges, members, began.isoformat())
        # The form of inspect_ai's own names: time, task, id.
        stamp = began.strftime("%Y-%m-%dT%H-%M-%S+00-00")
        file = folder / f"{stamp}_{_plain(suite.name)}_{log.eval.task_id}.eval"
        scratch = file.with_name(f".{file.name}.{os.getpid()}.partial.eval")
        write_eval_log(log, str(scratch), format="eval")
        os.replace(scratch, file)
        written.append(file)
    return tuple(written)


def _log(
    model: str, suite: SuiteFile, how: Drawing, judges: Sequence[Judge], judged: Sequence[JudgedAnswer], began: str
) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalPlan, EvalResults, EvalSpec, recompute_metrics
    from inspect_ai.model import GenerateConfig

    # What inspect_ai needs by name to work out the rates.
    from spillover.evaluate import inspect_registry  # noqa: F401
    from spillover.evaluate.inspect_tasks import suite_facts

    names = _score_names(judged)
    samples = _samples(model, suite, names, judged)
    identity = fingerprint([model, suite.fingerprint, asdict(how)])
    config = GenerateConfig(max_tokens=how.max_tokens, temperature=how.temperature)
    words = sorted({one.word for one in judged})
    spec = EvalSpec(
        eval_id=f"{identity}eval",
        run_id=f"{identity}run",
        task_id=f"{identity}task",
        created=began,
        task=f"spillover/{_plain(suite.name)}",
        task_version=suite.version,
        task_args={"seed": how.seed},
        task_args_passed={"seed": how.seed},
        dataset=EvalDataset(name=suite.name, samples=len({s.id for s in samples})),
        model=model,
        model_generate_config=config,
        config=EvalConfig(epochs=max(s.epoch for s in samples), epochs_reducer=[]),
        metadata=suite_facts(suite)
        | {"judges": {judge.label: prompts_fingerprint(judge, words) for judge in judges if _gives(judge, judged)}},
        scorers=[_scorer(name, word) for (_, word), name in names.items()],
    )
    log = EvalLog(
        status="success",
        eval=spec,
        plan=EvalPlan(config=config),
        results=EvalResults(total_samples=len(samples), completed_samples=len(samples)),
        samples=samples,
    )
    recompute_metrics(log)
    return log


def _gives(judge: Judge, judged: Sequence[JudgedAnswer]) -> bool:
    return any(one.judge == judge.label for one in judged)


def _score_names(judged: Sequence[JudgedAnswer]) -> dict[tuple[str, str], str]:
    """Name the score of each judge and word: the word, with the judge where several give it."""
    pairs = list(dict.fromkeys((one.judge, one.word) for one in judged))
    judges = Counter(word for _, word in pairs)
    return {(judge, word): word if judges[word] == 1 else f"{word} by {judge}" for judge, word in pairs}


def _scorer(name: str, word: str) -> Any:
    from inspect_ai.log._log import EvalMetricDefinition, EvalScorer

    from spillover.evaluate.inspect_scores import metric_definitions

    over = {value: [EvalMetricDefinition(**m) for m in each] for value, each in metric_definitions(word).items()}
    return EvalScorer(name=name, metrics=over)


def _samples(
    model: str, suite: SuiteFile, names: Mapping[tuple[str, str], str], judged: Sequence[JudgedAnswer]
) -> list[EvalSample]:
    wording_of = {(w.item.id, w.paraphrase): w for w in wordings(suite)}
    by_answer: dict[Place, list[JudgedAnswer]] = {}
    for one in judged:
        place = (one.answer.item, one.answer.paraphrase, one.answer.sample)
        by_answer.setdefault(place, []).append(one)
    return [_sample(model, wording_of[place[:2]], names, members) for place, members in by_answer.items()]


def _sample(
    model: str, wording: Wording, names: Mapping[tuple[str, str], str], judged: Sequence[JudgedAnswer]
) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageAssistant, ModelOutput

    from spillover.evaluate.inspect_messages import chat
    from spillover.evaluate.inspect_scores import score_of
    from spillover.evaluate.inspect_tasks import sample_facts, sample_id

    answer = judged[0].answer
    asked = chat(wording.messages)
    output, said = ModelOutput(model=model, error=answer.missing), []
    if answer.text is not None:
        stop = "stop" if answer.ended else "max_tokens"
        output = ModelOutput.from_content(model, answer.text, stop_reason=stop)
        said = [ChatMessageAssistant(content=answer.text, model=model)]
    scores = {
        names[one.judge, one.word]: score_of(one.word, one.verdict, answer.text, {"judge": one.judge}) for one in judged
    }
    return EvalSample(
        id=sample_id(wording),
        epoch=answer.sample + 1,
        input=asked,
        target=wording.item.expected or "",
        messages=[*asked, *said],
        output=output,
        scores=scores,
        metadata=sample_facts(wording) | {"missing": answer.missing},
        uuid=fingerprint([model, wording.prompt, wording.use, answer.sample]),
    )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", name)
