"""`spillover evaluate` and `spillover judge`: answers to a suite from any model, and verdicts on answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spillover.errors import SettingsError, SpilloverError, fail

if TYPE_CHECKING:
    from spillover.evaluate.judges import BundledScorer
    from spillover.evaluate.results import Key
    from spillover.evaluate.run_suite import JudgedAnswer, SuiteAnswer
    from spillover.evaluate.until_decided import Decision
    from spillover.suite import SuiteFile

_NAMES = "'bundled', a model folder, hub:ID, each with +ADAPTER behind it, or an inspect_ai name such as openai/gpt-4o"
_JUDGE = (
    "bundled, rubric:MODEL (token probabilities) or text:MODEL, MODEL an inspect_ai name, or exact:MODEL (probability "
    "of every number) with a local one. Several may be given."
)
ONE_JUDGE = _JUDGE.replace(" Several may be given.", "")
Judges = Annotated[list[str], typer.Option("--judge", help=_JUDGE)]
Rules = Annotated[Literal["strict", "authors"], typer.Option(help="Scoring rules; the authors' for reproduction only.")]
ENGINES = "What measures local models: 'in-process', 'vllm' (starts a server) or 'vllm=URL' (joins one)."
Connections = Annotated[int, typer.Option(help="Requests under way at once, per model.")]
Batch = Annotated[
    bool,
    typer.Option(
        "--batch", help="Ask API models by batches, cheaper and within a day: openai/... and anthropic/... only."
    ),
]


def evaluate(
    models: Annotated[list[str], typer.Argument(help=_NAMES)],
    suite: Annotated[str, typer.Option(help="Bundled suites by name, or YAML files, joined by commas.")] = "main",
    samples: Annotated[int | None, typer.Option(help="Answers per question. (default: what the suite says)")] = None,
    judge: Judges = ["bundled"],  # noqa: B006 - typer wants the list itself as the default
    rules: Rules = "strict",
    calibration: Annotated[
        list[Path], typer.Option(help="A judge's calibration, from spillover calibrate. Several may be given.")
    ] = [],  # noqa: B006
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Sample on until every rate is shown above or below --margin.")
    ] = False,
    margin: Annotated[float, typer.Option(help="With --until-decided: the rate to decide about, a fraction.")] = 0.02,
    budget: Annotated[int, typer.Option(help="With --until-decided: most answers per prompt and model.")] = 200,
    out: Annotated[Path, typer.Option(help="Run folder. A rerun goes on, asks for more samples or models add.")] = Path(
        "runs/evaluate"
    ),
    max_tokens: Annotated[int, typer.Option(help="Longest answer, tokens.")] = 1000,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of every answer's draws.")] = 0,
    connections: Connections = 20,
    batch: Batch = False,
    engine: Annotated[str, typer.Option(help=ENGINES)] = "in-process",
    allow_self_grading: Annotated[
        bool, typer.Option("--allow-self-grading", help="Let a model under test be the judge.")
    ] = False,
    eval_log: Annotated[
        bool, typer.Option("--eval-log", help="Also write inspect_ai logs into RUN/logs, for inspect view.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Ask models the questions of a suite and judge their answers."""
    from spillover.evaluate.asking import api, refuse_unbatched
    from spillover.evaluate.calibrate import UNJUDGED, calibration_of, load_calibration
    from spillover.evaluate.eval_logs import need_inspect, write_eval_logs
    from spillover.evaluate.judges import judge_named, refuse_self_grading
    from spillover.evaluate.local_answers import local_ref, samplers_of
    from spillover.evaluate.results import evaluation
    from spillover.evaluate.run_suite import Drawing, answer_suite, judge_answers, open_run
    from spillover.evaluate.trie_judge import asker, mass_outside
    from spillover.evaluate.until_decided import Plan, sample_until_decided
    from spillover.local.engine import engine_named
    from spillover.local.weights import locate
    from spillover.progress import Progress
    from spillover.report.rates import show, write

    progress = Progress(quiet=quiet)
    try:
        asked = _suite(suite)
        choice = engine_named(engine)
        judges = [judge_named(name, rules) for name in dict.fromkeys(judge)]
        refuse_self_grading(judges, models, allow_self_grading)
        if eval_log:
            need_inspect()
        if until_decided and samples is not None:
            raise SettingsError("--samples and --until-decided exclude each other: give --budget with the latter")
        plan = Plan(margin, budget) if until_decided else None
        given = [load_calibration(file) for file in calibration]
        trusted = {one.label: c for one in judges if (c := calibration_of(one, given)) is not None}
        local = {name: ref for name in models if (ref := local_ref(name)) is not None}
        for ref in local.values():
            locate(ref.base)
        if batch:
            behind_api = [*models, *(one.model for one in judges if one.model and one.kind != "exact")]
            refuse_unbatched([name for name in dict.fromkeys(behind_api) if name not in local])
        how = Drawing(max_tokens, temperature, seed)
        facts = {"models": models, "judges": judge, "rules": rules}
        run = open_run(out, asked, how, facts, engine=choice.name)
        try:
            ask = api(connections, batch)
            ask_judge = {one.label: asker(one, ask) for one in judges}
            scorer = bundled_scorer()

            def answered(names: Sequence[str], number: int | None) -> tuple[SuiteAnswer, ...]:
                total = len(names) * sum(len(i.paraphrases) * (number or i.samples) for i in asked)
                with progress.stage("answers", total) as advance:
                    return answer_suite(run, names, asked, how, ask, samples=number, samplers=samplers, on_done=advance)

            def judged_by_all(found: Sequence[SuiteAnswer]) -> list[JudgedAnswer]:
                judged: list[JudgedAnswer] = []
                for one in judges:
                    with progress.stage(f"judging by {one.label}", len(found)) as advance:
                        judged += judge_answers(run, found, one, ask_judge[one.label], scorer=scorer, on_done=advance)
                return judged

            judged: list[JudgedAnswer] = []
            decisions: dict[Key, Decision] = {}
            with samplers_of(local, choice, seed, out / "vllm.log") as samplers:
                if plan is not None:
                    for name in dict.fromkeys(models):
                        more, decided = sample_until_decided(_sampled(name, answered, judged_by_all), plan)
                        judged += more
                        decisions |= decided
                found = answered(models, samples) if plan is None else ()
            judged += judged_by_all(found) if found else []
            asked_about = list(dict.fromkeys(one.answer for one in judged))
            outside = [(one, m) for one in judges if one.kind == "exact" for m in mass_outside(run, asked_about, one)]
        finally:
            run.close()
        outcome = evaluation(judged, trusted, decisions)
        write(outcome, out)
        logs = write_eval_logs(out, asked, how, judges, judged) if eval_log else ()
    except SpilloverError as problem:
        fail(problem)
    show(outcome, out)
    for one, m in outside:
        print(f"{one.label}: {m.mean:.1%} of the {m.rubric} probability lies outside 0-100 (at most {m.largest:.1%})")
    for log in logs:
        print(f"log      {log}")
    if outcome.rates and all(rate.trust == UNJUDGED for rate in outcome.rates):
        raise typer.Exit(4)


