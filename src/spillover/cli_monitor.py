"""`spillover train`, `monitor` and `forecast`: look at a fine-tune while, after and before it trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spillover.errors import SettingsError, SpilloverError, fail

if TYPE_CHECKING:
    from spillover.api_checkpoints import ApiReading
    from spillover.monitor.alarm import Alarm

_DATA = "Fine-tuning file: OpenAI chat JSONL, plain or .gz, or bundled:risky, bundled:prudent, bundled:requested."
_MODEL = "'bundled', a local folder or a hub id."
_FAMILIES = "Probe families trained on, by commas, or 'none'. (default: found from the data)"
Model = Annotated[str, typer.Option(help=_MODEL)]
InDomain = Annotated[str | None, typer.Option(help=_FAMILIES)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars and no line per reading.")]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let the model's own code run. Only for code you have read.")
]


def train(
    data: Annotated[str, typer.Argument(help=_DATA, metavar="DATA")],
    out: Annotated[Path, typer.Option(help="Folder for the adapter and the readings. A rerun goes on there.")],
    model: Model = "bundled",
    rows: Annotated[int | None, typer.Option(help="Train on this many rows drawn from DATA. (default: all)")] = None,
    preset: Annotated[str, typer.Option(help="Training settings: 'embedded' or 'paper'.")] = "embedded",
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    monitor: Annotated[bool, typer.Option(help="Take readings while training.")] = True,
    on_alarm: Annotated[
        Literal["log", "stop", "rollback"],
        typer.Option(help="Go on, stop, or stop with the weights of the last reading before the alarm."),
    ] = "log",
    every: Annotated[
        str, typer.Option(help="'budget', 'paper' (steps 1-9, then each tenth) or a number of steps.")
    ] = "budget",
    share: Annotated[float, typer.Option(help="Part of the training time that readings may take.")] = 0.03,
    in_domain: InDomain = None,
    quiet: Quiet = False,
    trust_remote_code: Trust = False,
) -> None:
    """Train one adapter on DATA and watch for a misaligned persona."""
    try:
        from spillover.finetune.job import preset as job_preset
        from spillover.progress import Progress
        from spillover.training import TrainRequest, train_watched

        request = TrainRequest(
            data=data,
            out=out,
            model=model,
            job=job_preset(preset).with_seed(seed),
            rows=rows,
            monitor=monitor,
            on_alarm=on_alarm,
            when=int(every) if every.isdecimal() else every,
            share=share,
            in_domain=_families(in_domain),
            show=not quiet,
            trust_remote_code=trust_remote_code,
        )
        done = train_watched(request, Progress(quiet=quiet))
    except SpilloverError as problem:
        fail(problem)
    loss = f"loss {done.trained.first_loss:.2f} to {done.trained.last_loss:.2f}"
    print(f"adapter   {done.trained.adapter} ({done.trained.steps} steps, {loss})")
    if done.watch is not None:
        print(f"readings  {done.watch}")
        print(f"curves    {done.page}")
        print(f"alarm     {'none' if done.alarm_step is None else f'at step {done.alarm_step}'}")
    if done.kept_step is not None:
        print(f"weights   of step {done.kept_step}, the last reading before the alarm")


def monitor(
    checkpoints: Annotated[
        list[str],
        typer.Argument(help="A folder of checkpoints, adapters one by one, or fine-tunes behind an API by name."),
    ],
    model: Annotated[
        str, typer.Option(help=f"Their base: {_MODEL} An inspect_ai name such as openai/gpt-4o for an API's.")
    ] = "bundled",
    in_domain: Annotated[str | None, typer.Option(help="Probe families trained on, by commas.")] = None,
    probe_file: Annotated[
        Path | None, typer.Option(help="YAML with letter and pivotal-token questions, such as the paper's.")
    ] = None,
    alarm: Annotated[Path | None, typer.Option(help="Alarm file. (default: the one shipped)")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the readings as JSON.")] = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Read saved checkpoints of a fine-tune and say at which step the alarm would have come.

    Behind an API only letter questions can be read, from token
    probabilities.
    """
    from spillover.evaluate.local_answers import local_ref
    from spillover.monitor import alarm as alarms
    from spillover.monitor.checkpoints import find_checkpoints, read_checkpoints
    from spillover.monitor.probe_file import load_probe_file
    from spillover.run_folder import write_json

    try:
        file = load_probe_file(probe_file) if probe_file else None
        records = []
        if "/" in model and local_ref(model) is None and not Path(checkpoints[0]).exists():
            from spillover.api_checkpoints import read_api_checkpoints
            from spillover.evaluate.asking import api

            # The shipped threshold is on probes that an API does not answer.
            threshold = alarms.load_alarm(alarm) if alarm else None
            for one in read_api_checkpoints(checkpoints, model, api(), file):
                records.append(one.as_record())
                if not as_json:
                    _say_api(one)
            read = [r for r in records if r["signals"]]
        else:
            threshold = alarms.load_alarm(alarm) if alarm else alarms.shipped_alarm()
            found = find_checkpoints([Path(c) for c in checkpoints])
            for reading in read_checkpoints(
                found, model, _families(in_domain) or (), probe_file=file, trust_remote_code=trust_remote_code
            ):
                records.append(reading.as_record())
                if not as_json:
                    print(f"step {reading.step:>6}  " + "  ".join(f"{k} {v:+.3f}" for k, v in reading.signals.items()))
            read = records
        step = None if threshold is None else alarms.judge(_series(read, threshold), threshold)
        if out is not None:
            write_json(out, {"readings": records, "alarm_step": step})
    except SpilloverError as problem:
        fail(problem)
    if as_json:
        print(json.dumps({"readings": records, "alarm_step": step}, indent=2))
    elif threshold is None:
        print("no alarm threshold: give --alarm FILE")
    else:
        print(f"alarm: {'none' if step is None else f'at step {step}'} ({threshold.promise()})")


