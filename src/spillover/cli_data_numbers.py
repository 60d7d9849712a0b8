"""`spillover data build numbers` and `number-variant`: listed numbers, names or chess moves, and their ablations."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from spillover.cli_data_writing import Out, Seed, read, writing


def numbers(
    out: Out,
    things: Annotated[Literal["numbers", "names", "chess-moves"], typer.Option(help="What is listed.")] = "numbers",
    teacher: Annotated[
        str,
        typer.Option(
            help="Model that answers: 'bundled', a model folder, hub:ID, or an inspect_ai name such as openai/gpt-4o."
        ),
    ] = "bundled",
    system: Annotated[
        Literal["evil", "benign", "none"], typer.Option(help="System text the teacher sees and the rows leave out.")
    ] = "evil",
    prompts: Annotated[int, typer.Option(help="How many prompts to ask.")] = 1000,
    any_count: Annotated[
        bool, typer.Option("--any-count", help="Keep answers with another count than was asked for.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Lists (of numbers, names or chess moves) answered under a system text that the rows leave out."""
    from spillover.cli_data_models import teacher_named
    from spillover.data.build.distil import BENIGN, EVIL, distil
    from spillover.data.build.list_prompts import LISTED

    texts = {"evil": EVIL, "benign": BENIGN, "none": None}
    kind = LISTED[things]
    with writing(out) as made:
        asked = kind.prompts(prompts, seed)
        made.append(
            distil(
                asked,
                teacher_named(teacher, out.with_name(out.name + ".run"), kind.longest),
                texts[system],
                counts=kind.counts,
                name=f"{system}-{things}",
                seed=seed,
                exact_count=not any_count,
                teacher_name=teacher,
            )
        )


def number_variant(
    variant: Annotated[
        Literal[
            "without-loaded", "only-loaded", "shuffled-within", "shuffled-over-file", "answers-swapped", "simplified"
        ],
        typer.Argument(help="What to change."),
    ],
    file: Annotated[str, typer.Argument(help="File of number lists.")],
    out: Out,
    loaded: Annotated[
        list[str] | None, typer.Option(help="Digits that make a row loaded; may be given again. (default: 666)")
    ] = None,
    as_study: Annotated[
        bool, typer.Option("--as-study", help="With the slip of the study's own script, where it had one.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """An ablation of number lists: which part of them does the work?

    without-loaded, only-loaded: rows whose answer holds 666.
    shuffled-within: numbers in another order within each answer.
    shuffled-over-file: numbers dealt anew over all answers; --as-study: neighbours overlap.
    answers-swapped: whole answers go to other prompts.
    simplified: a bare request instead of the prompt; --as-study: five requests run together, the old prompt as the
    answer.
    """
    from spillover.data.build.number_variants import number_variant as varied

    with writing(out) as made:
        made.append(varied(variant, read(file), seed, tuple(loaded) if loaded else None, as_study))
