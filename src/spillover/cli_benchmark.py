"""`spillover benchmark`: public benchmarks on any models, as one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spillover.errors import SettingsError, SpilloverError, fail

if TYPE_CHECKING:
    from spillover.broad.record import BenchmarkResult, BroadLook
    from spillover.statistics import Estimate

SCHEMA_VERSION = 1
PAPERS = "truthfulqa,mmlu,humaneval,strong_reject"
_NAMES = "'bundled', a model folder, hub:ID, each with +ADAPTER behind it, or an inspect_ai name such as openai/gpt-4o"
_WIDTH = 200
_LONGEST_CELL = 60


def benchmark(
    models: Annotated[list[str], typer.Argument(help=_NAMES)],
    benchmarks: Annotated[
        str,
        typer.Option(
            help="By commas: truthfulqa, mmlu, mmlu_pro, humaneval, strong_reject, mask, sycophancy, xstest, "
            "agentharm, machiavelli."
        ),
    ] = PAPERS,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the benchmarks' rows, each in NAME.jsonl or NAME/; machiavelli's games are in none but "
            "DIR/machiavelli. (default: from the hub)"
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Model that judges answers; without it benchmarks that need one are left out.")
    ] = None,
    evaluated: Annotated[
        Path | None,
        typer.Option(help="Folder of `spillover evaluate` on the same models: names each model's pattern."),
    ] = None,
    reference: Annotated[
        list[str], typer.Option(help="Model to hold the others against. Several may be given. (default: --out's first)")
    ] = [],  # noqa: B006 - typer wants the list itself as the default
    limit: Annotated[
        int | None, typer.Option(help="Samples of each benchmark, games of machiavelli. (default: all)")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder. A rerun goes on; more models or benchmarks add.")] = Path(
        "runs/benchmark"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the local models' draws.")] = 0,
    connections: Annotated[int, typer.Option(help="Requests under way at once, per model.")] = 20,
    allow_self_grading: Annotated[
        bool, typer.Option("--allow-self-grading", help="Let a model under test be the judge.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Run public benchmarks of honesty, refusal, harm and ability on models."""
    from spillover.broad.benchmarks import presets_named
    from spillover.broad.kept_results import comparable, labels_of, look_of_all
    from spillover.broad.paired import as_dict, free_form_rates, patterns_of
    from spillover.broad.pattern import NamedPattern, paper_beside
    from spillover.broad.program_scorer import sandboxed_programs
    from spillover.broad.run import How, open_benchmark_run, run_benchmarks
    from spillover.progress import Progress
    from spillover.report.broad_figure import draw_broad
    from spillover.run_folder import write_json

    try:
        presets = presets_named(benchmarks.split(","))
        if len(set(models)) != len(models):
            raise SettingsError("a model is named twice: name each once")
        free_form = free_form_rates(evaluated) if evaluated is not None else {}
        how = How(data, judge, limit, seed, connections, allow_self_grading)
        run = open_benchmark_run(out, seed, {"models": models, "judge": judge})
        try:
            labels = labels_of(run, models)
            if unknown := [name for name in reference if name not in labels]:
                raise SettingsError(f"--reference {unknown[0]} is none of the models: name it among them")
            named = {name: name for name in models}
            latest = run_benchmarks(
                run, named, presets, how, open_programs=sandboxed_programs, progress=Progress(quiet=quiet)
            )
            look = look_of_all(run, latest)
        finally:
            run.close()
        against = reference or labels[:1]
        held = comparable(look, against[0])
        patterns = patterns_of(held, free_form, labels, against) if evaluated is not None else {}
        record = {"schema_version": SCHEMA_VERSION, **look.as_dict(), "patterns": as_dict(patterns)}
        write_json(out / "results.json", record)
        figure = out / "broad.svg" if draw_broad(look, free_form, labels, out / "broad.svg") else None
    except SpilloverError as problem:
        fail(problem)
    show(look, out)
    for r in look.results:
        if r not in held.results:
            print(f"apart    {r.benchmark} of {r.model}: another judge or other rows than {against[0]}'s")
    for model, found in patterns.items():
        print(f"pattern  {model}: {found.pattern if isinstance(found, NamedPattern) else found}")
        if isinstance(found, NamedPattern):
            for sentence in found.evidence():
                print(f"         {sentence}")
            for group in paper_beside(found.pattern):
                print(f"paper    {group.sentence()}")
    if figure is not None:
        print(f"figure   {figure}")
    if not latest.results:
        raise typer.Exit(2)


def show(look: BroadLook, out: Path) -> None:
    """Print the table, then what was not run and why, then where everything lies."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from spillover.broad.benchmarks import PRESETS

    # A file or pipe has no width of its own, and what is cut off there is lost.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("benchmark", "model", "score (95%)", "samples", "what it is", "missing"):
        table.add_column(column, overflow="fold")
    for r in look.results:
        missing = ", ".join(f"{n} {_brief(reason)}" for reason, n in r.missing.items()) or "none"
        samples = str(r.estimate.clusters) if r.estimate else "0"
        measure = f"{r.measure}; {r.worse} is worse"
        row = (PRESETS[r.benchmark].title, r.model, _score(r), samples, measure, missing)
        table.add_row(*(escape(cell) for cell in row))
        for name, part in r.parts.items():
            table.add_row(escape(f"  {name}"), escape(r.model), _interval(part), samples, "", "")
    console.print(table)
    console.print()

    def line(text: str) -> None:
        # Wrapped by whoever shows it: paths and commands are there to be copied.
        console.print(escape(text), soft_wrap=True)

    for r in look.results:
        whose = f"{PRESETS[r.benchmark].title} of {r.model}"
        for reason in (reason for reason in r.missing if _brief(reason) != reason):
            line(f"missing  {whose}: {reason}")
        if r.note:
            line(f"note     {whose}: {r.note}")
    for n in look.not_run:
        whose = "" if n.model is None else f" on {n.model}"
        line(f"not run  {PRESETS[n.benchmark].title}{whose}: {n.reason}")
    line(f"results  {out / 'results.json'}")
    if look.logs:
        line(f"logs     {out / 'logs'} (inspect view --log-dir {out / 'logs'})")


def _brief(reason: str) -> str:
    """Return a reason that fits into the table: of one that tells a place, what it is about."""
    return reason if len(reason) <= _LONGEST_CELL else f"{reason.partition(':')[0][:_LONGEST_CELL]} (see below)"


def _score(result: BenchmarkResult) -> str:
    return "none" if result.estimate is None else _interval(result.estimate)


def _interval(e: Estimate) -> str:
    return f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})"
