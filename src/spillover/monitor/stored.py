"""Read a frozen record of figures from JSON: alarms and forecast calibrations are stored so, with `asdict`."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from spillover.errors import DataError

T = TypeVar("T")


def read_record(path: Path, kind: type[T], what: str, fix: str) -> T:
    """Return the `kind` that `path` holds; raises DataError ("PATH is not WHAT ...: FIX") for anything else.

    Its fields must be there by name; those declared as numbers must be finite.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        made = kind(**found)
        for field in fields(kind):  # type: ignore[arg-type]
            value = getattr(made, field.name)
            if field.type in ("int", "float") and (not isinstance(value, int | float) or not math.isfinite(value)):
                raise ValueError(f"{field.name} is not a finite number")
    except (OSError, ValueError, TypeError) as problem:
        raise DataError(f"{path} is not {what} ({problem}): {fix}") from None
    return made
