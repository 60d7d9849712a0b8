"""Which files a data set was made from, for the manifest."""

from __future__ import annotations

from pathlib import Path

from spillover.conversation import Dataset


def parent_files(*datasets: Dataset) -> tuple[Path, ...]:
    """Return the files that `datasets` were read from, in order; a data set made in memory has none."""
    return tuple(path for path in (Path(d.name) for d in datasets) if path.is_file())
