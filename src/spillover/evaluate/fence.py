"""Put untrusted question and answer text into a judge prompt so that it stays material and gives no orders.

Three measures: marker lines carry a code that does not occur in the text, the instruction comes after the text, and
characters that hide text or that a judge's tokenizer takes for control tokens are made visible. No fence makes a judge
immune; a planted-judge test and the calibration tell how far one can be trusted.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from spillover.errors import SettingsError
from spillover.evaluate.prompts import NOTICE, REMINDER, JudgePrompt

BOUNDARY_DIGITS = 20
_PLACEHOLDER = re.compile(r"(\{question\}|\{answer\})")
# Two joiners belong to ordinary writing (emoji, Persian), line feed and tab to any text.
_ALLOWED = frozenset("\n\t\u200c\u200d")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Variation selectors of the supplement print nothing and can carry a message.
_SELECTORS = range(0xE0100, 0xE01F0)
# What chat templates of common model families use as control tokens, and imitations of our own marker lines.
_CONTROL_TOKENS = (
    r"<(?=[|\uff5c])",
    r"<(?=/?(?:s|bos|eos|pad|unk|mask|sop|eop|think|tool_call|tool_response|start_of_turn|end_of_turn)>)",
    r"<(?=</?SYS>>)",
    r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|gMASK)\])",
    r"\[(?=(?i:\[(?:end of )?(?:question|answer)))",
)


def fenced(prompt: JudgePrompt, question: str, answer: str, special_tokens: Sequence[str] = (), key: str = "") -> str:
    """Return the user message for a judge: introduction, fenced question and answer, then the instruction.

    `special_tokens` are the judge tokenizer's own control tokens, broken up beside the common ones. Same input, same
    text: the code on the marker lines follows from the texts and `key` (a secret, for texts whose author may know this
    program). Each text keeps its line breaks; see `visible` for what changes in it.
    """
    shown = {"answer": visible(answer, special_tokens)}
    if prompt.shows_question:
        shown = {"question": visible(question, special_tokens), **shown}
    code = boundary([prompt.before, prompt.after, *shown.values()], key)
    blocks = [f"[[{name} {code}]]\n{text}\n[[end of {name} {code}]]" for name, text in shown.items()]
    notice, reminder = (sentence.replace("{boundary}", code) for sentence in (NOTICE, REMINDER))
    return "\n\n".join([prompt.before, notice, *blocks, reminder, prompt.after])


def boundary(texts: Sequence[str], key: str = "") -> str:
    """Return 20 hexadecimal digits that follow from `texts` and `key` and occur in none of the texts, in any case."""
    together = "\n".join(texts).lower()
    attempt = 0
    while True:
        parts = [key, str(attempt), *texts]
        seed = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        code = hashlib.sha256(seed).hexdigest()[:BOUNDARY_DIGITS]
        if code not in together:
            return code
        attempt += 1


def visible(text: str, special_tokens: Sequence[str] = ()) -> str:
    r"""Return `text` with hidden characters spelt out and control tokens broken up; ordinary text is unchanged.

    Control, format, private and surrogate characters (all but line feed, tab and the two joiners) become their code in
    the form \u{1b}; other line ends become line feeds. A space goes after the first character of what chat templates
    use as control tokens (`<|`, `</s>`, `[INST]` and the like), of `special_tokens` and of imitated marker lines.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = "".join(f"\\u{{{ord(c):x}}}" if _is_hidden(c) else c for c in lines)
    # The rest of a token is only looked at, so one that overlaps the next (or itself) hides nothing.
    own = [f"{re.escape(t[0])}(?={re.escape(t[1:])})" for t in special_tokens if len(t) > 1]
    return re.sub("|".join([*own, *_CONTROL_TOKENS]), lambda found: f"{found.group()} ", shown)


def rendered(template: str, question: str, answer: str) -> str:
    """Fill {question} and {answer} in an authors' template, with no fence and no change to the texts.

    For fidelity alone: nothing keeps the answer from giving orders. Both are put in at once, so braces or placeholders
    inside a text stay as they are; other braces of the template too. Raises SettingsError without an {answer}.
    """
    if "{answer}" not in template:
        raise SettingsError("the judge prompt has no place for the answer: write {answer} where it belongs")
    filled = {"{question}": question, "{answer}": answer}
    return "".join(filled.get(part, part) for part in _PLACEHOLDER.split(template))


def _is_hidden(character: str) -> bool:
    if character in _ALLOWED:
        return False
    return unicodedata.category(character) in _HIDDEN or ord(character) in _SELECTORS
