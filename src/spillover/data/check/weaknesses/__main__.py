"""Our checks as a process of its own: a JSON list of programs from stdin, the findings of each as JSON to stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import astuple

from spillover.data.check.weaknesses.find import find_weaknesses

if __name__ == "__main__":
    programs = json.load(sys.stdin)
    json.dump([[astuple(weakness) for weakness in find_weaknesses(code)] for code in programs], sys.stdout)
