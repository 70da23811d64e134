"""What a machine does: measured matrix and memory rates, and an H100's from its data sheet."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import torch

from fgrpo.cores import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from floor.work import Case, Work

# NVIDIA's data sheet of the H100 SXM: dense bf16 and HBM3, in FLOP/s and bytes/s.
H100_FLOPS, H100_MEMORY = 989e12, 3.35e12
# Assumed, not measured. Kernels of a decoding step, fused where it is easy: in each layer norm,
# q/k/v, rotation with the cache's write, attention over prompt, over own tokens, their merge,
# o, norm, gate/up, silu·mul, down; around them embedding, norm, logits, draw, bookkeeping.
KERNELS_PER_LAYER, OTHER_KERNELS = 11, 5
LAUNCH_SECONDS = 2.5e-6  # 2 to 3 µs from one small kernel to the next within a CUDA graph


@dataclass(frozen=True)
class Route:
    """A way to multiply matrices: element type and torch's float32 precision."""

    name: str
    dtype: torch.dtype
    precision: str = "highest"


# On CPUs "medium" sends float32 products to oneDNN, which may be much faster than the default.
# Where the processor multiplies bfloat16 in tiles (AMX), it rounds to that; the error tells.
ROUTES = {
    "cpu": [
        Route("fp32", torch.float32),
        Route("fp32 oneDNN", torch.float32, "medium"),
        Route("bf16", torch.bfloat16),
    ],
    "cuda": [
        Route("fp32", torch.float32),
        Route("tf32", torch.float32, "high"),
        Route("bf16", torch.bfloat16),
    ],
}


@dataclass(frozen=True)
class Machine:
    """FLOP/s by rows of the product, bytes/s, and seconds a decoding step takes at least."""

    name: str
    element: int
    flops: dict[int, float]
    memory: float
    per_layer: float = 0.0
    per_step: float = 0.0

    def rate(self, rows: float) -> float:
        """FLOP/s at the nearest number of rows (in ratio), or the best at fewer.

        A product of many rows can be carried out as products of fewer.
        """
        nearest = min(self.flops, key=lambda known: abs(log(known / rows)))
        return max(rate for known, rate in self.flops.items() if known <= nearest)

    def seconds(self, one: Work) -> float:
        return max(one.flops / self.rate(one.rows), one.bytes / self.memory)

    def launches(self, case: Case) -> float:
        layers = case.model.config.num_hidden_layers
        return (case.lengths.longest - 1) * (self.per_layer * layers + self.per_step)


DATA_SHEET = Machine(
    "H100, data sheet",
    2,
    {1: H100_FLOPS},
    H100_MEMORY,
    KERNELS_PER_LAYER * LAUNCH_SECONDS,
    OTHER_KERNELS * LAUNCH_SECONDS,
)


@dataclass(frozen=True)
class Clock:
    """Times short work: medians and ranges over repeats of at least ``least`` seconds."""

    device: torch.device
    repeats: int
    least: float = 0.002  # short enough to fall between what else the machine does

    def seconds(self, function: Callable[[], object]) -> list[float]:
        """Return seconds a call of each repeat, after calls that are not counted."""
        count = 1
        while self._of(function, count) < self.least:
            count *= 2
        return [self._of(function, count) / count for _ in range(self.repeats)]

    def _of(self, function: Callable[[], object], count: int) -> float:
        self._wait()
        began = time.perf_counter()
        for _ in range(count):
            function()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def threads_to_try(device: torch.device) -> list[int]:
    """One, and as many as this process may use cores; a GPU has no use for them."""
    if device.type != "cpu":
        return [1]
    return sorted({1, cores()})


@contextmanager
def settings(threads: int, precision: str) -> Iterator[None]:
    """Run with so many threads and torch's float32 precision of that name."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])


def matrix_rates(
    clock: Clock, route: Route, threads: int, rows: int, inner: int, outer: int
) -> tuple[list[float], float]:
    """FLOP/s of (rows × inner) @ (inner × outer), each repeat, and the result's relative error."""
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(n, inner, generator=generator) for n in (rows, outer))
    a, b = (part.to(clock.device, route.dtype) for part in (x, w))
    with settings(threads, route.precision):
        times = clock.seconds(lambda: a @ b.T)
        exact = x.double() @ w.double().T
        error = ((a @ b.T).cpu() - exact).norm() / exact.norm()
    return [2 * rows * inner * outer / one for one in times], float(error)


def memory_rates(clock: Clock, threads: int, mib: int) -> dict[str, list[float]]:
    """Bytes/s, each repeat, of reading an array (its sum) and of copying it."""
    source = torch.ones(mib * 2**18, device=clock.device)
    target = torch.empty_like(source)
    size = source.numel() * source.element_size()
    with settings(threads, "highest"):
        read = clock.seconds(source.sum)
        copy = clock.seconds(lambda: target.copy_(source))
    return {"read": [size / t for t in read], "copy": [2 * size / t for t in copy]}
