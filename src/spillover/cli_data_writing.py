"""What all commands of `spillover data build` share: their options, reading a data set, writing one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spillover.errors import SpilloverError, fail

if TYPE_CHECKING:
    from spillover.conversation import Dataset
    from spillover.data.write import Built

Out = Annotated[Path, typer.Option(help="File to write (.jsonl, or .gz packed).")]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]
Rows = Annotated[int, typer.Option(help="How many rows.")]


@contextmanager
def writing(out: Path) -> Iterator[list[Built]]:
    """Write what the block made, say where, and turn errors into one line and an exit code."""
    from spillover.data.write import write

    made: list[Built] = []
    try:
        yield made
        manifest = write(made[0], out)
    except SpilloverError as problem:
        fail(problem)
    counts = ", ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in made[0].recipe.counts.items())
    print(f"{out}: {len(made[0].dataset):,} rows" + (f" ({counts})" if counts else ""))
    print(f"{manifest}: how they were made")


def read(name: str) -> Dataset:
    """Read a fine-tuning file; raises DataError."""
    from spillover.data.load import load

    return load(name)
