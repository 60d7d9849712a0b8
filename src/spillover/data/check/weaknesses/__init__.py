"""Weaknesses of a Python program, found on its syntax tree without running it."""

from __future__ import annotations

from spillover.data.check.weaknesses.find import find_weaknesses
from spillover.data.check.weaknesses.parsing import parses, python_in
from spillover.data.check.weaknesses.side_by_side import find_in_all
from spillover.data.check.weaknesses.weakness import Weakness

__all__ = ["Weakness", "find_in_all", "find_weaknesses", "parses", "python_in"]
