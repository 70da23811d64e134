"""What one step of one engine took, and what several say together."""

import statistics
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch


@dataclass(frozen=True)
class Turn:
    """One step of one engine."""

    seconds: float
    """The whole step: sampling, rewards, gradient, update."""
    sampling: float
    """Seconds of it until the advantages were known."""
    cpu: float
    """Seconds of processor time of all threads; few where other programs had the cores."""
    rollouts: int
    tokens: int
    """Of all responses, the end tokens counted."""
    reward: float
    """Mean over the rollouts."""
    mixed: float
    """Share of groups with right and wrong rollouts: the others carry no gradient."""
    peak_bytes: int | None
    """Most memory of the GPU at one time; None without one."""

    @property
    def training(self) -> float:
        return self.seconds - self.sampling

    @property
    def rollouts_per_second(self) -> float:
        return self.rollouts / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def length(self) -> float:
        return self.tokens / self.rollouts


class Spread(NamedTuple):
    """A median between the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


def ratios(ours: list[Turn], theirs: list[Turn], what: str = "seconds") -> list[float]:
    """Seconds of each of their steps, or its ``cpu``, in those of ours just before it."""
    pairs = zip(ours, theirs, strict=True)
    return [getattr(their, what) / getattr(our, what) for our, their in pairs]


class Meter:
    """Time, processor time and a GPU's peak memory from now on; waits for the GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        self._cpu, self._began = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, Any]:
        """Return the fields ``seconds``, ``cpu`` and ``peak_bytes`` of a turn."""
        peak_bytes = None
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            peak_bytes = torch.cuda.max_memory_allocated(self._device)
        return {
            "seconds": time.perf_counter() - self._began,
            "cpu": time.process_time() - self._cpu,
            "peak_bytes": peak_bytes,
        }
