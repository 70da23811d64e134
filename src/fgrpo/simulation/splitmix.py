"""SplitMix64 in torch: random bits computed from a counter, where and when they are needed.

Element ``i`` of the stream that starts at ``s`` is ``mix(s + (i + 1) · GOLDEN)``. Torch's integers
are signed and wrap around, which is the same arithmetic modulo 2⁶⁴.

References
----------
Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
MIX = ((30, 0xBF58476D1CE4E5B9 - (1 << 64)), (27, 0x94D049BB133111EB - (1 << 64)))


def mixed(x: torch.Tensor) -> torch.Tensor:
    """Turn 64-bit counters into random bits, in place."""
    for shift, factor in MIX:
        x ^= shifted(x, shift)
        x *= factor
    x ^= shifted(x, 31)
    return x


def shifted(x: torch.Tensor, places: int) -> torch.Tensor:
    """Shift to the right and fill with zeros, where torch would repeat the sign."""
    return (x >> places).bitwise_and_((1 << (64 - places)) - 1)


def wrapped(x: int) -> int:
    """Return a whole number as torch's integers hold it, modulo 2⁶⁴."""
    return (x + (1 << 63)) % (1 << 64) - (1 << 63)
