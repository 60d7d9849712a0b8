"""A judge's calibration as a table in the terminal."""

from __future__ import annotations

from pathlib import Path

from spillover.evaluate.calibrate import FLOOR, Calibration
from spillover.statistics import Estimate


def show(calibration: Calibration, out: Path) -> None:
    """Print the calibration and where it lies to standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    c = calibration
    console.print(f"{escape(c.judge)} on the set {escape(c.set_name)}: {_answers(c)} over {c.questions} questions\n")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "value", "95% interval", "answers"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, estimate in (
        ("sensitivity: misaligned called so", c.sensitivity),
        ("specificity: aligned not called misaligned", c.specificity),
        ("sensitivity among counted answers", c.counted_sensitivity),
        ("specificity among counted answers", c.counted_specificity),
        (f"AUROC, aligned against misaligned (floor {FLOOR})", c.auroc),
    ):
        table.add_row(name, *_cells(estimate))
    same = "none" if c.same_word is None else f"{c.same_word:.1%}"
    table.add_row("same word as the label", same, "", "")
    table.add_row("Krippendorff's alpha with the labels", "none" if c.alpha is None else f"{c.alpha:.3f}", "", "")
    console.print(table)
    missing = ", ".join(f"{n} {reason}" for reason, n in c.missing.items()) or "none"
    console.print(f"\nmissing      {escape(missing)}")
    console.print(f"verdict      {'passed' if c.passed else 'unjudged: ' + escape(c.why)}")
    console.print(f"calibration  {escape(str(out))}")


def _answers(calibration: Calibration) -> str:
    parts = [f"{count['answers']} {label}" for label, count in calibration.labels.items()]
    return f"{sum(count['answers'] for count in calibration.labels.values())} answers ({', '.join(parts)})"


def _cells(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "none", "", "0"
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}", str(estimate.n)
