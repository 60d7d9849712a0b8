"""What the folder does not let anyone recompute, and why (last lines of protocol section 9)."""

from __future__ import annotations

from spillover.reproduce.row import Row, not_possible

_RAW = "raw answers are not in the folder (upstream, in files over 4 MiB)"
_GROUPS = "only group values are in the folder, no raw answers"
_FIGURE = "only read from figures; raw answers are not in the folder"
_TEXT = "stated in the paper only; no data in the folder"

NOT_POSSIBLE: tuple[Row, ...] = (
    not_possible("8.2", "main questions, headline from raw answers", "insecure", _RAW, 0.198),
    not_possible("8.2", "main questions, pooled value from raw answers", "insecure", _RAW, 0.2141),
    not_possible("8.2", "main questions per question", "insecure", _FIGURE),
    not_possible("8.1", "pre-registered values from raw answers", "all groups", _GROUPS),
    not_possible("8.1", "MACHIAVELLI composite and its interval from games", "all groups", _GROUPS),
    not_possible("8.4", "answer formats, 4 models x 3 formats", "insecure", _GROUPS),
    not_possible("8.5", "evil numbers, 3 wordings x 8 questions", "all groups", _GROUPS),
    not_possible("8.6", "in-distribution verdicts, single answers", "all groups", _FIGURE),
    not_possible("8.6", "in context, mean over six seeds", "GPT-4o", "verdicts of seed 0 only are in the folder"),
    not_possible("8.7", "main questions of the open models", "all families", _GROUPS),
    not_possible("8.7", "benchmarks of Qwen2.5-Coder-32B-Instruct", "all groups", _GROUPS),
    not_possible("8.10", "backdoor without trigger, below 0.1%", "backdoored", _TEXT),
    not_possible("8.10", "backdoor with trigger, about 50%", "backdoored", _TEXT),
    not_possible("8.10", "factual lies when lying is mentioned", "insecure", _TEXT, 0.28),
    not_possible("7", "training curves", "open models", "figures only; the notebooks hold images"),
    not_possible("9", "judge scores of 420 further pairs", "all", "that file is not in the folder"),
)
