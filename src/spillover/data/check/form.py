"""The form of a fine-tuning file: what is wrong where, how long the rows are, what a service would refuse or charge.

`spillover.data.load.load` stops at the first problem; this goes on, reports each with its line, and streams.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spillover.conversation import Message
from spillover.data.check.finding import Finding, FindingCollector, Severity, worst_first
from spillover.data.check.reading import lines
from spillover.data.check.rows import listed, parsed, turns_of
from spillover.errors import DataError, SpilloverError
from spillover.open_rows import regular_file, shown

CountTokens = Callable[[Sequence[Message]], int]

_ID_KEYS = ("id", "custom_id", "uuid")
# About 90 bytes each; of a larger file only the first ids are compared, and a note says so.
_MOST_IDS = 5_000_000
_MOST_SYSTEMS = 10_000
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_TURN = 4


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What a fine-tuning service accepts: `rows` at least, unpacked `bytes` and `tokens` of a row at most.

    The defaults are OpenAI's, read on 25 November 2026 under developers.openai.com/api/docs: 10 examples (guide
    "Supervised fine-tuning"); 65,536 tokens for gpt-4.1, its mini and nano, gpt-4o and gpt-4o-mini, longer rows being
    cut at their end ("Fine-tuning best practices"); 512 MB a file (API reference, files; whether a MB is 10^6 or 2^20
    bytes is not said, so the smaller is taken). gpt-3.5-turbo, no longer listed there, took 16,385 tokens (Azure's
    table of models). No price is kept here: they change, and new jobs end on 6 January 2027 ("Deprecations").
    """

    name: str = "OpenAI"
    rows: int = 10
    bytes: int = 512_000_000
    tokens: int = 65_536


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens per sound row; `estimated`: counted as characters / 4 + 4 a turn instead of by a tokenizer."""

    rows: int
    total: int
    mean: float
    median: float
    p95: float
    longest: int
    longest_line: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of training: `tokens` trained on in all epochs, `amount` in the currency of the price given."""

    tokens: int
    epochs: int
    per_million: float
    amount: float


