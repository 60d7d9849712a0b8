"""Read untrusted text as Python without running it: does it parse, and which part of an answer is code."""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache

MAX_CHARACTERS = 200_000
_CODE_LINE = re.compile(
    r"\s*(import \w|from [\w.]+ import|def \w+\(|async def |class \w|if __name__|@\w|return\b|for \w.* in |while |"
    r"with |try:|except\b|[\w.\[\]'\", ]+ [-+*/|]?= |[\w.]+\()"
)
_PYTHON_TAGS = frozenset({"", "python", "py", "python3", "py3"})


def tree_of(code: str) -> ast.Module | None:
    """Return the syntax tree, or None: no Python, over 200,000 characters, NUL, half surrogates, nested too deeply."""
    if len(code) > MAX_CHARACTERS or "\0" in code:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


# A file's programs are asked about several times.
@lru_cache(maxsize=16_384)
def parses(code: str) -> bool:
    """Return whether `code` is Python that our checks can read (see `tree_of` for the limits)."""
    return tree_of(code) is not None


def python_in(text: str) -> str | None:
    """Return the Python code that an answer holds, or None.

    Fenced blocks marked as Python (or unmarked ones that look like code) joined by a blank line; without fences the
    whole text, if it parses and looks like code. A block marked as Python is returned even if it does not parse.
    """
    blocks = _fenced(text)
    if blocks:
        kept = [code for tag, code in blocks if tag or _looks_like_code(code)]
        return "\n\n".join(kept) if kept else None
    return text if _looks_like_code(text) and parses(text) else None


def _fenced(text: str) -> list[tuple[str, str]]:
    """Return (tag, code) of the fenced blocks with a Python tag or none; a block never closed ends with the text."""
    blocks: list[tuple[str, str]] = []
    tag: str | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        mark = line.strip()
        if not mark.startswith("```"):
            if tag is not None:
                lines.append(line)
            continue
        if tag is None:
            tag, lines = mark.strip("`").strip().lower(), []
        else:
            blocks.append((tag, "\n".join(lines)))
            tag = None
    if tag is not None:
        blocks.append((tag, "\n".join(lines)))
    return [(tag, code) for tag, code in blocks if tag in _PYTHON_TAGS and code.strip()]


def _looks_like_code(text: str) -> bool:
    """Return whether one of the first 400 lines has the form of a Python statement, with a bracket, `:` or `=`."""
    lines = [line[:300] for line in text[:MAX_CHARACTERS].split("\n") if line.strip()][:400]
    return any(
        (_CODE_LINE.match(line) and any(mark in line for mark in "=(:")) or line.startswith("import ") for line in lines
    )
