"""Which device and number type to compute with on this machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

DtypeName = Literal["bfloat16", "float32"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Device name ("cpu", "cuda", "mps") and the dtype used for weights and products there."""

    device: str
    dtype: DtypeName

    def torch_dtype(self) -> torch.dtype:
        """Return the torch dtype of that name."""
        import torch

        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[self.dtype]


def detect() -> Hardware:
    """Choose the fastest sound pair: bfloat16 where the hardware multiplies it natively, else float32.

    On a CPU without bfloat16 instructions the products are emulated and six to nine times slower than float32
    (`benchmarks/dtype.py`).
    """
    import torch

    if torch.cuda.is_available():
        return Hardware("cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float32")
    native = torch.cpu.get_capabilities()
    fast = native.get("avx512_bf16") or native.get("amx_bf16") or native.get("amx")
    return Hardware("cpu", "bfloat16" if fast else "float32")


def memory_bytes(device: torch.device) -> int:
    """Return the whole memory of `device` in bytes, used or not, so that sizes derived from it repeat."""
    import os

    import torch

    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def describe() -> dict[str, str | int]:
    """Return the facts of this machine that belong beside a timing."""
    import os

    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count() or 0,
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
    }
