"""Measure the arms through a vLLM server that holds the base model and every adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from spillover.audit.arms import Arm, Narrow
from spillover.audit.measure import Reading, is_read, read_arm
from spillover.audit.request import Inputs, Request
from spillover.conversation import fingerprint
from spillover.local.engine import IN_PROCESS
from spillover.local.loading import LoadedModel
from spillover.local.vllm_engine import Wanted, engine_version, open_vllm
from spillover.local.weights import locate
from spillover.progress import Progress
from spillover.run_folder import RunFolder

_FACTS = "engine"


def read_served(
    arms: Sequence[Arm], inputs: Inputs, narrow: Narrow, base: LoadedModel, folder: RunFolder, progress: Progress
) -> list[Reading]:
    """Measure `arms` through the request's vLLM; returns one reading per arm, in their order.

    Rows are kept under keys that name the engine's version. No server is started when all of them are there already.
    `base` gives the rendering and the number type. Raises ModelError when the server fails.
    """
    request = inputs.request
    version = engine_version(request.engine)
    named = [replace(arm, key=fingerprint([arm.key, request.engine.name, version])) for arm in arms]
    if all(is_read(arm, inputs, narrow, folder) for arm in named):
        return [read_arm(arm, base, inputs, narrow, folder, progress) for arm in named]
    adapters = tuple(arm.ref.adapter for arm in named if arm.ref.adapter is not None)
    wanted = Wanted(
        locate(request.model), adapters, base.hardware.dtype, base.context, request.seed, request.trust_remote_code
    )
    with ExitStack() as stack:
        with progress.stage("starting vllm", 0):
            opened = open_vllm(request.engine, wanted, base.template, folder.path / "vllm.log")
            serving = stack.enter_context(opened)
        folder.put(_FACTS, [(request.engine.name, dict(serving.facts))])
        return [read_arm(arm, serving.engines[arm.ref.adapter], inputs, narrow, folder, progress) for arm in named]


def engine_asked(request: Request) -> dict[str, str]:
    """Return what the manifest says of the engine; raises ModelError when vllm is not there, before any training."""
    if request.engine.name == IN_PROCESS:
        return {"name": IN_PROCESS}
    return {"name": request.engine.name, "version": engine_version(request.engine)}


def engine_facts(request: Request, folder: RunFolder) -> Mapping[str, Any]:
    """Return what the record says of the engine: its name, and for vLLM its version and settings."""
    return folder.get(_FACTS, request.engine.name) or {"name": request.engine.name}