def judge(
    answers: Annotated[Path, typer.Argument(help="JSON lines with the fields question and answer.")],
    judge: Annotated[str, typer.Option(help=ONE_JUDGE)] = "bundled",
    out: Annotated[Path, typer.Option(help="File for the rows with the verdicts added.")] = Path("judged.jsonl"),
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Folder that keeps replies. (default: beside --out)")
    ] = None,
    rules: Rules = "strict",
    connections: Connections = 20,
    batch: Batch = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Score answers that exist already: adds aligned, coherent, word and the reason where one is missing."""
    from spillover.evaluate.asking import api, refuse_unbatched
    from spillover.evaluate.judges import judge_named
    from spillover.evaluate.transcripts import judge_transcripts, load_transcripts, open_transcript_run, write_judged
    from spillover.evaluate.trie_judge import asker
    from spillover.progress import Progress

    progress = Progress(quiet=quiet)
    try:
        one = judge_named(judge, rules)
        if batch:
            refuse_unbatched([one.model] if one.model and one.kind != "exact" else [])
        rows = load_transcripts(answers)
        run = open_transcript_run(run_folder or out.with_name(out.name + ".run"), {"judge": one.label})
        try:
            scorer = bundled_scorer() if one.kind == "bundled" else None
            with progress.stage(f"judging by {one.label}", len(rows)) as advance:
                done = judge_transcripts(
                    run, rows, one, asker(one, api(connections, batch)), scorer=scorer, on_done=advance
                )
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


def _sampled(
    name: str,
    answered: Callable[[Sequence[str], int], Sequence[SuiteAnswer]],
    judged: Callable[[Sequence[SuiteAnswer]], Sequence[JudgedAnswer]],
) -> Callable[[int], Sequence[JudgedAnswer]]:
    return lambda number: judged(answered([name], number))


def _mixed(file: SuiteFile) -> bool:
    return len({item.variant for item in file}) > 1


def bundled_scorer() -> BundledScorer:
    """Return the bundled judge, which is loaded when the first answers come."""
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
