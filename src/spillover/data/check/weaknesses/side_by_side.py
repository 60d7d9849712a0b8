"""Our checks on many programs: in two processes, as bandit runs, once there are enough programs to pay for it.

The processes are plain ones and not of `multiprocessing`, which would run a caller's script again where that has no
`__main__` guard.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from spillover.data.check.weaknesses.find import find_weaknesses
from spillover.data.check.weaknesses.weakness import Weakness
from spillover.errors import DataError

_FEWEST = 400


def find_in_all(codes: Sequence[str | None]) -> list[tuple[Weakness, ...]]:
    """Return the weaknesses of each program, () for None; raises DataError when a process for it fails."""
    rows = [row for row, code in enumerate(codes) if code is not None]
    if len(rows) < _FEWEST:
        return [() if code is None else find_weaknesses(code) for code in codes]
    found: list[tuple[Weakness, ...]] = [() for _ in codes]
    parts = [rows[0::2], rows[1::2]]
    with ThreadPoolExecutor(len(parts)) as pool:
        results = pool.map(_apart, [[codes[row] for row in part] for part in parts])
        for part, of_part in zip(parts, results, strict=True):
            for row, result in zip(part, of_part, strict=True):
                found[row] = result
    return found


def _apart(codes: Sequence[str | None]) -> list[tuple[Weakness, ...]]:
    command = [sys.executable, "-P", "-m", "spillover.data.check.weaknesses"]
    done = subprocess.run(command, input=json.dumps(codes).encode(), capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DataError(f"checking programs ended with code {done.returncode} ({said[-1] if said else 'no message'})")
    return [tuple(Weakness(*values) for values in program) for program in json.loads(done.stdout)]
