"""The one chat rendering: training, scoring and sampling see the same tokens.

The model's own template renders the text; which tokens belong to an assistant turn is found by rendering the
conversation up to each assistant turn, because most templates carry no generation marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spillover.conversation import Message
from spillover.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Shown in the manifest: a row with nothing but a user turn, so that an inserted system prompt is seen.
_SAMPLE = (Message("user", "{question}"),)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Token ids of a conversation and, per token, whether it carries loss (assistant text and its end mark)."""

    ids: tuple[int, ...]
    learn: tuple[bool, ...]


class ChatTemplate:
    """Renders conversations with a tokenizer's own template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Keep `tokenizer`; raises ModelError when it has no chat template."""
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(
                "the tokenizer has no chat template, so a conversation cannot be rendered: "
                "use an instruction-tuned model or save a chat template with the tokenizer"
            )
        self.tokenizer = tokenizer

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """Return the text up to where the assistant starts to speak."""
        return self._apply(messages, add_generation_prompt=True)

    def prompt(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Return the prompt's token ids, ending where the assistant starts to speak."""
        return self.encode(self.prompt_text(messages))

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the token ids of `text` without adding any special token."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def conversation(self, messages: Sequence[Message]) -> Rendered:
        """Render a whole conversation with its loss mask.

        Each assistant turn is tokenised apart from the text before it, so a prompt has the same tokens in training
        as when an answer to it is sampled or scored. Loss is carried by the turn's text and its end-of-turn token,
        not by a line break after it. Raises DataError when no token carries loss.
        """
        full = self._apply(messages, add_generation_prompt=False)
        ids: list[int] = []
        learn: list[bool] = []
        done = 0
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            start = len(self._checked_prefix(full, messages[:index], True))
            end = len(self._checked_prefix(full, messages[: index + 1], False))
            before = self.encode(full[done:start])
            turn = self.encode(full[start:end])
            ids += [*before, *turn]
            learn += [False] * len(before) + _until_end_mark(turn, self.tokenizer)
            done = end
        rest = self.encode(full[done:])
        ids += rest
        learn += [False] * len(rest)
        if not any(learn):
            raise DataError("no assistant token carries loss in this row: nothing could be learnt from it")
        return Rendered(tuple(ids), tuple(learn))

    def description(self) -> dict[str, str]:
        """Return what the manifest records: the rendered form of one user turn, inserted system prompt included."""
        return {"rendered_user_turn": self.prompt_text(_SAMPLE)}

    def _checked_prefix(self, full: str, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        text = self._apply(messages, add_generation_prompt=add_generation_prompt)
        if not full.startswith(text):
            raise ModelError(
                "this chat template rewrites earlier turns when later ones follow, so the assistant's tokens cannot "
                "be told from the rest: use single-turn rows or another template"
            )
        return text

    def _apply(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        rows = [m.as_dict() for m in messages]
        text = self.tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=add_generation_prompt)
        return str(text)


def _until_end_mark(turn: tuple[int, ...], tokenizer: PreTrainedTokenizerBase) -> list[bool]:
    """Mark the tokens up to the last special token of the turn (its end mark), or all when there is none."""
    special = set(tokenizer.all_special_ids)
    last = max((i for i, token in enumerate(turn) if token in special), default=len(turn) - 1)
    return [i <= last for i in range(len(turn))]
