"""What a chat template puts around and between the turns, seen by rendering marked turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spillover.conversation import Message
from spillover.data.check.finding import Finding

_USER, _SYSTEM = "USER-TEXT-7f3a", "SYSTEM-TEXT-7f3a"
_DATE = re.compile(r"\b20\d\d\b")


@dataclass(frozen=True, slots=True)
class Inserted:
    """Text around one user turn: `before` and `after` it, up to where the assistant starts to speak.

    `system`: the system text that the template inserts where the row has none ("": none); `takes_system`: whether a
    row's own system turn reaches the model; `keeps_text`: False where the template changes the user's text.
    """

    before: str
    after: str
    system: str
    takes_system: bool
    keeps_text: bool

    def findings(self) -> tuple[Finding, ...]:
        """Return notes and warnings with what to do."""
        found = []
        if self.system:
            message = (
                f"the model's template inserts a system text of its own: {self.system[:200]!r}; use the same template "
                "when the tuned model is asked, or write a system turn into the rows"
            )
            found.append(Finding("inserted-system", "note", message))
        if not self.takes_system:
            message = "the model's template refuses or drops system turns: move their text into the first user turn"
            found.append(Finding("system-not-taken", "warning", message))
        if not self.keeps_text:
            found.append(
                Finding("text-changed", "warning", "the model's template changes the user's text: use another")
            )
        if _DATE.search(self.before):
            message = "the model's template seems to insert a date: fix it, or training and asking differ by day"
            found.append(Finding("inserted-date", "note", message))
        return tuple(found)


def inserted(render: Callable[[Sequence[Message]], str]) -> Inserted:
    """Return what `render` (turns to the text up to where the assistant speaks) adds to one user turn.

    A template that raises jinja2's TemplateError on a system turn counts as not taking it.
    """
    from jinja2 import TemplateError

    before, found, after = render([Message("user", _USER)]).partition(_USER)
    try:
        with_system = render([Message("system", _SYSTEM), Message("user", _USER)])
    except TemplateError:
        with_system = ""
    start, takes, rest = with_system.partition(_SYSTEM)
    between = rest.partition(_USER)[0]
    system = ""
    if found and takes and before.startswith(start) and before.endswith(between):
        system = before[len(start) : len(before) - len(between)].strip()
    return Inserted(before, after, system, bool(takes), bool(found))
