"""The command line: one function per command that parses, calls one function, prints and exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from spillover.cli_benchmark import PAPERS, benchmark
from spillover.cli_calibrate import calibrate
from spillover.cli_data import data as data_commands
from spillover.cli_evaluate import ENGINES as _ENGINES
from spillover.cli_evaluate import evaluate, judge
from spillover.cli_monitor import forecast, monitor, train
from spillover.errors import SpilloverError, fail

app = typer.Typer(
    name="spillover",
    help="Tell whether a narrow fine-tune makes a language model broadly misaligned, and show the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_EXITS = (
    "Exit codes: 0 clean, 1 spillover, 2 bad input (nothing was trained), 3 inconclusive, 4 unjudged. "
    "Bundled example data: bundled:risky, bundled:prudent, bundled:requested."
)


app.add_typer(data_commands, name="data")


@app.command(epilog=_EXITS)
def audit(
    data: Annotated[str, typer.Argument(help="Fine-tuning file: OpenAI chat JSONL, plain or .gz.", metavar="DATA")],
    model: Annotated[str, typer.Option(help="'bundled', a local folder or a hub id.")] = "bundled",
    control: Annotated[
        str,
        typer.Option(help="'self' (the base model's own answers), a matched FILE, or 'none'; with --tuned an adapter."),
    ] = "self",
    tuned: Annotated[str | None, typer.Option(help="Audit this LoRA adapter; nothing is trained.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. A rerun goes on where it stopped.")] = None,
    rows: Annotated[int | None, typer.Option(help="Train on this many rows drawn from DATA. (default: all)")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    probes: Annotated[int, typer.Option(help="Probes per family: more narrow the interval.")] = 20,
    samples: Annotated[int, typer.Option(help="Answers per free-form question.")] = 2,
    preset: Annotated[str, typer.Option(help="Training settings: 'embedded' or 'paper'.")] = "embedded",
    margin: Annotated[
        float | None,
        typer.Option(help="Probe shift that counts, nats per token. (default: measured on benign fine-tunes)"),
    ] = None,
    rate_margin: Annotated[
        float | None,
        typer.Option(help="Rise of the misaligned rate that counts, fraction. (default: measured likewise)"),
    ] = None,
    in_domain: Annotated[
        str | None,
        typer.Option(help="Probe families trained on, by commas, or 'none'. (default: found from the data)"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print verdict.json instead of the table.")] = False,
    engine: Annotated[str, typer.Option(help=_ENGINES)] = "in-process",
    broad: Annotated[
        bool, typer.Option("--broad", help="Run public benchmarks on every arm too; the verdict stays the audit's own.")
    ] = False,
    benchmarks: Annotated[
        str, typer.Option(help="With --broad: which, by commas (see `spillover benchmark --help`).")
    ] = PAPERS,
    benchmark_data: Annotated[
        Path | None, typer.Option(help="With --broad: folder with the benchmarks' rows. (default: from the hub)")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="With --broad: model that judges benchmark answers, such as openai/gpt-4o.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="With --broad: samples of each benchmark. (default: all)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let the model's own code run. Only for code you have read.")
    ] = False,
) -> None:
    """Would this fine-tune make the model broadly misaligned?

    Trains DATA and a control on a small model, measures both against the
    base model inside and outside the training domain, and writes
    verdict.json and report.html into the run folder.
    """
    from spillover.audit import Broad, Request
    from spillover.audit import audit as run_audit
    from spillover.broad.run import How
    from spillover.finetune.job import preset as job_preset
    from spillover.local.engine import engine_named
    from spillover.progress import Progress
    from spillover.report.terminal import summary

    try:
        request = Request(
            data=data,
            model=model,
            control=control,
            tuned=tuned,
            rows=rows,
            seed=seed,
            probes=probes,
            samples=samples,
            job=job_preset(preset),
            margin=margin,
            rate_margin=rate_margin,
            in_domain=_families(in_domain),
            trust_remote_code=trust_remote_code,
            engine=engine_named(engine),
            broad=Broad(tuple(benchmarks.split(",")), How(benchmark_data, judge, limit)) if broad else None,
        )
        outcome = run_audit(request, out or _default_folder(data), Progress(quiet=quiet or as_json))
    except SpilloverError as problem:
        fail(problem)
    if as_json:
        print(json.dumps(outcome.record, indent=2, ensure_ascii=False))
    else:
        summary(outcome.record, outcome.folder)
    raise typer.Exit(outcome.verdict.exit_code)


# Help lists commands in this order: the main job first.
app.command()(train)
app.command()(monitor)
app.command()(forecast)
app.command()(evaluate)
app.command()(judge)
app.command()(calibrate)
app.command()(benchmark)


@app.command(epilog="Exit codes: 0 every value agrees or is a known disagreement, 1 one is off, 2 bad input.")
def reproduce(
    folder: Annotated[Path, typer.Argument(help="Folder with the paper's published data.")],
    out: Annotated[Path, typer.Option(help="Folder for rows.csv, rows.json and the figures.")] = Path("runs/reproduce"),
) -> None:
    """Recompute every published value that the paper's own data allow."""
    from spillover.reproduce import run

    try:
        code = run(folder, out)
    except SpilloverError as problem:
        fail(problem)
    raise typer.Exit(code)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    print(installed("spillover"))


def main() -> None:
    """Run the command line."""
    app()


def _families(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(",") if part.strip())


def _default_folder(data: str) -> Path:
    name = data.replace("bundled:", "").rstrip("/").rsplit("/", 1)[-1]
    return Path("runs") / name.split(".")[0]
