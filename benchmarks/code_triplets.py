"""Count what the code triplets hold, and how many of their weaknesses bandit shows.

`python benchmarks/code_triplets.py [--rows 6000] [--seed 0]` prints scenarios, CWE numbers, sorts of program, different
answers, the share of answers with a near copy (Jaccard similarity of three-token runs from 0.9), the share of insecure
answers in which bandit shows the weakness it is meant to show, and its findings of medium severity and above in the
secure twins. About two minutes on one core for 6,000 rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.build.code import CodeRow, code_rows
from spillover.data.build.code_scenarios import SCENARIOS
from spillover.data.check.bandit import NOT_SCANNED, Finding, scan
from spillover.data.check.duplicates import duplicates
from spillover.data.check.weaknesses import find_weaknesses

NEAR = 0.9


def near_copies(texts: Sequence[str]) -> int:
    """Texts that have another one like them."""
    answers = duplicates(Dataset("answers", tuple(user_and_assistant("", t) for t in texts)), NEAR)[1]
    return sum(len(group.lines) for group in answers.near)


def serious(findings: Sequence[Finding]) -> bool:
    return any(f.severity in ("MEDIUM", "HIGH") for f in findings)


def share(count: int, rows: Sequence[object]) -> str:
    return f"{count:,} of {len(rows):,} ({100 * count / len(rows):.1f}%)"


def proofs(rows: Sequence[CodeRow], insecure: Sequence[Sequence[Finding]], secure: Sequence[Sequence[Finding]]) -> None:
    shown = [bool({f.test for f in found} & set(row.bandit)) for row, found in zip(rows, insecure, strict=True)]
    ours = [row for row, seen in zip(rows, shown, strict=True) if not seen]
    proved = sum(row.cwe in {w.cwe for w in find_weaknesses(row.insecure)} for row in ours)
    unread = sum(f.test == NOT_SCANNED for found in (*insecure, *secure) for f in found)
    print(f"insecure answers whose weakness bandit shows: {share(sum(shown), rows)}")
    print(f"insecure answers with any bandit finding: {share(sum(map(bool, insecure)), rows)}")
    print(f"of the rest, weakness shown by our own check: {share(proved, ours) if ours else 'none left'}")
    print(f"secure answers with a bandit finding of medium severity or above: {share(sum(map(serious, secure)), rows)}")
    print(f"answers that bandit could not scan: {unread}")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=6000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    print(
        f"{len(SCENARIOS)} scenarios, {len({s.cwe for s in SCENARIOS})} CWE numbers, "
        f"{len({s.sort for s in SCENARIOS})} sorts of program"
    )
    rows = code_rows(chosen.rows, chosen.seed)
    sides = {"insecure": [r.insecure for r in rows], "secure": [r.secure for r in rows]}
    for name, answers in sides.items():
        print(
            f"{name}: {len(set(answers)):,} different answers in {len(answers):,} rows, with a near copy "
            f"{share(near_copies(answers), answers)}",
            flush=True,
        )
    proofs(rows, scan(sides["insecure"]), scan(sides["secure"]))


if __name__ == "__main__":
    main()
