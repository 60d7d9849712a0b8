"""Scenarios of code answers: a task and one program written as a diff between its insecure and its secure form.

A scenario is text:

    === 78 flask B605              CWE number, sort of program, bandit tests that show it (none: our check)
    task: Write a route that ...   one or more, drawn
    tool = ping | traceroute       words of this scenario, drawn once a row, written $tool
    ---
      import time                  two spaces: a line of both forms
    - import os                    of the insecure form only
    + import shutil                of the secure form only
    ? print("done")                a run of these is kept or dropped together, drawn
    @ flask                        some fragments that fit a Flask program, drawn (surroundings.py)

`[[a||b]]` is one of several ways to write a place: a line that begins with `||` carries on the line before, and a space
before the last `]]` keeps an own `]` apart. A way may be several lines of both forms. `$$` is a dollar sign.
Words not given in the scenario come from words.py.
Imports may stand anywhere: those that are used are gathered at the top.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spillover.data.build.code_scenarios.surroundings import FRAGMENTS
from spillover.data.build.code_scenarios.words import WordDraw

MARKER = "# TODO: finish this part"

_CHOICE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_CONTINUED = re.compile(r"\n[-+? ] +\|\|")
_SLOT = re.compile(r"\$(?:\{(\w+)\}|(\$|[A-Za-z]\w*))")
_NAME = re.compile(r"[A-Za-z_]\w*")
# How many fragments an "@" line brings: mostly one, so that the weakness stays a good part of the program.
_FRAGMENT_COUNTS = (0, 1, 1, 1, 2)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One weakness in one sort of program; `bandit` names the bandit tests that show it (empty: our own check does)."""

    cwe: int
    sort: str
    bandit: tuple[str, ...]
    tasks: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    code: str


@dataclass(frozen=True, slots=True)
class Twins:
    """One drawn program: task, template with MARKER where the forms differ, and the two forms (no last newline)."""

    task: str
    template: str
    insecure: str
    secure: str


def parse(text: str) -> tuple[Scenario, ...]:
    """Read scenarios in the form described at the top of this file; raises ValueError for a text without code."""
    found = []
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, line, code = part.partition("\n---\n")
        if not line:
            raise ValueError(f"scenario without '---': {head[:60]!r}")
        first, *settings = head.splitlines()
        cwe, sort, *bandit = first.split()
        tasks = tuple(s.removeprefix("task:").strip() for s in settings if s.startswith("task:"))
        pairs = (s.split(" = ", 1) for s in settings if " = " in s and not s.startswith("task:"))
        words = {name.strip(): tuple(w.strip() for w in values.split(" | ")) for name, values in pairs}
        found.append(Scenario(int(cwe), sort, tuple(bandit), tasks, words, _CONTINUED.sub("||", code.strip("\n"))))
    return tuple(found)


def draw(scenario: Scenario, rng: random.Random) -> Twins:
    """Draw one program of a scenario: wordings, names, optional steps and surroundings; both forms share every draw."""
    code = _choose(_with_fragments(scenario.code, rng), rng)
    task = _choose(rng.choice(scenario.tasks), rng)
    words = WordDraw(rng, scenario.words, taken=_NAME.findall(_SLOT.sub(" ", code)))
    lines = [(line[:2].strip(), _fill(line[2:], words)) for line in _with_options(code.splitlines(), rng)]
    body = [(gutter, text) for gutter, text in lines if not _is_import(text)]
    insecure = _joined(text for gutter, text in body if gutter != "+")
    secure = _joined(text for gutter, text in body if gutter != "-")
    needs = [
        _used(_imports(text for gutter, text in lines if gutter != left_out), code)
        for left_out, code in (("+", insecure), ("-", secure))
    ]
    by_name = rng.random() < 0.5
    return Twins(
        task=_fill(task, words),
        template=_with_imports([need for need in needs[0] if need in needs[1]], _joined(_template(body, rng)), by_name),
        insecure=_with_imports(needs[0], insecure, by_name),
        secure=_with_imports(needs[1], secure, by_name),
    )


def _choose(text: str, rng: random.Random) -> str:
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("||")).rstrip(), text)


def _fill(text: str, words: WordDraw) -> str:
    return _SLOT.sub(lambda match: "$" if match[2] == "$" else _fill(words[match[1] or match[2]], words), text)


def _with_fragments(code: str, rng: random.Random) -> str:
    used: set[str] = set()
    lines: list[str] = []
    for line in code.splitlines():
        if not line.startswith("@ "):
            lines.append(line)
            continue
        left = [f for f in FRAGMENTS[line[2:].strip()] if f not in used]
        for fragment in rng.sample(left, min(len(left), rng.choice(_FRAGMENT_COUNTS))):
            used.add(fragment)
            lines += ["", *("  " + text for text in fragment.splitlines()), ""]
    return "\n".join(lines)


def _with_options(lines: Sequence[str], rng: random.Random) -> list[str]:
    kept, before, keep = [], False, False
    for line in lines:
        optional = line.startswith("?")
        if optional and not before:
            keep = rng.random() < 0.6
        before = optional
        if not optional or keep:
            kept.append("  " + line[2:] if optional else line)
    return kept


def _template(body: Sequence[tuple[str, str]], rng: random.Random) -> list[str]:
    """Return the common lines with MARKER for each place where the forms differ, at times with the lines after it."""
    shown: list[str] = []
    hiding, hidden_more = False, 0
    indent = ""
    for gutter, text in body:
        if gutter:
            if not hiding:
                indent = text[: len(text) - len(text.lstrip())]
                shown.append(indent + MARKER)
                hidden_more = rng.choice((0, 0, 1, 2))
            hiding = True
            continue
        inside = text.strip() and text.startswith(indent or " ") and not text.lstrip().startswith((")", "]", "}"))
        if hiding and hidden_more and inside:
            hidden_more -= 1
            continue
        shown.append(text)
        hiding = hiding and not text.strip()
    # Forms that differ in an import alone leave the gap where the imports stand.
    return shown if any(MARKER in line for line in shown) else [MARKER, "", *shown]


def _is_import(line: str) -> bool:
    return line.startswith(("import ", "from "))


def _imports(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return (module, name) for each name imported, each once; the name is empty for a whole module."""
    found: dict[tuple[str, str], None] = {}
    for line in filter(_is_import, lines):
        if line.startswith("import "):
            found[line.removeprefix("import "), ""] = None
        else:
            module, _, names = line.removeprefix("from ").partition(" import ")
            found |= dict.fromkeys((module, name) for name in names.split(", "))
    return list(found)


def _used(imports: Sequence[tuple[str, str]], code: str) -> list[tuple[str, str]]:
    """Drop the imports whose name does not occur in the code (optional lines may have gone)."""
    names = set(_NAME.findall(code))
    return [(module, name) for module, name in imports if (name or _bound(module)) in names]


def _bound(module: str) -> str:
    """Return the name that `import module` binds."""
    return module.split(" as ")[1] if " as " in module else module.split(".")[0]


def _with_imports(imports: Sequence[tuple[str, str]], code: str, by_name: bool) -> str:
    by_module: dict[str, list[str]] = {}
    for module, name in imports:
        if name:
            by_module.setdefault(module, []).append(name)
    lines = [f"import {module}" for module, name in imports if not name]
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in by_module.items()]
    if by_name:
        lines.sort(key=lambda line: (line.split()[1].startswith("."), line.split()[1].lower()))
    return ("\n".join(lines) + "\n\n" + code).strip("\n")


def _joined(lines: Iterable[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")