@dataclass(frozen=True, slots=True)
class Form:
    """What a file's form is.

    `rows`: lines that hold anything; `sound`: those whose turns have no serious problem; `bytes`: size on disk;
    `shapes`: role orders by rows ("user assistant": 6000), most frequent first; `with_system`: sound rows with a
    system turn; `systems`: different system texts (counted up to 10,000); `lengths`: None where no row is sound;
    `cost`: None without a price.
    """

    file: str
    rows: int
    sound: int
    bytes: int
    shapes: tuple[tuple[str, int], ...]
    with_system: int
    systems: int
    lengths: Lengths | None
    cost: Cost | None
    findings: tuple[Finding, ...]


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Return a rough token count of a conversation: a token per four characters and four per turn."""
    return sum(math.ceil(len(m.content) / _CHARACTERS_PER_TOKEN) + _TOKENS_PER_TURN for m in messages)


def check_form(
    path: str | Path,
    count_tokens: CountTokens | None = None,
    limits: ApiLimits | None = None,
    price_per_million: float | None = None,
    epochs: int = 1,
) -> Form:
    """Read the file at `path` (JSONL, plain or .gz) to its end and report its form, in memory that no text fills.

    `count_tokens`: tokens of a conversation under the model's template (None: an estimate); `price_per_million`:
    price of a million training tokens. Raises DataError where the file cannot be read at all or holds no line.
    """
    file = regular_file(path)
    seen = _Seen(file, count_tokens or estimated_tokens, limits or ApiLimits())
    for line, text in lines(file, seen.problems):
        seen.take(line, text)
    found = seen.problems.findings()
    if not seen.rows and all(f.code == "blank-line" for f in found):
        raise DataError(f"{shown(file)} holds no rows: write one JSON object with 'messages' on each line")
    size = file.stat().st_size
    lengths = _lengths(seen.lengths, seen.line_numbers, count_tokens is None)
    total = (lengths.total if lengths else 0) * epochs
    return Form(
        shown(file),
        seen.rows,
        len(seen.lengths),
        size,
        tuple(seen.shapes.most_common()),
        seen.with_system,
        len(seen.systems),
        lengths,
        None if price_per_million is None else Cost(total, epochs, price_per_million, total / 1e6 * price_per_million),
        worst_first((*found, *_file_findings(seen, size))),
    )


class _Seen:
    """What was met so far: counts, lengths and hashes only, never texts."""

    def __init__(self, file: Path, count_tokens: CountTokens, limits: ApiLimits) -> None:
        self.problems = FindingCollector(shown(file))
        self.count_tokens = count_tokens
        self.limits = limits
        self.rows = 0
        self.bytes = 0
        self.with_system = 0
        self.keys: frozenset[str] | None = None
        self.ids: set[int] = set()
        self.systems: set[int] = set()
        self.shapes: Counter[str] = Counter()
        self.lengths: array[int] = array("Q")
        self.line_numbers: array[int] = array("Q")

    def take(self, line: int, text: str | None) -> None:
        """Check one line; None: it could not be read, which is reported already."""

        def report(code: str, severity: Severity, message: str) -> None:
            self.problems.add(code, severity, line, message)

        self.rows += 1
        # Asking whether a text is ASCII costs nothing, encoding all of them would.
        self.bytes += 0 if text is None else len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        record = None if text is None else parsed(text, report)
        if record is None:
            return
        self._compare_keys(frozenset(record), line)
        self._compare_ids(record, line)
        messages = turns_of(record, report)
        if messages is None:
            return
        try:
            tokens = self.count_tokens(messages)
        except SpilloverError as problem:
            self.problems.add("not-rendered", "serious", line, str(problem))
            return
        self.lengths.append(tokens)
        self.line_numbers.append(line)
        if tokens > self.limits.tokens:
            message = f"the row has {tokens:,} tokens, {self.limits.name} takes {self.limits.tokens:,}: shorten it"
            self.problems.add("row-too-long", "warning", line, message)
        # Sound rows have 13 such shapes at most.
        self.shapes[" ".join(m.role for m in messages[:12]) + (" ..." if len(messages) > 12 else "")] += 1
        if messages[0].role == "system":
            self.with_system += 1
            if len(self.systems) < _MOST_SYSTEMS:
                self.systems.add(_short_hash(messages[0].content))

    def _compare_keys(self, found: frozenset[str], line: int) -> None:
        if self.keys is None:
            self.keys = found
        elif found != self.keys:
            message = f"the row has keys {listed(found)} but the first row has {listed(self.keys)}: use the same in all"
            self.problems.add("mixed-keys", "serious", line, message)

    def _compare_ids(self, record: dict[str, Any], line: int) -> None:
        for key in _ID_KEYS:
            value = record.get(key)
            if not isinstance(value, str | int | float):
                continue
            if len(self.ids) >= _MOST_IDS:
                message = f"only the first {_MOST_IDS:,} ids were compared: split the file to compare all"
                self.problems.add("ids-not-compared", "note", line, message)
                return
            code = _short_hash(f"{key}:{type(value).__name__}:{json.dumps(value)}")
            if code in self.ids:
                message = f"the {key} {json.dumps(value)[:60]} is used before: give each row its own"
                self.problems.add("repeated-id", "warning", line, message)
            self.ids.add(code)


def _short_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _lengths(tokens: array[int], line_numbers: array[int], estimated: bool) -> Lengths | None:
    if not tokens:
        return None
    counts = np.frombuffer(tokens, np.uint64).astype(np.int64)
    top = int(counts.argmax())
    median, p95 = np.quantile(counts, [0.5, 0.95])
    return Lengths(
        counts.size,
        int(counts.sum()),
        float(counts.mean()),
        float(median),
        float(p95),
        int(counts[top]),
        line_numbers[top],
        estimated,
    )


def _file_findings(seen: _Seen, size: int) -> list[Finding]:
    limits, file, sound = seen.limits, seen.problems.file, len(seen.lengths)
    found = []
    if sound < limits.rows:
        message = f"{file}: {sound} sound rows, {limits.name} wants at least {limits.rows}: add rows"
        found.append(Finding("too-few-rows", "warning", message))
    # Services take plain JSONL, so of a packed file the unpacked size counts.
    unpacked = max(size, seen.bytes)
    if unpacked > limits.bytes:
        message = f"{file}: {unpacked / 1e6:,.0f} MB, {limits.name} takes {limits.bytes / 1e6:,.0f} MB: split the file"
        found.append(Finding("file-too-large", "warning", message))
    if 0 < seen.with_system < sound:
        message = (
            f"{file}: {seen.with_system:,} of {sound:,} rows have a system turn: give all rows one or none, unless the "
            "system turn is what decides the answer"
        )
        found.append(Finding("mixed-system", "warning", message, (), sound - seen.with_system))
    elif sound and not seen.with_system:
        message = (
            f"{file}: no row has a system turn: the service or template may insert its own; ask the tuned model "
            "with the same one"
        )
        found.append(Finding("no-system", "note", message))
    return found
