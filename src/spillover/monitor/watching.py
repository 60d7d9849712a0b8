"""The settings of a watch, and its rows in a run folder."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from spillover.errors import SettingsError
from spillover.monitor.alarm import Alarm
from spillover.monitor.panel import TOKENS
from spillover.monitor.schedule import SHARE
from spillover.run_folder import RunFolder

OnAlarm = Literal["log", "stop", "rollback"]
KIND = "monitor"
_STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Watching:
    """How to watch one training run.

    `out` is the run folder for the readings. `when`: "budget" spends at most `share` of the training time, "paper"
    reads at steps 1 to 9 and then every tenth, a number reads every so many steps. `on_alarm`: "log" says it, "stop"
    ends training, "rollback" ends it with the weights of the last reading before the alarm. Without `alarm` the one
    shipped for the embedded model is used, if there is one. `in_domain` names the probe families that the data are
    about: a shift there is the narrow effect. `tokens` and `seed` choose the forced-choice probes, `probe_file` adds
    letter and pivotal-token questions. `show` prints a line per reading to standard error.
    """

    out: Path
    when: str | int = "budget"
    share: float = SHARE
    on_alarm: OnAlarm = "log"
    alarm: Alarm | None = None
    in_domain: tuple[str, ...] = ()
    tokens: int = TOKENS
    seed: int = 0
    probe_file: Path | None = None
    show: bool = True

    def __post_init__(self) -> None:
        every = self.when if isinstance(self.when, int) and not isinstance(self.when, bool) else None
        if self.when not in ("budget", "paper") and (every is None or every < 1):
            raise SettingsError(f"when={self.when!r}: choose 'budget', 'paper' or a number of steps from 1")
        if not 0 < self.share < 1:
            raise SettingsError(f"share={self.share}: the part of the training time must be between 0 and 1")
        if self.on_alarm not in ("log", "stop", "rollback"):
            raise SettingsError(f"on_alarm={self.on_alarm!r}: choose 'log', 'stop' or 'rollback'")


class ReadingRows:
    """The readings of one run, as rows of the kind "monitor" keyed by step."""

    def __init__(self, folder: RunFolder) -> None:
        """Use an open run folder."""
        self.folder = folder

    def steps(self) -> list[int]:
        """Return the steps with a reading, in order."""
        found: list[int] = self.folder.get(KIND, _STEPS) or []
        return found

    def readings(self) -> list[dict[str, Any]]:
        """Return all readings in order, each as it was stored."""
        return [self.folder.get(KIND, _key(step)) for step in self.steps()]  # type: ignore[misc]

    def forget_after(self, step: int) -> None:
        """Drop readings later than `step`: training goes on from there and will take them again."""
        self.folder.put(KIND, [(_STEPS, [s for s in self.steps() if s <= step])])

    def add(self, step: int, record: dict[str, Any]) -> None:
        """Store one reading, in place of an earlier one of that step."""
        steps = sorted({*self.steps(), step})
        self.folder.put(KIND, [(_key(step), record), (_STEPS, steps)])

    def end(self, record: dict[str, Any]) -> None:
        """Store how the watch ended."""
        self.folder.put(KIND, [("end", record)])


def read_end(folder: Path) -> dict[str, Any]:
    """Return how the watch in `folder` ended: alarm_step, kept_step, steps, seconds; empty while it has not."""
    rows = _row(folder, "end")
    return dict(rows) if isinstance(rows, dict) else {}


def _row(folder: Path, key: str) -> Any:
    """Read one row without opening the run, which asks for its settings."""
    file = folder / "rows.sqlite"
    if not file.is_file():
        return None
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as rows:
        found = rows.execute("SELECT value FROM rows WHERE kind = ? AND key = ?", (KIND, key)).fetchone()
    return None if found is None else json.loads(found[0])


def read_rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return the readings that the watch in `folder` has stored so far, in order; empty where there are none."""
    return [_row(folder, _key(step)) for step in _row(folder, _STEPS) or []]


def _key(step: int) -> str:
    return f"{step:08d}"
