"""Matrix products in float32 and bfloat16 on this machine: why local/hardware.py chooses as it does.

`python benchmarks/dtype.py [--json FILE]` prints GFLOP/s for the embedded model's shapes and the ratio, from one run.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch

from spillover.local.hardware import describe, detect

SHAPES = ((1024, 576, 1536), (1024, 1536, 576), (256, 576, 49152))
SECONDS = 1.0


def speed(device: str, dtype: torch.dtype, m: int, k: int, n: int) -> float:
    a, b = torch.randn(m, k).to(device, dtype), torch.randn(n, k).to(device, dtype)
    torch.nn.functional.linear(a, b)[0, 0].item()
    start, count = time.monotonic(), 0
    while time.monotonic() - start < SECONDS:
        out = torch.nn.functional.linear(a, b)
        count += 1
        if count % 100 == 0:
            # A GPU's products are only queued until a value is read.
            out[0, 0].item()
    out[0, 0].item()
    return 2 * m * k * n * count / (time.monotonic() - start) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(describe(), detect())
    device, rows = detect().device, []
    for shape in SHAPES:
        plain, half = speed(device, torch.float32, *shape), speed(device, torch.bfloat16, *shape)
        print(f"{shape}: float32 {plain:.0f} GFLOP/s, bfloat16 {half:.0f} GFLOP/s, ratio {plain / half:.1f}")
        rows.append({"shape": shape, "float32": plain, "bfloat16": half})
    if given.json:
        found = {"machine": describe(), "chosen": asdict(detect()), "gflops": rows}
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
