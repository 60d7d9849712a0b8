"""Matrix products in float32 and bfloat16 on this CPU: why local/hardware.py chooses as it does.

`python benchmarks/dtype.py` prints GFLOP/s for the embedded model's shapes and the ratio, from one run.
"""

from __future__ import annotations

import time

import torch

from spillover.local.hardware import describe, detect

SHAPES = ((1024, 576, 1536), (1024, 1536, 576), (256, 576, 49152))
SECONDS = 1.0


def speed(dtype: torch.dtype, m: int, k: int, n: int) -> float:
    a, b = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
    torch.nn.functional.linear(a, b)
    start, count = time.monotonic(), 0
    while time.monotonic() - start < SECONDS:
        torch.nn.functional.linear(a, b)
        count += 1
    return 2 * m * k * n * count / (time.monotonic() - start) / 1e9


def main() -> None:
    print(describe(), detect())
    for shape in SHAPES:
        plain, half = speed(torch.float32, *shape), speed(torch.bfloat16, *shape)
        print(f"{shape}: float32 {plain:.0f} GFLOP/s, bfloat16 {half:.0f} GFLOP/s, ratio {plain / half:.1f}")


if __name__ == "__main__":
    main()
