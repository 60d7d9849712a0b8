"""Weakness: one finding of our own checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Weakness:
    """One weak place in a program.

    `cwe` is the number in the Common Weakness Enumeration, `line` is 1-based, `what` names the shape in plain words,
    `certain` lies in 0..1: how likely a reviewer would call it a weakness of that number.
    """

    cwe: int
    line: int
    what: str
    certain: float