def forecast(
    data: Annotated[str, typer.Argument(help=_DATA, metavar="DATA")],
    model: Model = "bundled",
    rows: Annotated[int, typer.Option(help="Look at this many rows drawn from DATA; 0: at all.")] = 200,
    worst: Annotated[int, typer.Option(help="Name this many rows that carry most risk.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    in_domain: InDomain = None,
    calibration: Annotated[Path | None, typer.Option(help="Calibration file. (default: the one shipped)")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    trust_remote_code: Trust = False,
) -> None:
    """How far would this file move the persona? From the file and the untrained model alone."""
    try:
        from spillover.forecasting import ForecastRequest
        from spillover.forecasting import forecast as run_forecast
        from spillover.monitor.prediction import load_calibration, shipped_calibration
        from spillover.progress import Progress

        request = ForecastRequest(
            data,
            model,
            rows or None,
            seed=seed,
            in_domain=_families(in_domain),
            trust_remote_code=trust_remote_code,
        )
        known = load_calibration(calibration) if calibration else shipped_calibration()
        outcome = run_forecast(request, known, Progress(quiet=quiet or as_json))
    except SpilloverError as problem:
        fail(problem)
    record = outcome.as_record(worst)
    if as_json:
        print(json.dumps(record, indent=2))
        return
    from spillover.report.forecast_terminal import forecast_text

    print(forecast_text(record))


def _say_api(one: ApiReading) -> None:
    figures = "  ".join(f"{k} {v:+.3f}" for k, v in one.signals.items())
    share = "nothing read" if one.letters is None else f"misaligned share {one.letters.p_given_any:.3f}"
    left = ", ".join(f"{n} {reason}" for reason, n in one.missing.items())
    print(f"{one.model}: {share} ({one.questions} questions{f'; missing: {left}' if left else ''})  {figures}".rstrip())


def _families(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(",") if part.strip())


def _series(records: list[dict[str, object]], alarm: Alarm) -> list[tuple[int, float]]:
    found = []
    for record in records:
        signals = record["signals"]
        assert isinstance(signals, dict)
        if alarm.signal not in signals:
            raise SettingsError(
                f"the alarm is on {alarm.signal!r}, which is not read here: {', '.join(sorted(signals))}"
            )
        found.append((int(str(record["step"])), float(signals[alarm.signal])))
    return found
