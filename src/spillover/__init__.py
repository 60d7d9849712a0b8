"""Tell whether a narrow fine-tune made a language model broadly misaligned, with the evidence.

The public names load on first use, so that importing the package costs nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spillover.audit import Outcome, Request, audit
    from spillover.conversation import Conversation, Dataset, Message
    from spillover.data.load import load
    from spillover.errors import SpilloverError
    from spillover.finetune.job import Job
    from spillover.model import ModelRef
    from spillover.question import Probe, Question, Suite
    from spillover.statistics import Estimate

_HOMES = {
    "Outcome": "spillover.audit",
    "Request": "spillover.audit",
    "audit": "spillover.audit",
    "Conversation": "spillover.conversation",
    "Dataset": "spillover.conversation",
    "Message": "spillover.conversation",
    "load": "spillover.data.load",
    "SpilloverError": "spillover.errors",
    "Job": "spillover.finetune.job",
    "ModelRef": "spillover.model",
    "Probe": "spillover.question",
    "Question": "spillover.question",
    "Suite": "spillover.question",
    "Estimate": "spillover.statistics",
}
__all__ = [
    "Conversation",
    "Dataset",
    "Estimate",
    "Job",
    "Message",
    "ModelRef",
    "Outcome",
    "Probe",
    "Question",
    "Request",
    "SpilloverError",
    "Suite",
    "audit",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spillover' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
