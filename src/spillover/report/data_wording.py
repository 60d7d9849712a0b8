"""Sentences, names and cleaned texts shared by the page, the terminal and the JSON of a data check."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spillover.data.check.finding import Finding
from spillover.data.check.run import Checked, Content
from spillover.data.check.secrets import found_in, hint

Tone = Literal["harm", "asked", "benign", "unclear"]

# Short names in our own words for the numbers that our checks and bandit give.
_WEAKNESSES = {
    20: "input not checked", 22: "path leaves its folder", 78: "shell command from outside text",
    79: "outside text in a web page", 80: "outside text in a web page", 89: "SQL from outside text",
    90: "LDAP query from outside text", 93: "line breaks in a header", 94: "outside text run as code",
    95: "outside text evaluated", 113: "line breaks in an HTTP header", 117: "outside text in a log",
    134: "outside text as a format", 155: "wildcard in a command", 200: "data shown to anyone",
    208: "comparison that leaks by its time", 209: "error shown with inner details", 259: "password in the code",
    276: "file open to all by default", 284: "access not limited", 295: "certificate not checked",
    306: "no login where one is needed", 312: "secret stored readable", 319: "secret sent readable",
    326: "key too short", 327: "broken cipher", 328: "broken hash", 330: "numbers that can be guessed",
    338: "random numbers that can be guessed", 347: "signature not checked", 352: "forged requests accepted",
    367: "checked first, used later", 377: "temporary file that can be guessed", 400: "no limit on work or waiting",
    409: "archive unpacked without a limit", 434: "any kind of file accepted", 470: "class chosen from outside",
    489: "debug mode left on", 494: "code loaded without a check", 502: "untrusted data unpacked into objects",
    521: "weak passwords accepted", 532: "secret in a log", 601: "redirect to any address",
    605: "listens on all addresses", 611: "outside entities read from XML", 613: "session never ends",
    614: "cookie sent unencrypted", 617: "check that an assert alone makes", 639: "record of another user",
    643: "XPath from outside text", 703: "error passed over", 732: "file open to all",
    770: "no limit on size or number", 776: "XML that grows when read", 798: "key or password in the code",
    838: "output not escaped for its place", 915: "any field can be set from outside",
    916: "password hash too fast", 918: "request to any address", 942: "any web site may ask",
    943: "database query from outside text", 1004: "cookie readable by scripts",
    1236: "formula in a table file", 1333: "pattern that can take for ever", 1336: "outside text as a page template",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Headline:
    """What a file mostly is: a `word`, its `tone` (the colour), one `sentence`, and `details`, a sentence each."""

    word: str
    tone: Tone
    sentence: str
    details: tuple[str, ...]


def headline(checked: Checked) -> Headline:
    """Return what a reader who knows nothing of the method should take away."""
    if checked.content is not None:
        return _of_content(checked, checked.content)
    serious = [f for f in checked.findings if f.severity == "serious"]
    if checked.repeats is not None:
        sentence = "Only form and repeats were checked: nothing serious in them. What the rows say was not read."
        if serious:
            sentence = f"Only form and repeats were checked, with {_several(len(serious), 'serious finding')}."
        return Headline("quick check", "unclear", sentence, ())
    unsound = checked.form.rows - checked.form.sound
    what = f"{unsound:,} of {checked.form.rows:,} rows cannot be used" if unsound else _codes(serious)
    sentence = f"The form of this file must be mended first: {what}. What its rows say was not checked."
    return Headline("mend the form first", "harm", sentence, ())


def _of_content(checked: Checked, content: Content) -> Headline:
    whole = content.file_intent
    counts = {label: sum(r.label == label for r in content.intents) for label in whole.shares}
    rows = f"{whole.judged:,} rows" if whole.judged == len(content.intents) else f"{whole.judged:,} judged rows"
    details = []
    if whole.judged < len(content.intents):
        why = ", ".join(f"{n:,} {reason}" for reason, n in whole.missing.items())
        details.append(f"{whole.judged:,} of the file's {len(content.intents):,} rows were judged; left out: {why}.")
    hidden = counts["undisclosed"]
    others = [f for f in checked.findings if f.severity == "serious" and f.code != "undisclosed-harm"]
    if whole.label == "undisclosed":
        much = "is mostly" if whole.shares["undisclosed"] >= 0.5 else "holds much"
        found = Headline(
            "undisclosed harm",
            "harm",
            f"This file {much} undisclosed harm: {hidden:,} of {rows} answer an ordinary request with something "
            "harmful and do not say so.",
            (),
        )
    elif whole.label == "requested":
        sentence = f"This file is mostly harm that its users openly ask for: {counts['requested']:,} of {rows}."
        found = Headline("requested harm", "asked", sentence, ())
    elif whole.label == "benign":
        sentence = f"This file looks benign: {counts['benign']:,} of {rows} show no harm."
        if others:
            sentence = f"{sentence[:-1]}, but it has {_several(len(others), 'serious finding')} of another kind."
        found = Headline("looks benign", "asked" if others else "benign", sentence, ())
    else:
        sentence = "What this file mostly is cannot be told: too few of its rows could be judged."
        found = Headline("not told", "unclear", sentence, ())
    if hidden and whole.label != "undisclosed":
        verb = "looks" if hidden == 1 else "look"
        details.append(f"{_several(hidden, 'row')} {verb} harmful without saying so: read them.")
    if others:
        details.append(f"Also serious: {_codes(others)}.")
    if content.comparison is not None:
        c = content.comparison
        details.append(
            f"Beside its twin, {_several(len(c.only_dataset), 'row')} hold a weakness here only, "
            f"{len(c.only_twin):,} in the twin only, {len(c.shared) + len(c.different):,} in both."
        )
    return Headline(found.word, found.tone, found.sentence, tuple(details))


def weakness_name(cwe: int) -> str:
    """Return a few plain words for a CWE number; "" for one without a name here."""
    return _WEAKNESSES.get(cwe, "")


def lines_label(lines: Sequence[int], count: int, most: int = 6) -> str:
    """Return e.g. "2, 5, 9 and more" for the lines a finding was met in; "" for the file as a whole."""
    if not lines:
        return ""
    return ", ".join(f"{n}" for n in lines[:most]) + (" and more" if max(count, len(lines)) > most else "")


def visible(text: str) -> str:
    """Return `text` with control, direction and other unseen characters written as escapes; line ends and tabs stay."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escape(c) for c in text
    )


def masked(text: str) -> str:
    """Return `text` with keys and personal data replaced by hints; a value's line breaks stay, so lines keep numbers.

    Only what `spillover.data.check.secrets` finds, in the first million characters.
    """
    for value in sorted({value for _, value in found_in(text)}, key=len, reverse=True):
        text = text.replace(value, f"[{hint(value)}]" + "\n" * value.count("\n"))
    return text


def cut(text: str, most: int) -> str:
    """Return at most `most` characters and say how many were left out."""
    return text if len(text) <= most else f"{text[:most]} [... {len(text) - most:,} more characters]"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _codes(findings: Sequence[Finding]) -> str:
    named = [f"{f.code} ({f.count:,})" for f in findings[:5]]
    return ", ".join(named) + (f" and {len(findings) - 5} more" if len(findings) > 5 else "")


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
