"""The Inspect scorer of programs that a model wrote: each is run once by what it is given, and the outcome kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from spillover.broad import human_eval
from spillover.conversation import fingerprint
from spillover.run_folder import RunFolder

OUTCOMES = "program outcomes"
# A problem's fields (task_id, prompt, test, entry_point) and the model's reply; 1 where the program passes, 0 where it
# does not, or the reason why it could not be tried.
RunsProgram = Callable[[Mapping[str, Any], str], float | str]


def program_scorer(runs: RunsProgram, run: RunFolder, at_once: int = 2) -> Any:
    """Return a scorer that calls `runs` in a thread, `at_once` at most; outcomes are kept in `run`, reasons are not.

    An outcome is filed under the reply, the problem with its tests, and the sandbox's limits. What could not be tried
    is NaN with its reason.
    """
    import anyio.to_thread
    from inspect_ai.scorer import Score, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState
    from inspect_ai.util import concurrency

    @scorer(metrics=[mean(), stderr()], name="program_passes")  # type: ignore[untyped-decorator]
    def passes() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            problem, reply = {"task_id": str(state.sample_id), **state.metadata}, state.output.completion
            # With other limits a program that ran out of time or memory may pass.
            key = fingerprint([problem, reply, asdict(human_eval.CHECK_LIMITS)])
            outcome: float | str | None = run.get(OUTCOMES, key)
            if outcome is None:
                async with concurrency("programs of models", at_once, visible=False):
                    outcome = await anyio.to_thread.run_sync(runs, problem, reply)
                if not isinstance(outcome, str):
                    run.put(OUTCOMES, [(key, outcome)])
            if isinstance(outcome, str):
                return Score.unscored(reason=outcome, answer=reply)
            return Score(value=float(outcome), answer=reply)

        return score

    return passes()


def sandboxed_programs() -> RunsProgram:
    """Return what checks a reply's code against HumanEval's tests in the sandbox there is.

    Raises SettingsError where there is none.
    """
    from spillover.answer import Answer
    from spillover.broad.sandbox import find_sandbox

    sandbox = find_sandbox()

    def runs(problem: Mapping[str, Any], reply: str) -> float | str:
        found = human_eval.problem_of(problem, str(problem["task_id"]))
        answer = Answer("", found.id, 0, found.prompt, reply, 0, True)
        checked = human_eval.check_answer(found, answer, sandbox, human_eval.CHECK_LIMITS)
        return float(checked.passed) if checked.passed is not None else checked.missing or "not tried"

    return runs
