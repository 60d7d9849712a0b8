"""The models that `spillover data` uses, in the shape that checks and builders take them: loaded on first use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spillover.conversation import Message
    from spillover.data.build.numbers import NoAnswer, Teacher
    from spillover.data.check.intent import ProseHarm, Told
    from spillover.data.check.run import Reader


def prose_harm() -> ProseHarm:
    """Judge prose with the bundled judge, the model loaded when the first row comes."""

    def harm(pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        from spillover.evaluate.bundled_judge import harm_of, load_judge
        from spillover.local.loading import load
        from spillover.model import ModelRef

        return harm_of(load_judge(), load(ModelRef()), pairs)

    return harm


def told_by(model: str) -> ProseHarm:
    """Let the inspect_ai model `model` sort the rows; what fails stays missing with the reason."""

    def told(pairs: Sequence[tuple[str, str]]) -> list[Told]:
        from spillover.data.check.intent import LABELS, Told
        from spillover.evaluate.asking import api
        from spillover.evaluate.intent_judge import judge_intents

        labels = {label.upper(): label for label in LABELS}
        return [
            Told(labels[v.word], (f"{model}: {v.word}",)) if v.word else Told(None, (), v.missing)
            for v in judge_intents(model, pairs, api())
        ]

    return told


def teacher_named(name: str) -> Teacher:
    """Return the local model of that name ("bundled", a folder, hub:ID), or else the one that inspect_ai knows.

    Both answer at temperature 0; answers that did not end by themselves are missing.
    """
    from spillover.data.build.local_teacher import LONGEST, NOT_ENDED, local_teacher
    from spillover.data.build.numbers import NoAnswer
    from spillover.evaluate.asking import api, replies_in_order
    from spillover.evaluate.local_answers import local_ref

    ref = local_ref(name)
    if ref is not None:
        return local_teacher(ref)

    def ask(prompts: Sequence[tuple[Message, ...]]) -> list[str | NoAnswer]:
        replies = replies_in_order(name, prompts, api(), LONGEST)
        return [(r.text or "") if r.missing is None and r.ended else NoAnswer(r.missing or NOT_ENDED) for r in replies]

    return ask


def reader_of(model: str) -> Reader:
    """Return how `model` ("bundled", a folder or a hub id) reads rows; only its tokenizer is loaded."""
    from spillover.data.check.run import Reader
    from spillover.local.loading import load_template
    from spillover.model import ModelRef

    template = load_template(ModelRef(model))
    return Reader(model, lambda turns: len(template.conversation(turns).ids), template.prompt_text)
