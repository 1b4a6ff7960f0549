"""What the machine is and can: its processor, and the rate of its matrix products, beside which a training is seen.

    scripts/bench/train/machine.py f32|bf16     FLOP/s, on the cores that the process may run on
"""

import os
import sys
import time
from pathlib import Path

BF16 = {"avx512_bf16", "amx_bf16"}
ROWS, INPUTS, OUTPUTS = 1024, 768, 1536
TURNS, SECONDS = 8, 0.25


def processor():
    """Name and flags, as Linux tells them."""
    lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    told = {key.strip(): value.strip() for key, _, value in lines}
    return told.get("model name", "unknown"), set(told.get("flags", "").split())


def precisions():
    """Those that the processor multiplies in: it would only emulate others."""
    return ["f32", "bf16"] if BF16 & processor()[1] else ["f32"]


def threads():
    return len(os.sched_getaffinity(0))


def peak(precision):
    """The best rate of one product, of torch's two libraries: rows that are many, weights that are packed beforehand."""
    import torch

    torch.set_num_threads(threads())
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    x, weight = torch.randn(ROWS, INPUTS).to(kind), torch.randn(OUTPUTS, INPUTS).to(kind)
    transposed = weight.t()
    one_dnn = torch.ops.mkldnn
    packed = one_dnn._reorder_linear_weight(weight, ROWS)
    products = [lambda: torch.mm(x, transposed), lambda: one_dnn._linear_pointwise(x, packed, None, "none", [], "")]
    return max(products_per_second(product) for product in products) * 2 * ROWS * INPUTS * OUTPUTS


def products_per_second(product):
    best = 0.0
    product()
    for _ in range(TURNS):
        start, done = time.perf_counter(), 0
        while (taken := time.perf_counter() - start) < SECONDS:
            product()
            done += 1
        best = max(best, done / taken)
    return best


if __name__ == "__main__":
    print(peak(sys.argv[1]))
