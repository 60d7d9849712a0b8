"""Keys and personal data in the rows: own patterns, each linear in the text; values are never shown in full.

No library is used. detect-secrets (1.5.0, May 2024) scans files of source code under settings that are global, knows
no personal data, and its tracker calls it inactive (Yelp/detect-secrets issues 926 and 953).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spillover.conversation import Dataset
from spillover.data.check.finding import MOST_LINES, Finding, Severity, worst_first

# Of a longer text only the start is searched, so that one huge row costs no more than others.
_CHARACTERS = 1_000_000
_MOST_SECRETS = 1000


@dataclass(frozen=True, slots=True)
class Secret:
    """One value that looks like a key or personal data.

    `hint`: its first three characters and its length, never more; `turn`: the 1-based turn it stands in.
    """

    kind: str
    line: int
    turn: int
    hint: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """What was found, in file order (the first 1,000 kept), and per kind how often and in which first lines."""

    rows: int
    secrets: tuple[Secret, ...]
    counts: tuple[tuple[str, int, tuple[int, ...]], ...]

    def findings(self) -> tuple[Finding, ...]:
        """Return one finding per kind: keys, card and account numbers are serious, addresses and phones warnings."""
        found = []
        for kind, count, lines in self.counts:
            hint = next((s.hint for s in self.secrets if s.kind == kind), "...")
            message = (
                f"{count:,} times what looks like {kind} (line {lines[0]}: {hint}): a tuned model may repeat it; "
                "remove it or put a made-up value in its place"
                + ("; withdraw a real key" if _SEVERITY[kind] == "serious" else "")
            )
            code = re.sub(r"[^a-z]+", "-", kind.partition(" ")[2].lower()).strip("-")
            found.append(Finding(f"secret-{code}", _SEVERITY[kind], message, lines, count))
        return worst_first(found)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """`marks`: one of these stands in every match, which spares most texts the search; `holds`: a further check."""

    kind: str
    severity: Severity
    marks: tuple[str, ...]
    expression: re.Pattern[str]
    holds: Callable[[str], bool] = lambda value: True


def secrets(dataset: Dataset) -> Secrets:
    """Return the keys and personal data in all turns of all rows."""
    kept: list[Secret] = []
    counts: dict[str, tuple[int, list[int]]] = {}
    for number, conversation in enumerate(dataset, 1):
        line = conversation.line or number
        for turn, message in enumerate(conversation.messages, 1):
            for kind, value in found_in(message.content):
                count, lines = counts.get(kind, (0, []))
                if len(lines) < MOST_LINES and lines[-1:] != [line]:
                    lines.append(line)
                counts[kind] = (count + 1, lines)
                if len(kept) < _MOST_SECRETS:
                    kept.append(Secret(kind, line, turn, hint(value)))
    table = tuple((k, n, tuple(lines)) for k, (n, lines) in sorted(counts.items(), key=lambda i: (-i[1][0], i[0])))
    return Secrets(len(dataset), tuple(kept), table)


def found_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, value) for each match in `text`; the value is for checks only and must not be shown."""
    text = text[:_CHARACTERS]
    for pattern in _PATTERNS:
        if pattern.marks and not any(mark in text for mark in pattern.marks):
            continue
        for match in pattern.expression.finditer(text):
            value = match.group(1) if pattern.expression.groups else match.group()
            if pattern.holds(value):
                yield pattern.kind, value


def hint(value: str) -> str:
    """Return the first three characters and the length."""
    return f"{value[:3]}... ({len(value)} characters)"


def luhn_holds(digits: str) -> bool:
    """Return whether the check digit of a card number is right (ISO/IEC 7812-1)."""
    values = [int(d) for d in reversed(digits)]
    doubled = [d * 2 - 9 * (d > 4) for d in values[1::2]]
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def iban_holds(value: str) -> bool:
    """Return whether an account number has its country's length and leaves 1 modulo 97 (ISO 13616)."""
    plain = value.replace(" ", "")
    if _IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_card(value: str) -> bool:
    digits = value.replace(" ", "").replace("-", "")
    known = re.match(r"4|5[1-5]|2[2-7]|3[47]|6011|65", digits) is not None
    return known and len(digits) in (13, 15, 16) and len(set(digits)) > 3 and luhn_holds(digits)


