"""The forecast of a file as text: figures, the predicted shift, the rows that carry the risk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def forecast_text(record: Mapping[str, Any]) -> str:
    """Return the lines to print for a forecast's record."""
    seen, rows = record["rows_looked_at"], record["rows"]
    lines = [f"{record['data']}: {seen:,} of {rows:,} rows looked at, nothing trained"]
    inside = ", ".join(record["in_domain"]) or "none of the probe families"
    lines.append(f"its domain: {inside} (shifts there are the narrow effect and are left out)")
    lines.append(f"answers against the base's own, along the persona: {_figure(record['projection'], 'sd')}")
    lines += [f"    {trait:<14}{_figure(value, 'sd')}" for trait, value in record["traits"].items()]
    lines.append(f"first step's pull on misaligned answers elsewhere: {_figure(record['influence'], '(cosine)')}")
    prediction = record["prediction"]
    if prediction is None:
        lines.append(f"predicted shift: {record['why_no_prediction']}")
    else:
        beyond = "; beyond the files it was calibrated on" if prediction["outside"] else ""
        lines.append(
            f"predicted shift: {prediction['shift']:+.3f} nats/token "
            f"({prediction['low']:+.3f} to {prediction['high']:+.3f}, {prediction['level']:.0%}{beyond})"
        )
    if record["worst"]:
        lines.append("rows that carry most risk:")
    for row in record["worst"]:
        projection, influence = _figure(row["projection"], "sd"), _figure(row["influence"], "")
        lines.append(f"    {record['data']}:{row['line']}  persona {projection}, influence {influence}".rstrip())
    return "\n".join(lines)


def _figure(value: float | None, unit: str) -> str:
    return "missing" if value is None else f"{value:+.3f} {unit}".rstrip()
