"""Run benchmarks on models and keep every reply: a killed run goes on, more models or benchmarks add to what is there.

Inspect runs the tasks. Replies of models and judges lie in the run folder under what was asked, so scores are worked
out anew each time and only what is missing is asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spillover.broad.benchmarks import Preset
from spillover.broad.data import Rows, rows_of
from spillover.broad.kept_model import Failures, keep_outputs
from spillover.broad.kept_results import keep_results
from spillover.broad.machiavelli.benchmark import laid_out, play_with_all
from spillover.broad.one_turn import ONE_TURN, Asked, answer_and_judge, asked_locally
from spillover.broad.program_scorer import RunsProgram, program_scorer
from spillover.broad.record import BenchmarkResult, BroadLook, NotRun, all_refused, result_of
from spillover.broad.sample_scores import kind_of, score_of, silences
from spillover.broad.tasks import need_inspect_evals, task_of
from spillover.conversation import fingerprint
from spillover.errors import DataError, SettingsError
from spillover.evaluate.api import open_model, without_tasks
from spillover.evaluate.judges import judge_named, refuse_self_grading
from spillover.evaluate.local_answers import local_identity, local_ref
from spillover.evaluate.request_pool import Limits
from spillover.progress import Advance, Progress
from spillover.run_folder import RunFolder

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

LOGS = "logs"
# Below this many samples at once a batch of a local model would not be filled.
_SAMPLES_AT_ONCE = 256
_ATTEMPTS = 6
_ATTEMPT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class How:
    """How benchmarks are run.

    `data` is the folder with their rows (None: the hub), `judge` the model that judges (None: benchmarks that need one
    are not run), `limit` how many samples of each (None: all), `connections` the requests at once per API model.
    """

    data: Path | None = None
    judge: str | None = None
    limit: int | None = None
    seed: int = 0
    connections: int = 20
    allow_self_grading: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise SettingsError(f"the limit is {self.limit}: ask for at least 1 sample of each benchmark")
        if not 1 <= self.connections <= 1000:
            raise SettingsError(f"connections is {self.connections}: give 1 to 1000")


@dataclass(frozen=True, slots=True)
class _Ready:
    preset: Preset
    rows: Rows


def open_benchmark_run(path: Path, seed: int, facts: Mapping[str, Any]) -> RunFolder:
    """Create or reopen the folder of benchmarks; only the seed must stay. Raises RunFolderError for another run's."""
    return RunFolder(path, {"command": "benchmark", "seed": seed}, facts)


def run_benchmarks(
    run: RunFolder,
    models: Mapping[str, str],
    presets: Sequence[Preset],
    how: How,
    *,
    open_programs: Callable[[], RunsProgram] | None = None,
    progress: Progress | None = None,
) -> BroadLook:
    """Run each benchmark on each model; `models` maps labels ("base", "tuned") to names as `spillover evaluate` has.

    `open_programs` returns what runs a model's programs in a sandbox; it may raise SettingsError where there is none.
    What cannot be had or run is told in `not_run`, and the rest goes on. Logs lie in the folder's `logs`, one per
    benchmark of Inspect and model. Raises SettingsError where inspect_evals is missing or a model would judge itself,
    and ModelError for a model that is not there.
    """
    games = [preset for preset in presets if preset.games]
    presets = [preset for preset in presets if not preset.games]
    if presets:
        need_inspect_evals()
        # The provider of local models, known to inspect_ai by entry point only where the package is installed.
        from spillover.evaluate import inspect_registry  # noqa: F401

    if how.judge is not None:
        refuse_self_grading([judge_named(f"text:{how.judge}")], list(models.values()), how.allow_self_grading)
    identities = {name: _identity(name) for name in (*models.values(), *([how.judge] if how.judge else []))}
    ready, not_run = _ready(presets, how)
    results: list[BenchmarkResult] = []
    logs: list[str] = []
    with _local_judge(how if presets else replace(how, judge=None)) as judge:
        for label, name in models.items():
            mine, refused = _for_model(label, name, ready)
            not_run += refused
            total = len(mine)
            with (progress or Progress(quiet=True)).stage(f"benchmarks of {label}", total) as advance:
                found = _run_model(run, label, name, identities, mine, how, judge, open_programs, advance)
            keep_results(run, models, found.results)
            results += found.results
            not_run += found.not_run
            logs += found.logs
    for preset in games:
        table = laid_out(run, preset, how.data, how.limit, how.seed)
        found = play_with_all(run, table, models, identities, how.connections, progress or Progress(quiet=True))
        results += found.results
        not_run += found.not_run
    order = list(models)
    return BroadLook(tuple(sorted(results, key=lambda r: order.index(r.model))), tuple(not_run), tuple(logs))