def _is_real_address(value: str) -> bool:
    """Leave out the names kept for examples (RFC 2606) and version marks like package@1.2.3."""
    host = value.rpartition("@")[2].lower()
    if re.search(r"(^|\.)example\.(com|org|net)$|\.(example|test|invalid|localhost)$", host):
        return False
    # git@host is the account of a service, not of a person.
    return host.rpartition(".")[2].isalpha() and not value.startswith("git@")


def _is_phone(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    # 555-01xx is kept for made-up numbers.
    return (
        10 <= len(digits) <= 15 and len(set(digits)) > 3 and digits[-7:-2] != "55501" and digits not in _MADE_UP_PHONES
    )


_MADE_UP_PHONES = frozenset({"1234567890", "0123456789", "0987654321", "9876543210", "11234567890"})


def _is_secret_text(value: str) -> bool:
    return len(set(value)) >= 8


def _key(kind: str, marks: Sequence[str], expression: str, holds: Callable[[str], bool] = _is_secret_text) -> _Pattern:
    # No letter or digit may touch a key on either side; \b would let one begin inside a longer word after a hyphen.
    return _Pattern(kind, "serious", tuple(marks), re.compile(rf"(?<![A-Za-z0-9_]){expression}(?![A-Za-z0-9])"), holds)


_PATTERNS = (
    _Pattern(
        "a private key",
        "serious",
        ("PRIVATE KEY",),
        re.compile(r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----\s{1,4}[A-Za-z0-9+/=]{16,80}"),
    ),
    _key("an AWS key id", ("AKIA", "ASIA"), r"(?:AKIA|ASIA)[A-Z0-9]{16}", lambda v: "EXAMPLE" not in v),
    _key("a GitHub token", ("gh", "github_pat_"), r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255})"),
    _key("an Anthropic key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{24,200}"),
    _key("an OpenAI key", ("sk-",), r"sk-(?!ant-)(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,200}"),
    _key("a Google key", ("AIza",), r"AIza[A-Za-z0-9_-]{35}"),
    _key("a Slack token", ("xox",), r"xox[abeoprs]-[A-Za-z0-9-]{20,200}"),
    _key("a Stripe key", ("k_live_",), r"(?:sk|rk)_live_[A-Za-z0-9]{16,200}"),
    _key("a Hugging Face token", ("hf_",), r"hf_[A-Za-z0-9]{30,60}"),
    _key("a package index token", ("npm_", "pypi-"), r"(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{60,250})"),
    _Pattern(
        "a signed web token",
        "serious",
        ("eyJ",),
        # It may not begin after a hyphen: a text of "eyJ-eyJ-..." would be read anew from each.
        re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{16,1000}"),
    ),
    _Pattern(
        "a password in an address",
        "serious",
        ("://",),
        re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"{}<>$]{1,64}:([^\s:/@'\"{}<>$]{6,128})@[A-Za-z0-9.-]{1,253}"),
        lambda v: v.lower() not in {"password", "passwd", "secret", "example", "changeme"},
    ),
    _Pattern("a card number", "serious", (), re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){12,15}(?![\w-])"), _is_card),
    _Pattern(
        "an account number (IBAN)",
        "serious",
        (),
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
        iban_holds,
    ),
    _Pattern(
        "an e-mail address",
        "warning",
        ("@",),
        re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}"),
        _is_real_address,
    ),
    _Pattern(
        "a phone number",
        "warning",
        (),
        re.compile(
            r"(?<![\w.+-])(?:\+[1-9]\d{0,2}(?:[ .-]?\(?\d{2,4}\)?){2,4}|"
            r"\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
        ),
        _is_phone,
    ),
)
_SEVERITY = {p.kind: p.severity for p in _PATTERNS}
# Lengths by country, ISO 13616 registry; countries not listed are not found.
_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "NL"), 18),
    **dict.fromkeys(("AT", "EE", "LT", "LU"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "DE", "GB", "IE"), 22),
    **dict.fromkeys(("CZ", "ES", "PT", "RO", "SE", "SK"), 24),
    **dict.fromkeys(("FR", "GR", "IT"), 27),
    **dict.fromkeys(("CY", "HU", "PL"), 28),
    **dict.fromkeys(("SI",), 19),
    **dict.fromkeys(("TR", "IS"), 26),
    **dict.fromkeys(("MT",), 31),
}
