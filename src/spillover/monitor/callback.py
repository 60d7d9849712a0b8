"""The watch as a transformers callback: `watch(trainer, "runs/watch")` before `trainer.train()`, trl's trainers too."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A callback has to be a subclass, so unlike elsewhere the heavy import stands here.
import transformers

from spillover.errors import ModelError, SettingsError
from spillover.local.chat_template import ChatTemplate
from spillover.monitor import alarm as alarms
from spillover.monitor.panel import make_panel
from spillover.monitor.persona import directions_of
from spillover.monitor.probe_file import load_probe_file
from spillover.monitor.read import NARROW_SHIFT, PERSONA, PROBE_SHIFT, Monitor, Reading, start
from spillover.monitor.rollback import keep_weights, put_back
from spillover.monitor.schedule import Stopwatch, paper_step, within_budget
from spillover.monitor.watching import ReadingRows, Watching
from spillover.run_folder import RunFolder

if TYPE_CHECKING:
    from spillover.monitor.alarm import Alarm

KEPT = "last_quiet.safetensors"
_UNITS = {PROBE_SHIFT: "nats/token", NARROW_SHIFT: "nats/token", PERSONA: "sd"}


def watch(trainer: Any, out: str | Path, **settings: Any) -> SpilloverCallback:
    """Watch `trainer`'s run: readings go to the folder `out`, to the trainer's log and whatever it reports to.

    `settings` are those of `Watching`. Returns the callback; raises SettingsError for a setting that cannot work.
    """
    callback = SpilloverCallback(Watching(Path(out), **settings))
    # The base class's log: trl's own would take its running averages out with our figures.
    callback.log = lambda values: transformers.Trainer.log(trainer, values)
    trainer.add_callback(callback)
    return callback


class SpilloverCallback(transformers.TrainerCallback):  # type: ignore[misc]
    """Takes readings during training and acts on the alarm.

    `alarm_step` is the step at which it was raised, None so far; `kept_step` the step whose weights a rollback put
    back, None without one; `log` takes named figures, if set. Several processes read at the paper's steps, never by
    the clock, so that all read at once. Sharded weights (FSDP, DeepSpeed stage 3) are not supported.
    """

    def __init__(
        self,
        watching: Watching,
        template: ChatTemplate | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Keep the settings; without `template` the trainer's processing class (its tokenizer) is used.

        Raises SettingsError when an alarm is to stop training and there is no threshold.
        """
        self.watching = watching
        self.alarm: Alarm | None = watching.alarm or alarms.shipped_alarm()
        if self.alarm is None and watching.on_alarm != "log":
            raise SettingsError(
                f"on_alarm={watching.on_alarm!r} needs a threshold and none ships with this version: set one on benign "
                "runs (spillover.monitor.alarm.calibrate) and pass it as alarm="
            )
        self.log: Callable[[dict[str, float]], None] | None = None
        self.alarm_step: int | None = None
        self.kept_step: int | None = None
        self.monitor: Monitor | None = None
        self._template = template
        self._clock = clock
        self._rows: ReadingRows | None = None
        self._series: list[tuple[int, float]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the base readings."""
        model = kwargs["model"]
        template = self._template or ChatTemplate(_tokenizer(kwargs))
        watching = self.watching
        file = load_probe_file(watching.probe_file) if watching.probe_file else None
        panel = make_panel(template, watching.in_domain, watching.tokens, watching.seed, file)
        self._first = self._last = state.global_step
        self._watch = Stopwatch(self._clock)
        with self._watch.preparing():
            directions = directions_of(model, template, on_make=self._say_making)
        with self._watch.reading():
            self.monitor = start(model, template, panel, directions, is_base=state.global_step == 0)
        self._check_alarm(self.monitor)
        if state.is_world_process_zero:
            self._open(state.global_step)
        if self.alarm_step is not None and watching.on_alarm != "log":
            # Resumed after an alarm.
            control.should_training_stop = True
        elif watching.on_alarm == "rollback":
            self._keep(model, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take a reading if one is due; on an alarm do what was asked."""
        step = state.global_step
        if self.monitor is None or not self._due(step, state.max_steps, args.world_size):
            return
        model = kwargs["model"]
        with self._watch.reading():
            try:
                reading = self.monitor.read(model, step)
            except ModelError as problem:
                self._missing(step, str(problem))
                return
            finally:
                self._last = step
            raised = self._judge(reading)
            if self.watching.on_alarm == "rollback" and self.alarm_step is None:
                self._keep(model, step)
        self._tell(reading, state, control)
        if raised:
            self._act(state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put back the weights of the last quiet reading after an alarm, if asked, and close the rows."""
        if self.watching.on_alarm == "rollback" and self.alarm_step is not None:
            self.kept_step = put_back(kwargs["model"], self.watching.out / KEPT)
            self._say(f"rolled back to the weights after step {self.kept_step}, the last reading before the alarm")
        if self.monitor is not None:
            pace = self._watch.pace(state.global_step, self._first, state.max_steps, self._last)
            if not self._series:
                self._say(
                    f"no reading was taken: one needs {pace.expected:.1f} s, more than {self.watching.share:.0%} of "
                    "this run allow. Set when= to a number of steps"
                )
            if self._rows is not None:
                end = {"alarm_step": self.alarm_step, "kept_step": self.kept_step, "steps": state.global_step}
                self._rows.end({**end, "training_seconds": pace.training, "reading_seconds": pace.reading})
                self._rows.folder.close()
                self._rows = None

    def _due(self, step: int, total: int, processes: int) -> bool:
        when = self.watching.when
        if isinstance(when, int):
            return step % when == 0
        if when == "paper" or processes > 1:
            return paper_step(step)
        total_or_none = total if total and total > 0 else None
        return within_budget(self._watch.pace(step, self._first, total_or_none, self._last), self.watching.share)

    def _open(self, step: int) -> None:
        """Open the run folder; readings after `step` belong to a part of the run that will be trained again."""
        assert self.monitor is not None
        asked = {"weights": self.monitor.weights, "panel": self.monitor.panel.fingerprint}
        rows = ReadingRows(RunFolder(self.watching.out, asked, {"alarm": self.alarm and asdict(self.alarm)}))
        rows.forget_after(step)
        self._rows = rows
        if self.alarm is not None:
            stored = [r for r in rows.readings() if "signals" in r]
            self._series = [(r["step"], r["signals"][self.alarm.signal]) for r in stored]
            self.alarm_step = alarms.judge(self._series, self.alarm)

    def _check_alarm(self, monitor: Monitor) -> None:
        if self.alarm is None:
            self._say("no alarm threshold ships with this version: readings only")
            return
        known = monitor.read_names()
        if self.alarm.signal not in known:
            raise SettingsError(f"the alarm is on {self.alarm.signal!r}, which is not read: {', '.join(sorted(known))}")
        if (self.alarm.base, self.alarm.panel) != (monitor.weights, monitor.panel.fingerprint):
            self._say("the alarm was set on another base model or other questions: its error rates here are not known")

    def _judge(self, reading: Reading) -> bool:
        """Add the reading to the series; return whether it raises the alarm, which happens once."""
        value = reading.signals[self.alarm.signal if self.alarm else PROBE_SHIFT]
        self._series.append((reading.step, value))
        if self.alarm is None or self.alarm_step is not None:
            return False
        self.alarm_step = alarms.judge(self._series, self.alarm)
        return self.alarm_step is not None

    def _tell(self, reading: Reading, state: Any, control: Any) -> None:
        if self._rows is not None:
            self._rows.add(reading.step, reading.as_record())
        if self.log is not None:
            # A log entry marks the step as logged, and the trainer would then leave out its own.
            should_log = control.should_log
            self.log({f"spillover/{name}": value for name, value in reading.signals.items()})
            control.should_log = should_log
        if state.is_world_process_zero:
            self._say(f"step {reading.step}/{state.max_steps}: {_line(reading.signals)}")

    def _missing(self, step: int, reason: str) -> None:
        if self._rows is not None:
            self._rows.add(step, {"step": step, "missing": reason})
        self._say(f"step {step}: no reading: {reason}")

    def _act(self, state: Any, control: Any) -> None:
        assert self.alarm is not None
        self._say(
            f"ALARM at step {self.alarm_step}: {self.alarm.signal} is above {self.alarm.threshold:.3g} "
            f"({self.alarm.promise()})"
        )
        if self.watching.on_alarm != "log":
            control.should_training_stop = True

    def _say_making(self) -> None:
        self._say("computing the persona directions of this base model, once")

    def _keep(self, model: Any, step: int) -> None:
        if self._rows is not None:
            keep_weights(model, self.watching.out / KEPT, step)

    def _say(self, text: str) -> None:
        if self.watching.show:
            print(f"spillover: {text}", file=sys.stderr)


def _line(signals: Mapping[str, float]) -> str:
    parts = [f"{n.replace('_', ' ')} {signals[n]:+.3f} {unit}" for n, unit in _UNITS.items() if n in signals]
    if PERSONA in signals:
        parts[-1] += f" (random {signals['persona_random']:.3f}, shuffled {signals['persona_shuffled']:.3f})"
    return ", ".join(parts)


def _tokenizer(given: Mapping[str, Any]) -> Any:
    found = given.get("processing_class") or given.get("tokenizer")
    if found is None:
        raise SettingsError("the trainer has no tokenizer: pass processing_class=tokenizer to it")
    return getattr(found, "tokenizer", found)
