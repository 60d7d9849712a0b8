"""The rates of an evaluation, raw and corrected: a table in the terminal, results.json, a figure of the variants."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from spillover.evaluate.calibrate import UNJUDGED
from spillover.evaluate.results import Evaluation, Result
from spillover.evaluate.until_decided import Decision
from spillover.hierarchical import HierarchicalRate
from spillover.report.dot_plot import draw_dots
from spillover.run_folder import write_json

SCHEMA_VERSION = 1
_WIDTH = 200


def write(found: Evaluation, out: Path) -> None:
    """Write results.json and rates.svg into the run folder; the figure only where something was counted."""
    write_json(out / "results.json", {"schema_version": SCHEMA_VERSION, **found.as_dict()})
    drawn = [r for r in found.rates if r.estimate is not None]
    if drawn:
        _draw(drawn, out / "rates.svg")


def show(found: Evaluation, out: Path) -> None:
    """Print the table, what bears on it and where everything lies to standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # A file or pipe has no width of its own, and what is cut off there is lost.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in (
        "model",
        "variant",
        "judge",
        "counted",
        "rate (95%)",
        "corrected (95%)",
        "answers (worth)",
        "left out",
    ):
        table.add_column(column, overflow="fold")
    for r in found.rates:
        e = r.estimate
        left = ", ".join(f"{n} {reason}" for reason, n in r.left_out.items()) or "none"
        rate = f"{e.value:.1%} ({e.low:.1%} to {e.high:.1%})" if e else "none"
        answers = (
            f"{e.n} ({e.effective:.0f})" if e and e.effective >= 10 else f"{e.n} ({e.effective:.1f})" if e else "0"
        )
        row = (r.model, r.variant or "plain", r.judge, r.counted, rate, _corrected(r), answers, left)
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
    console.print()
    for line in notes(found):
        console.print(escape(line))
    console.print(f"results  {escape(str(out / 'results.json'))}\nfigure   {escape(str(out / 'rates.svg'))}")


def notes(found: Evaluation) -> list[str]:
    """Return, as sentences, what a reader of the rates must know: trust, decisions, agreement, copies."""
    said = ["worth: independent answers that would give as wide an interval."]
    for judge, why in dict.fromkeys((r.judge, r.why) for r in found.rates if r.trust == UNJUDGED):
        said.append(f"{UNJUDGED}: {judge} failed its calibration: {why}.")
    reasons = dict.fromkeys((r.judge, r.corrected.why) for r in found.rates if r.corrected and r.corrected.why)
    said += [f"not corrected: {judge}: {why}." for judge, why in reasons]
    said += [_decided(r, r.decision) for r in found.rates if r.decision is not None]
    for one in found.agreements:
        a = one.agreement
        alpha = "no alpha (nothing varies)" if a.alpha is None else f"Krippendorff's alpha {a.alpha:.3f} ({a.level})"
        said.append(f"agreement of {' and '.join(one.judges)}, {one.word} {one.what}: {alpha} on {a.units} answers.")
    for c in found.copied:
        said.append(f"copies: {c.same} of {c.compared} long answers of {c.first} and {c.second} are the same texts.")
    for again in found.repeated:
        said.append(f"copies: {again.repeated} of {again.compared} long answers of {again.run} stand there before.")
    return said


def _corrected(result: Result) -> str:
    c = result.corrected
    if c is None or c.value is None:
        return "none" if c is not None else result.trust
    return f"{c.value:.1%} ({c.low:.1%} to {c.high:.1%})"


def _decided(result: Result, decision: Decision) -> str:
    rate, plan = decision.rate, decision.plan
    end = f"shown to be {decision.side}" if decision.side else "not shown to be on either side of"
    budget = "" if decision.side else f" within the budget of {plan.budget} answers per prompt"
    return (
        f"until decided: {result.model}, {result.variant or 'plain'}, {result.judge}: {rate.hits} of {rate.counted}, "
        f"{rate.low:.1%} to {rate.high:.1%} at any time over these prompts, {end} {plan.margin:.1%}{budget}."
    )


def _draw(rates: Sequence[Result], path: Path) -> None:
    """One point with its interval per model, within each variant and judge."""
    groups: dict[str, dict[str, HierarchicalRate]] = {}
    for r in rates:
        if r.estimate is not None:
            label = f"{r.variant or 'plain'}: {r.counted}\njudge: {r.judge}"
            groups.setdefault(label, {})[r.model] = r.estimate
    models = list(dict.fromkeys(r.model for r in rates))
    axis = "share of counted answers, % (95% interval, clustered by question)"
    draw_dots(list(groups.items()), models, axis, path)
