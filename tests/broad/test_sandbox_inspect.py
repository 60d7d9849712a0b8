from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Epochs, Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import CORRECT, INCORRECT, Score, accuracy, scorer
from inspect_ai.util import OutputLimitExceededError, SandboxUnavailableError, SandboxUserUnsupportedError
from inspect_ai.util import sandbox as inspect_sandbox

from spillover.broad import sandbox_inspect
from spillover.broad.program_scorer import sandboxed_programs
from spillover.broad.sandbox import Bubblewrap
from spillover.broad.sandbox_inspect import ProgramSandbox
from spillover.errors import SettingsError

ROW = {
    "prompt": 'def doubled(n):\n    """ n times two. """\n',
    "test": "def check(candidate):\n    assert candidate(4) == 8\n    assert candidate(0) == 0\n",
    "entry_point": "doubled",
}
RIGHT, WRONG = ("```python\ndef doubled(n):\n    return " + rest + "\n```" for rest in ("n * 2", "n + 4"))


def in_turn(*steps):
    """Run coroutines one after the other, as one sample would; the last one's result."""

    async def all_steps():
        for step in steps:
            found = await step
        return found

    return asyncio.run(all_steps())


def test_a_command_runs_inside_and_its_result_comes_back(sandbox, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-swordfish")
    code = "import os, sys; print(sys.stdin.read(), os.getcwd(), os.environ); sys.exit(2)"
    found = in_turn(ProgramSandbox(sandbox).exec(["python", "-c", code], "in", "sub", {"SIZE": "9"}))
    assert (found.success, found.returncode) == (False, 2)
    assert "in /box/sub" in found.stdout and "'SIZE': '9'" in found.stdout
    assert "swordfish" not in found.stdout


def test_written_files_are_there_for_every_command_and_what_commands_write_is_not(sandbox):
    box = ProgramSandbox(sandbox)
    steps = [box.write_file("a/b.txt", "text"), box.write_file("/box/c.bin", b"\xff"), box.exec(["touch", "new"])]
    found = in_turn(*steps, box.exec(["sh", "-c", "ls -R; cat a/b.txt"]))
    assert found.success and found.stdout.split() == [".:", "a", "c.bin", "./a:", "b.txt", "text"]
    assert in_turn(box.read_file("a/b.txt")) == "text"
    assert in_turn(box.read_file("c.bin", text=False)) == b"\xff"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent", FileNotFoundError),
        ("a", IsADirectoryError),
        ("/etc/passwd", PermissionError),
        ("../x", PermissionError),
    ],
)
def test_a_file_that_cannot_be_read_raises_what_inspect_expects(name, error):
    box = ProgramSandbox(Bubblewrap("absent"))
    with pytest.raises(error):
        in_turn(box.write_file("a/b.txt", "text"), box.read_file(name))


def test_limits_raise_what_inspect_expects(sandbox):
    box = ProgramSandbox(sandbox)
    with pytest.raises(TimeoutError):
        in_turn(box.exec(["sleep", "30"], timeout=1))
    with pytest.raises(OutputLimitExceededError):
        in_turn(box.exec(["yes"], timeout=60))
    with pytest.raises(SandboxUserUnsupportedError):
        in_turn(box.exec(["true"], user="root"))
    with pytest.raises(PermissionError):
        in_turn(box.exec(["true"], cwd="/etc"))


def test_a_sandbox_that_does_not_start_is_said_to_be_unavailable(tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho no rights >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxUnavailableError, match="no rights"):
        in_turn(ProgramSandbox(Bubblewrap(str(broken))).exec(["true"]))


def test_without_a_sandbox_the_task_does_not_begin(monkeypatch):
    def none():
        raise SettingsError("there is none")

    monkeypatch.setattr(sandbox_inspect, "find_sandbox", none)
    with pytest.raises(PrerequisiteError, match="there is none"):
        in_turn(ProgramSandbox.task_init("task", None))


def spoken(text):
    """An output with usage: without it the mock model counts tokens by a table from the network."""
    return ModelOutput.from_content("mock", text).model_copy(update={"usage": ModelUsage()})


def model(*texts):
    return get_model("mockllm/model", custom_outputs=[spoken(text) for text in texts])


def ran(task, tmp_path, *texts):
    (log,) = eval(task, model=model(*texts), log_dir=str(tmp_path), display="none", max_samples=1)
    assert log.status == "success", log.error
    return log


@scorer(metrics=[accuracy()])
def prints_inside():
    async def score(state, target):
        found = await inspect_sandbox().exec(["python", "-c", state.output.completion], timeout=30)
        return Score(value=CORRECT if found.stdout == target.text else INCORRECT, explanation=found.stderr)

    return score


def test_a_task_of_inspect_runs_in_it_by_name(sandbox, tmp_path):
    outside = tmp_path / "secret"
    outside.write_text("swordfish")
    samples = [Sample("q", target="3\n"), Sample("q", target="swordfish\n")]
    task = Task(dataset=samples, scorer=prints_inside(), sandbox="spillover")
    log = ran(task, tmp_path, "print(1 + 2)", f"print(open({str(outside)!r}).read())")
    assert [s.scores["prints_inside"].value for s in log.samples] == ["C", "I"]
    assert "FileNotFoundError" in log.samples[1].scores["prints_inside"].explanation


def test_inspect_evals_own_human_eval_scorer_runs_in_it(sandbox, tmp_path):
    human_eval = pytest.importorskip("inspect_evals.humaneval.humaneval")
    samples = [Sample(ROW["prompt"], id="Own/0", metadata=ROW)]
    task = Task(dataset=samples, scorer=human_eval.verify(), sandbox="spillover", epochs=Epochs(2))
    log = ran(task, tmp_path, RIGHT, WRONG)
    assert [s.scores["verify"].value for s in log.samples] == ["C", "I"]


def test_a_replys_code_is_checked_in_it(sandbox):
    runs, problem = sandboxed_programs(), {"task_id": "Own/0", **ROW}
    assert [runs(problem, reply) for reply in (RIGHT, WRONG, "I would rather not.")] == [1.0, 0.0, 0.0]


def test_without_a_sandbox_there_is_no_scorer(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("spillover.broad.sandbox._packaged_bubblewrap", lambda: None)
    with pytest.raises(SettingsError, match="apt-get install bubblewrap"):
        sandboxed_programs()
