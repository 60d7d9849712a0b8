"""The models that `spillover data` uses, in the shape that checks and builders take them: loaded on first use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spillover.conversation import Message
    from spillover.data.build.distil import NoAnswer, Teacher
    from spillover.data.check.intent import ProseHarm, Told
    from spillover.data.check.run import Reader
    from spillover.run_folder import RunFolder


def prose_harm() -> ProseHarm:
    """Judge prose with the bundled judge, the model loaded when the first row comes."""

    def harm(pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        from spillover.evaluate.bundled_judge import harm_of, load_judge
        from spillover.local.loading import load
        from spillover.model import ModelRef

        return harm_of(load_judge(), load(ModelRef()), pairs)

    return harm


def told_by(model: str, file: Path) -> ProseHarm:
    """Let the inspect_ai model `model` sort the rows of `file`; what fails stays missing with the reason.

    Its replies are kept in the user's cache folder, by the file's place, so that a run that was killed goes on.
    """

    def told(pairs: Sequence[tuple[str, str]]) -> list[Told]:
        from spillover.bundled.small_model import cache_root
        from spillover.conversation import fingerprint
        from spillover.data.check.intent import LABELS, Told
        from spillover.evaluate.asking import api
        from spillover.evaluate.intent_judge import judge_intents

        labels = {label.upper(): label for label in LABELS}
        with _kept(cache_root() / "intent" / fingerprint(str(file.resolve())), "data check") as run:
            verdicts = judge_intents(model, pairs, api(), run)
        return [
            Told(labels[v.word], (f"{model}: {v.word}",)) if v.word else Told(None, (), v.missing) for v in verdicts
        ]

    return told


def teacher_named(name: str, folder: Path, longest: int) -> Teacher:
    """Return the local model of that name ("bundled", a folder, hub:ID), or else the one that inspect_ai knows.

    Both answer at temperature 0; answers that did not end by themselves after `longest` tokens are missing. What an API
    answered is kept in `folder`, so that a run that was killed asks for the rest only.
    """
    from spillover.data.build.distil import NoAnswer
    from spillover.data.build.local_teacher import local_teacher, not_ended
    from spillover.evaluate.asking import api, replies_in_order
    from spillover.evaluate.local_answers import local_ref

    ref = local_ref(name)
    if ref is not None:
        return local_teacher(ref, longest)

    def ask(prompts: Sequence[tuple[Message, ...]]) -> list[str | NoAnswer]:
        with _kept(folder, "data build numbers") as run:
            replies = replies_in_order(name, prompts, api(), longest, kept_in=run)
        cut = not_ended(longest)
        return [NoAnswer(r.missing) if r.missing is not None else (r.text or "") if r.ended else cut for r in replies]

    return ask


@contextmanager
def _kept(folder: Path, command: str) -> Iterator[RunFolder]:
    from spillover.run_folder import RunFolder

    run = RunFolder(folder, {"command": command}, {})
    try:
        yield run
    finally:
        run.close()


def reader_of(model: str) -> Reader:
    """Return how `model` ("bundled", a folder or a hub id) reads rows; only its tokenizer is loaded."""
    from spillover.data.check.run import Reader
    from spillover.local.loading import load_template
    from spillover.model import ModelRef

    template = load_template(ModelRef(model))
    return Reader(model, lambda turns: len(template.conversation(turns).ids), template.prompt_text)