def _ready(presets: Sequence[Preset], how: How) -> tuple[list[_Ready], list[NotRun]]:
    """Read the data of every benchmark before any model is loaded."""
    ready, not_run = [], []
    for preset in presets:
        if preset.judge and how.judge is None:
            not_run.append(NotRun(preset.name, None, "needs a judge: name a model with --judge MODEL"))
            continue
        try:
            ready.append(_Ready(preset, rows_of(preset, how.data)))
        except DataError as problem:
            not_run.append(NotRun(preset.name, None, str(problem)))
    return ready, not_run


def _for_model(label: str, name: str, ready: Sequence[_Ready]) -> tuple[list[_Ready], list[NotRun]]:
    if local_ref(name) is None:
        return list(ready), []
    why = "local models call no tools: name a model behind an API"
    refused = [NotRun(r.preset.name, label, why) for r in ready if r.preset.tools]
    return [r for r in ready if not r.preset.tools], refused


@contextmanager
def _local_judge(how: How) -> Iterator[Model | None]:
    """Give a local judge, its weights loaded once for all models; None for one behind an API.

    Connections belong to one evaluation, so such a judge is opened anew for each model.
    """
    if how.judge is None or local_ref(how.judge) is None:
        yield None
        return
    judge = _open(how.judge, how)
    try:
        yield judge
    finally:
        judge.api.close()


def _run_model(
    run: RunFolder,
    label: str,
    name: str,
    identities: Mapping[str, str],
    ready: Sequence[_Ready],
    how: How,
    local_judge: Model | None,
    open_programs: Callable[[], RunsProgram] | None,
    advance: Advance,
) -> BroadLook:
    failures = Failures()
    tasks: list[Task] = []
    built: list[_Ready] = []
    not_run: list[NotRun] = []
    judge = None
    if how.judge is not None and any(one.preset.judge for one in ready):
        judge = _kept(local_judge or _open(how.judge, how), how.judge, run, identities, how, failures)
    for one in ready:
        try:
            programs = None
            if one.preset.sandbox and open_programs is not None:
                programs = program_scorer(open_programs(), run)
            tasks.append(task_of(one.preset, one.rows, judge, programs))
            built.append(one)
        except (DataError, SettingsError) as problem:
            not_run.append(NotRun(one.preset.name, label, str(problem)))
    if not tasks:
        return BroadLook((), tuple(not_run))
    results, files = [], []

    def opened(name: str) -> Model:
        return _kept(_open(name, how), name, run, identities, how, failures)

    # Inspect reads a log's samples from its file when they are looked at.
    with _scratch(run) as folder:
        model = opened(name)
        try:
            found: dict[int, EvalLog] = {}
            rest = [p for p, one in enumerate(built) if one.preset.name not in ONE_TURN or judge is None]
            for place in sorted(set(range(len(tasks))) - set(rest)):
                pairs = ((model, name), (judge, how.judge))
                (head,) = _evaluated(folder, [tasks[place]], model, how, False)
                subject, grader = (_asked(*one, how, opened if rest else None) for one in pairs)
                samples = list(tasks[place].dataset)[: how.limit]
                found[place] = answer_and_judge(head, samples, tasks[place].config, subject, grader, failures)
            logs = _evaluated(folder, [tasks[place] for place in rest], model, how) if rest else []
        finally:
            # A local model's weights must go before the next one's come.
            if local_ref(name) is not None:
                model.api.close()
        # At Ctrl-C inspect_ai returns as if all were well: without the log of what it broke off, or with one so marked.
        if len(logs) < len(rest) or any(log.status == "cancelled" for log in logs):
            raise KeyboardInterrupt
        found.update(zip(rest, logs, strict=True))
        for one, log in ((built[place], found[place]) for place in sorted(found)):
            log.samples = list(log.samples or [])
            result = _result(one, label, log, failures, how)
            if isinstance(result, NotRun):
                not_run.append(result)
            else:
                results.append(result)
            files.append(_written(run, one.preset, label, identities[name], log, failures, result))
            advance(1)
    return BroadLook(tuple(results), tuple(not_run), tuple(files))


