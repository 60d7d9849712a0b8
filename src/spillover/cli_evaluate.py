"""`spillover evaluate` and `spillover judge`: answers to a suite from any model, and verdicts on answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spillover.errors import SpilloverError, fail

if TYPE_CHECKING:
    from spillover.evaluate.api import ApiAsk, AskModel, OnReplies
    from spillover.evaluate.judges import BundledScorer
    from spillover.evaluate.run_suite import JudgedAnswer
    from spillover.suite import SuiteFile

_NAMES = "'bundled', a model folder, hub:ID, each with +ADAPTER behind it, or an inspect_ai name such as openai/gpt-4o"
_JUDGE = "bundled, rubric:MODEL (token probabilities) or text:MODEL, MODEL an inspect_ai name. Several may be given."
Judges = Annotated[list[str], typer.Option("--judge", help=_JUDGE)]
Rules = Annotated[Literal["strict", "authors"], typer.Option(help="Scoring rules; the authors' for reproduction only.")]
Connections = Annotated[int, typer.Option(help="Requests under way at once, per model.")]


def evaluate(
    models: Annotated[list[str], typer.Argument(help=_NAMES)],
    suite: Annotated[str, typer.Option(help="Bundled suites by name, or YAML files, joined by commas.")] = "main",
    samples: Annotated[int | None, typer.Option(help="Answers per question. (default: what the suite says)")] = None,
    judge: Judges = ["bundled"],  # noqa: B006 - typer wants the list itself as the default
    rules: Rules = "strict",
    out: Annotated[Path, typer.Option(help="Run folder. A rerun goes on, asks for more samples or models add.")] = Path(
        "runs/evaluate"
    ),
    max_tokens: Annotated[int, typer.Option(help="Longest answer, tokens.")] = 1000,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of every answer's draws.")] = 0,
    connections: Connections = 20,
    allow_self_grading: Annotated[
        bool, typer.Option("--allow-self-grading", help="Let a model under test be the judge.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Ask models the questions of a suite and judge their answers."""
    from spillover.evaluate.judges import judge_named, refuse_self_grading
    from spillover.evaluate.local_answers import local_ref, local_sampler
    from spillover.evaluate.results import results
    from spillover.evaluate.run_suite import Drawing, answer_suite, judge_answers, open_run
    from spillover.local.weights import locate
    from spillover.progress import Progress
    from spillover.report.rates import show, write

    progress = Progress(quiet=quiet)
    try:
        asked = _suite(suite)
        judges = [judge_named(name, rules) for name in dict.fromkeys(judge)]
        refuse_self_grading(judges, models, allow_self_grading)
        local = {name: ref for name in models if (ref := local_ref(name)) is not None}
        for ref in local.values():
            locate(ref.base)
        how = Drawing(max_tokens, temperature, seed)
        run = open_run(out, asked, how, {"models": models, "judges": judge, "rules": rules})
        try:
            samplers = {name: local_sampler(ref) for name, ref in local.items()}
            ask = _api(connections)
            total = len(models) * sum(len(i.paraphrases) * (samples or i.samples) for i in asked)
            with progress.stage("answers", total) as advance:
                found = answer_suite(run, models, asked, how, ask, samples=samples, samplers=samplers, on_done=advance)
            judged: list[JudgedAnswer] = []
            for one in judges:
                scorer = _scorer() if one.kind == "bundled" else None
                with progress.stage(f"judging by {one.label}", len(found)) as advance:
                    judged += judge_answers(run, found, one, ask, scorer=scorer, on_done=advance)
        finally:
            run.close()
        rates = results(judged)
        write(rates, out)
    except SpilloverError as problem:
        fail(problem)
    show(rates, out)


def judge(
    answers: Annotated[Path, typer.Argument(help="JSON lines with the fields question and answer.")],
    judge: Annotated[str, typer.Option(help=_JUDGE.replace(" Several may be given.", ""))] = "bundled",
    out: Annotated[Path, typer.Option(help="File for the rows with the verdicts added.")] = Path("judged.jsonl"),
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Folder that keeps replies. (default: beside --out)")
    ] = None,
    rules: Rules = "strict",
    connections: Connections = 20,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Score answers that exist already: adds aligned, coherent, word and the reason where one is missing."""
    from spillover.evaluate.judges import judge_named
    from spillover.evaluate.transcripts import judge_transcripts, load_transcripts, open_transcript_run, write_judged
    from spillover.progress import Progress

    progress = Progress(quiet=quiet)
    try:
        one = judge_named(judge, rules)
        rows = load_transcripts(answers)
        run = open_transcript_run(run_folder or out.with_name(out.name + ".run"), {"judge": one.label})
        try:
            scorer = _scorer() if one.kind == "bundled" else None
            with progress.stage(f"judging by {one.label}", len(rows)) as advance:
                done = judge_transcripts(run, rows, one, _api(connections), scorer=scorer, on_done=advance)
        finally:
            run.close()
        write_judged(done, out)
    except SpilloverError as problem:
        fail(problem)
    print(f"{out}: {len(done):,} rows judged by {one.label}")


def _suite(names: str) -> SuiteFile:
    """Read one suite, or several as one with the items of all."""
    from dataclasses import replace

    from spillover.bundled.suite_files import builtin, builtin_names
    from spillover.errors import SettingsError
    from spillover.suite import load_suite_file

    parts = [n.strip() for n in names.split(",") if n.strip()]
    files = [builtin(n) if n in builtin_names() or not Path(n).exists() else load_suite_file(Path(n)) for n in parts]
    if not files:
        raise SettingsError("--suite names no suite: give one or several, joined by commas")
    # Of several suites each is a variant of its own in the table.
    items = tuple(
        replace(item, variant=f"{file.name} {item.variant}" if _mixed(file) else file.name) if len(files) > 1 else item
        for file in files
        for item in file
    )
    if len({item.id for item in items}) != len(items):
        raise SettingsError(f"--suite {names}: two items have one id: evaluate these suites one by one")
    return replace(files[0], name="+".join(f.name for f in files), items=items)


def _mixed(file: SuiteFile) -> bool:
    return len({item.variant for item in file}) > 1


def _api(connections: int) -> AskModel:
    def ask(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        from importlib.util import find_spec

        from spillover.errors import SettingsError
        from spillover.evaluate.api import Limits, ask_model

        if find_spec("inspect_ai") is None:
            raise SettingsError(f"{model} is asked through inspect_ai, which is missing: pip install 'spillover[api]'")
        ask_model(model, asks, on_replies, Limits(connections=connections))

    return ask


def _scorer() -> BundledScorer:
    """Load the bundled judge when the first answers come."""
    from spillover.evaluate.bundled_judge import judge_fingerprint, load_judge
    from spillover.evaluate.judges import BundledScorer

    loaded: list[object] = []

    def score(answers: Sequence[object]) -> Sequence[object]:
        from spillover.local.loading import load
        from spillover.model import ModelRef

        if not loaded:
            loaded.append(load(ModelRef()))
        return load_judge().judge(loaded[0], answers)  # type: ignore[arg-type]

    return BundledScorer(judge_fingerprint(), score)  # type: ignore[arg-type]
