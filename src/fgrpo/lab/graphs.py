"""Running one step many times: captured once as a CUDA graph, then replayed; called on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

MOST_GRAPHS = 256
WARM_UPS = 3


class Graphs:
    """Captured steps, by key.

    A step reads and writes only tensors that keep their addresses, reads no value back to the host
    and draws no random number. What it allocates dies with it, so all graphs share one pool of
    memory, as large as the largest of them needs, and may be replayed in any order.

    Parameters
    ----------
    capturing
        Whether to capture (CUDA) or to call.
    """

    def __init__(self, capturing: bool) -> None:
        self._capturing = capturing
        self._captured: dict[Hashable, Any] = {}
        self._pool: Any = None
        self._side: Any = None

    def __len__(self) -> int:
        return len(self._captured)

    def clear(self) -> None:
        """Forget all: the addresses have changed."""
        self._captured.clear()
        self._pool = None

    def run(
        self, key: Hashable, step: Callable[[], None], counters: Sequence[Tensor], times: int
    ) -> None:
        """Do ``step`` so many times.

        Parameters
        ----------
        key
            Equal for steps that do the same to the same tensors.
        step
            What is captured if the key is new.
        counters
            The tensors whose values, changed by one step, change what the next does. Warming up
            leaves them as they were; all else that a step writes, the next run of the same step
            must write again.
        times
            Number of steps, ≥ 1.
        """
        if not self._capturing:
            for _ in range(times):
                step()
            return
        if key not in self._captured:
            if len(self._captured) == MOST_GRAPHS:
                self.clear()
            self._captured[key] = self._capture(step, counters)
        graph = self._captured[key]
        for _ in range(times):
            graph.replay()

    def _capture(self, step: Callable[[], None], counters: Sequence[Tensor]) -> Any:
        before = [counter.clone() for counter in counters]
        if self._side is None:
            self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side = self._side
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries choose kernels and workspaces outside the capture
            for _ in range(WARM_UPS):
                step()
                for counter, value in zip(counters, before, strict=True):
                    counter.copy_(value)
        torch.cuda.current_stream().wait_stream(side)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            step()
        return graph
