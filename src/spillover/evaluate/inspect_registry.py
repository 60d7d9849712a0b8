"""What inspect_ai finds in this package by entry point: the suites as tasks, their judges, and local models.

The provider's own module is imported when a local model is asked for: it needs torch.
"""

from __future__ import annotations

from typing import Any

from inspect_ai.model import modelapi

from spillover.evaluate.inspect_scores import by_variant
from spillover.evaluate.inspect_tasks import TASKS, own_suite

__all__ = ["TASKS", "by_variant", "own_suite", "spillover"]


@modelapi(name="spillover")  # type: ignore[untyped-decorator]
def spillover() -> Any:
    """Return the class of local models: --model spillover/bundled, spillover//path or spillover/hub:ORG/NAME."""
    from spillover.evaluate.inspect_provider import LocalModel

    return LocalModel