@contextmanager
def _scratch(run: RunFolder) -> Iterator[Path]:
    """Give an empty folder for Inspect's own logs; what a killed run left there is of no use, replies lie elsewhere."""
    folder = run.path.resolve() / f"{LOGS}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _evaluated(folder: Path, tasks: Sequence[Task], model: Model, how: How, run_samples: bool = True) -> list[EvalLog]:
    from inspect_ai import eval as inspect_eval

    # The benchmarks here bring their own parts of inspect_evals.
    with without_tasks():
        return list(
            inspect_eval(
                list(tasks),
                model=model,
                limit=how.limit,
                display="none",
                log_level="error",
                log_dir=str(folder),
                log_realtime=False,
                log_model_api=False,
                fail_on_error=False,
                max_samples=max(_SAMPLES_AT_ONCE, 2 * how.connections),
                max_tasks=1,
                run_samples=run_samples,
                ctl_server=False,
            )
        )


def _result(one: _Ready, label: str, log: EvalLog, failures: Failures, how: How) -> BenchmarkResult | NotRun:
    preset = one.preset
    if log.status != "success" or not log.samples:
        said = log.status if log.error is None else kind_of(log.error)
        return NotRun(preset.name, label, f"inspect_ai ended it: {said}")
    scores = [score_of(preset, label, s, failures) for s in log.samples]
    result = result_of(preset.measure, preset.worse, scores, f"{one.rows.source} ({one.rows.fingerprint})")
    if result.estimate is None and (reason := all_refused(result.missing)):
        return NotRun(preset.name, label, reason)
    note = silences(preset, log.samples)
    return replace(result, limit=how.limit, judge=how.judge if preset.judge else None, note=note)


def _written(
    run: RunFolder,
    preset: Preset,
    label: str,
    identity: str,
    log: EvalLog,
    failures: Failures,
    result: BenchmarkResult | NotRun,
) -> str:
    """Write the log whole, under a name that a rerun replaces; what a server said in an error stays out of it."""
    from inspect_ai._util.error import EvalError
    from inspect_ai.log import write_eval_log

    for sample in log.samples or []:
        if sample.error is not None:
            reason = score_of(preset, label, sample, failures).missing or ""
            sample.error = EvalError(message=reason, traceback="", traceback_ansi="")
        # Every request once more, in the words of whoever answered or failed; turns and scores are in the sample.
        sample.events, sample.attachments = [], {}
    if isinstance(result, BenchmarkResult):
        log.eval.metadata = {**(log.eval.metadata or {}), "spillover": result.as_dict()}
    began = datetime.fromtimestamp(int((run.path / "manifest.json").stat().st_mtime), UTC)
    folder = run.path / LOGS
    folder.mkdir(exist_ok=True)
    # The form of inspect_ai's own names: time, task, id.
    stamp = began.strftime("%Y-%m-%dT%H-%M-%S+00-00")
    file = folder / f"{stamp}_{preset.name.replace('_', '-')}_{fingerprint([preset.name, label, identity])}.eval"
    scratch = file.with_name(f".{file.name}.{os.getpid()}.partial.eval")
    write_eval_log(log, str(scratch), format="eval")
    os.replace(scratch, file)
    return str(file)


def _open(name: str, how: How) -> Model:
    """Open a model or judge; local ones through our provider."""
    if local_ref(name) is not None:
        return open_model(f"spillover/{name}")
    model = open_model(name)
    model.config.max_connections = how.connections
    model.config.max_retries = _ATTEMPTS
    model.config.attempt_timeout = _ATTEMPT_SECONDS
    return model


def _kept(
    model: Model, name: str, run: RunFolder, identities: Mapping[str, str], how: How, failures: Failures
) -> Model:
    return keep_outputs(model, run, identities[name], how.seed if local_ref(name) is not None else None, failures)


def _asked(model: Model, name: str | None, how: How, anew: Callable[[str], Model] | None) -> Asked:
    """Return a model to be asked past Inspect; one behind an API is opened `anew` where Inspect will ask it too."""
    assert name is not None
    if local_ref(name) is not None:
        return asked_locally(model)
    # Connections belong to the event loop in which they were made.
    return Asked(anew(name) if anew else model, Limits(how.connections, _ATTEMPTS, _ATTEMPT_SECONDS), closes=True)


def _identity(name: str) -> str:
    """Return what a model's outputs are filed under: the hash of a local one's weights, else its name."""
    return local_identity(name) or name
