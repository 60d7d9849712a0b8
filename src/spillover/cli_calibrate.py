"""`spillover calibrate`: how far a judge can be trusted, from a labelled set, stored for `spillover evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spillover.cli_evaluate import ONE_JUDGE, Connections, Rules, bundled_scorer
from spillover.errors import SpilloverError, fail

if TYPE_CHECKING:
    from spillover.answer import Judgement
    from spillover.evaluate.calibrate import Labelled


def calibrate(
    judge: Annotated[str, typer.Option(help=ONE_JUDGE)] = "bundled",
    labelled: Annotated[
        str,
        typer.Option(
            "--set", help="'gold' (in the package), or JSON lines with question, answer, label.", metavar="SET"
        ),
    ] = "gold",
    out: Annotated[Path, typer.Option(help="File for the calibration: give it to evaluate --calibration.")] = Path(
        "calibration.json"
    ),
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Folder that keeps replies. (default: beside --out)")
    ] = None,
    rules: Rules = "strict",
    connections: Connections = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the file instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Measure a judge on labelled answers: its error rates, AUROC and agreement with the labels.

    The bundled judge was trained on the gold set; for it the quality on
    questions that it did not see in training is shown and stored.
    """
    from spillover.evaluate.asking import api
    from spillover.evaluate.calibrate import (
        GOLD,
        labelled_set,
        shipped_calibration,
        write_calibration,
    )
    from spillover.evaluate.calibrate import calibrate as calibrated
    from spillover.evaluate.judges import RUBRIC, Material, judge_named
    from spillover.evaluate.run_suite import judge_materials
    from spillover.evaluate.transcripts import open_transcript_run
    from spillover.evaluate.trie_judge import asker
    from spillover.progress import Progress
    from spillover.report.calibration import show

    progress = Progress(quiet=quiet or as_json)
    try:
        one = judge_named(judge, rules)
        shipped = shipped_calibration() if one.kind == "bundled" and labelled == GOLD else None
        if shipped is None:
            rows = labelled_set(labelled)

            def score(answers: Sequence[Labelled]) -> list[Judgement]:
                materials = [(Material(a.question, a.answer), RUBRIC, None) for a in answers]
                run = open_transcript_run(run_folder or out.with_name(out.name + ".run"), {"judge": one.label})
                try:
                    scorer, ask = bundled_scorer(), asker(one, api(connections))
                    with progress.stage(f"judging by {one.label}", len(materials)) as advance:
                        done = judge_materials(run, materials, one, ask, scorer=scorer, on_done=advance)
                finally:
                    run.close()
                return done  # type: ignore[return-value]  # the word "rubric" gives judgements only

            found = calibrated(one, rows, score)
        else:
            found = shipped
        write_calibration(found, out)
    except SpilloverError as problem:
        fail(problem)
    if as_json:
        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        show(found, out)
