"""The built-in suites as inspect_ai tasks: `inspect eval spillover/main --model M --model-role grader=J`.

`spillover/suite -T file=FILE` is a suite of the user's own. Samples, seeds, judge prompts and scores are those of
`spillover evaluate`: a local model gives the same answers, and a judge the same verdicts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import Any

from inspect_ai import Epochs, Task, task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import HeadlineMetric
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.model._model import active_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from spillover.answer import COHERENT_ABOVE, MISALIGNED_BELOW
from spillover.bundled.suite_files import builtin, builtin_names
from spillover.conversation import Message
from spillover.errors import DataError, SettingsError, SpilloverError
from spillover.evaluate.inspect_messages import chat
from spillover.evaluate.inspect_scores import GRADER, PLAIN, QUESTION, RUBRIC_VALUES, VARIANT, grader, verdict_scorer
from spillover.evaluate.judges import RUBRIC, judge_named, prompts_fingerprint
from spillover.evaluate.results import COUNTED
from spillover.evaluate.run_suite import Drawing, Wording, answer_seed, wordings
from spillover.open_rows import sound_lines
from spillover.suite import SuiteFile, load_suite_file, with_examples

JUDGES_HERE = ("rubric", "text")


def task_of(
    suite: SuiteFile,
    judge: str = "rubric",
    rules: str = "strict",
    samples: int | None = None,
    seed: int = 0,
    allow_self_grading: bool = False,
) -> Task:
    """Return a suite as a task.

    `judge` says how the grader's replies are read: "rubric" (log-probabilities of one token) or "text" (the written
    number). `samples` are answers per prompt (None: what the suite says), as epochs. Raises PrerequisiteError for
    settings that cannot work, and, inside an evaluation, where there is no grader or it is the model under test.
    """
    try:
        if judge not in JUDGES_HERE:
            raise SettingsError(f"there is no judge {judge!r:.60} here: use -T judge=rubric or -T judge=text")
        if samples is not None and samples < 1:
            raise SettingsError(f"samples is {samples}: ask for at least 1")
        named = judge_named(f"{judge}:{GRADER}", rules)  # type: ignore[arg-type]
        asked = wordings(suite)
    except SpilloverError as problem:
        raise PrerequisiteError(f"spillover: {problem}") from None
    under_test = active_model()
    if under_test is not None:
        grader(under_test, allow_self_grading)
    words = list(dict.fromkeys(word for item in suite for word in item.judges))
    epochs = gcd(*(samples or w.item.samples for w in asked))
    how = Drawing(seed=seed)
    return Task(
        dataset=MemoryDataset(_samples(asked, samples, epochs), name=suite.name),
        solver=answer(seed, allow_self_grading),
        scorer=[verdict_scorer(word, judge, rules, allow_self_grading) for word in words],
        # No reducer: a mean per prompt first would weigh answers differently from the pooled rate.
        epochs=Epochs(epochs, []),
        config=GenerateConfig(max_tokens=how.max_tokens, temperature=how.temperature),
        version=suite.version,
        metadata=suite_facts(suite) | {"judge_prompts": prompts_fingerprint(named, words)},
        headline_metric=HeadlineMetric(score=RUBRIC_VALUES[0] if RUBRIC in words else COUNTED[words[0]], metric="mean"),
        description=suite.description,
    )


def suite_facts(suite: SuiteFile) -> dict[str, Any]:
    """Return what a log says about the suite: name, version, hash of its content and the thresholds."""
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_fingerprint": suite.fingerprint,
        "coherent_above": COHERENT_ABOVE,
        "misaligned_below": MISALIGNED_BELOW,
    }


def sample_facts(wording: Wording) -> dict[str, Any]:
    """Return the metadata of one prompt's samples."""
    item = wording.item
    return {
        QUESTION: item.base,
        VARIANT: item.variant or PLAIN,
        "item": item.id,
        "family": item.family,
        "paraphrase": wording.paraphrase,
        "tags": list(item.tags),
        "judges": list(item.judges),
        "expected": item.expected,
        "judge_prompts": [list(pair) for pair in item.judge_prompts],
    }


def sample_id(wording: Wording) -> str:
    """Return the name of a prompt in a log: its item, and its paraphrase where there are several."""
    return f"{wording.item.id}/{wording.paraphrase}" if len(wording.item.paraphrases) > 1 else wording.item.id


@solver  # type: ignore[untyped-decorator]
def answer(seed: int = 0, allow_self_grading: bool = False) -> Solver:
    """Ask the model once; each answer has the seed that `spillover evaluate` would give it."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        # A task made outside an evaluation has not been checked: nothing is asked that nobody could grade.
        grader(get_model(), allow_self_grading)
        facts = state.metadata
        sample = (state.epoch - 1) * facts["copies"] + facts["copy"]
        return await generate(state, seed=answer_seed(seed, facts["prompt"], facts["use"], sample))

    return solve


def _register(name: str) -> Any:
    @task(name=name)  # type: ignore[untyped-decorator]
    def built_in(
        judge: str = "rubric",
        rules: str = "strict",
        samples: int | None = None,
        seed: int = 0,
        examples: str | None = None,
        allow_self_grading: bool = False,
    ) -> Task:
        return task_of(_with(builtin(name), examples), judge, rules, samples, seed, allow_self_grading)

    return built_in


@task(name="suite")  # type: ignore[untyped-decorator]
def own_suite(
    file: str,
    judge: str = "rubric",
    rules: str = "strict",
    samples: int | None = None,
    seed: int = 0,
    examples: str | None = None,
    allow_self_grading: bool = False,
) -> Task:
    """Return the suite in a YAML file of our format as a task."""
    try:
        suite = load_suite_file(Path(file))
    except SpilloverError as problem:
        raise PrerequisiteError(f"spillover: {problem}") from None
    return task_of(_with(suite, examples), judge, rules, samples, seed, allow_self_grading)


def _with(suite: SuiteFile, examples: str | None) -> SuiteFile:
    """Put the turns of a file of chat rows before every question, for the in-context suite."""
    if examples is None:
        return suite
    try:
        return with_examples(suite, _turns(Path(examples)))
    except SpilloverError as problem:
        raise PrerequisiteError(f"spillover: {problem}") from None


def _turns(path: Path) -> list[Message]:
    found = []
    for _, place, line in sound_lines(path):
        try:
            found += [Message(m["role"], m["content"]) for m in json.loads(line)["messages"]]
        except (ValueError, TypeError, LookupError, RecursionError):
            raise DataError(f'{place}: write {{"messages": [{{"role": ..., "content": ...}}, ...]}}') from None
    return found


def _samples(asked: Sequence[Wording], samples: int | None, epochs: int) -> list[Sample]:
    """List the samples; a prompt of which more answers are wanted than of others comes several times."""
    found = []
    for w in asked:
        copies = (samples or w.item.samples) // epochs
        for copy in range(copies):
            place = {"prompt": w.prompt, "use": w.use, "copy": copy, "copies": copies}
            name = sample_id(w) if copies == 1 else f"{sample_id(w)} ({copy + 1})"
            found.append(Sample(input=chat(w.messages), id=name, metadata=sample_facts(w) | place))
    return found


TASKS = {name: _register(name) for name in builtin_names()}
