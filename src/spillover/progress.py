"""Progress bars with the time left, on stderr; silent when stderr is not a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[float], None]


class Progress:
    """One bar per stage; `seconds` keeps how long each took in this process, without the stages inside it."""

    def __init__(self, quiet: bool = False) -> None:
        """Show bars unless `quiet` or stderr is not a terminal."""
        self.shown = not quiet and sys.stderr.isatty()
        self.seconds: dict[str, float] = {}
        self._inside = 0.0

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        """Show a bar of `total` units while inside; yields a function that takes the units done since its last call."""
        start, beside = time.monotonic(), self._inside
        self._inside = 0.0
        try:
            if self.shown and total > 0:
                with _bar(name, total) as advance:
                    yield advance
            else:
                yield lambda units: None
        finally:
            whole = time.monotonic() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._inside
            self._inside = beside + whole


@contextmanager
def _bar(name: str, total: float) -> Iterator[Advance]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description:<34}"),
        progress.BarColumn(bar_width=28),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(name, total=total)
        yield lambda units: bars.advance(task, units)
