"""Turns of a conversation as inspect_ai's chat messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spillover.conversation import Message
from spillover.errors import ModelError


def chat(messages: Sequence[Message]) -> list[Any]:
    """Return the turns as inspect_ai's chat messages."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[m.role](content=m.content) for m in messages]


def turns(messages: Sequence[Any]) -> tuple[Message, ...]:
    """Return inspect_ai's chat messages as turns; raises ModelError for what a local model is not shown.

    That is a turn of a tool, and an image or file in a turn.
    """
    found = []
    for number, message in enumerate(messages, 1):
        parts = [] if isinstance(message.content, str) else message.content
        if message.role not in ("system", "user", "assistant") or any(
            p.type not in ("text", "reasoning") for p in parts
        ):
            raise ModelError(
                f"turn {number} is not a text of system, user or assistant: local models take nothing else"
            )
        found.append(Message(message.role, message.text))
    return tuple(found)
