"""Message, Conversation, Dataset: the immutable records every stage passes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks and the text."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """Return the OpenAI chat form `{"role": ..., "content": ...}`."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A list of turns and the 1-based line of the file it came from (0: made in memory)."""

    messages: tuple[Message, ...]
    line: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the last assistant turn."""
        return self.messages[: self._last_assistant()]

    @property
    def answer(self) -> str:
        """Text of the last assistant turn."""
        return self.messages[self._last_assistant()].content

    def with_answer(self, text: str) -> Conversation:
        """Return the same prompt with another last answer."""
        return Conversation((*self.prompt, Message("assistant", text)), self.line)

    def _last_assistant(self) -> int:
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].role == "assistant":
                return index
        raise ValueError("the conversation has no assistant turn")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Conversations in file order, with a name for people."""

    name: str
    conversations: tuple[Conversation, ...]

    def __len__(self) -> int:
        return len(self.conversations)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self.conversations)

    @property
    def fingerprint(self) -> str:
        """Hash of the content in order; line numbers and the name do not enter."""
        return fingerprint([[m.as_dict() for m in c.messages] for c in self.conversations])

    def take(self, indices: Sequence[int], name: str | None = None) -> Dataset:
        """Return the rows at `indices`, in that order."""
        return Dataset(name or self.name, tuple(self.conversations[i] for i in indices))


def fingerprint(value: object) -> str:
    """Return the first 16 hex digits of the SHA-256 of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def user_and_assistant(user: str, assistant: str, line: int = 0) -> Conversation:
    """Build the most common row: one question, one answer."""
    return Conversation((Message("user", user), Message("assistant", assistant)), line)
