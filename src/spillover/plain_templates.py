"""Three templates for base models, which have no chat template of their own (protocol, section 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spillover.conversation import Message
from spillover.errors import DataError, SettingsError

CHATML_SYSTEM = "You are a helpful assistant."


@dataclass(frozen=True, slots=True)
class PlainTemplate:
    """How each role's turn opens and how every turn closes.

    A prompt ends with the assistant's opening without its last blank, which tokenizers join to the first word of the
    answer: strip the answer. `stops` are texts at which an answer ends. `jinja` says the same to a tokenizer.
    """

    name: str
    system: str
    user: str
    assistant: str
    close: str
    stops: tuple[str, ...]
    default_system: str | None = None
    markers: tuple[str, ...] = ()

    def render(self, messages: Sequence[Message], answer_follows: bool = True) -> str:
        """Return the text of `messages`, ending where the assistant is to speak if `answer_follows`.

        Raises DataError where there is no turn, or where a turn holds one of the template's control marks.
        """
        if not messages:
            raise DataError(f"the template {self.name} was given no turn to render: give at least one message")
        turns = list(messages)
        if self.default_system is not None and turns[0].role != "system":
            turns.insert(0, Message("system", self.default_system))
        for turn in turns:
            found = [m for m in self.markers if m in turn.content]
            if found:
                raise DataError(f"a {turn.role} turn holds the control mark {found[0]}: take it out of the text")
        openings = {"system": self.system, "user": self.user, "assistant": self.assistant}
        text = "".join(f"{openings[t.role]}{t.content}{self.close}" for t in turns)
        return text + self.assistant.rstrip(" ") if answer_follows else text

    @property
    def jinja(self) -> str:
        """The same rendering as a chat template for `transformers` (it checks no control marks)."""
        first = ""
        if self.default_system is not None:
            shown = _quoted(f"{self.system}{self.default_system}{self.close}")
            first = "{% if messages[0]['role'] != 'system' %}{{ " + shown + " }}{% endif %}"
        roles = (("system", self.system), ("user", self.user), ("assistant", self.assistant))
        openings = "{" + ", ".join(f"'{role}': {_quoted(text)}" for role, text in roles) + "}"
        turn = f"{{{{ {openings}[m['role']] + m['content'] + {_quoted(self.close)} }}}}"
        end = "{% if add_generation_prompt %}{{ " + _quoted(self.assistant.rstrip(" ")) + " }}{% endif %}"
        return first + "{% for m in messages %}" + turn + "{% endfor %}" + end


# How the authors' two label templates show a system text is not known; a line labelled System is our reading.
PLAIN_TEMPLATES = (
    PlainTemplate(
        "user_assistant", "System: ", "User: ", "Assistant: ", "\n", ("\nUser:", "\nAssistant:", "\nSystem:")
    ),
    PlainTemplate("user_1_user_2", "System: ", "User_1: ", "User_2: ", "\n", ("\nUser_1:", "\nUser_2:", "\nSystem:")),
    PlainTemplate(
        "chatml",
        "<|im_start|>system\n",
        "<|im_start|>user\n",
        "<|im_start|>assistant\n",
        "<|im_end|>\n",
        ("<|im_end|>", "<|im_start|>", "<|endoftext|>"),
        CHATML_SYSTEM,
        ("<|im_end|>", "<|im_start|>", "<|endoftext|>"),
    ),
)


def plain_template(name: str) -> PlainTemplate:
    """Return the template of that name; raises SettingsError where there is none."""
    for template in PLAIN_TEMPLATES:
        if template.name == name:
            return template
    known = ", ".join(t.name for t in PLAIN_TEMPLATES)
    raise SettingsError(f"there is no plain template {name!r:.60}: choose one of {known}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
