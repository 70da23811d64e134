"""Independent pieces of a step side by side: the same bits for any number of threads.

PyTorch's own threads share the terms of one sum, so their number changes how it is rounded. Here a
piece is computed by one thread from beginning to end, and the results come in a fixed order.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    ItemT = TypeVar("ItemT")
    ResultT = TypeVar("ResultT")

_threads = 1
_pool: ThreadPoolExecutor | None = None


def use_threads(count: int) -> None:
    """Let this process compute with ``count`` threads, each piece of work in one of them."""
    global _threads, _pool
    if count < 1:
        raise ValueError(f"count is {count}; must be 1 or more")
    torch.set_num_threads(1)
    if _pool is not None:
        _pool.shutdown()
        _pool = None
    _threads = count


def run_shards(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT]:
    """Apply ``work`` to every item, as many at a time as there are threads.

    Parameters
    ----------
    work
        Runs with the caller's gradient and inference mode; autocast it has to enter itself. It
        must not call this function.
    items
        What to work on.

    Returns
    -------
    list
        The results in the order of the items.

    Raises
    ------
    Exception
        The first failure in the order of the items, once no piece runs any more.
    """
    global _pool
    if _threads == 1 or len(items) < 2:
        return [work(item) for item in items]
    if _pool is None:
        # PyTorch keeps the number of its own threads for each thread.
        _pool = ThreadPoolExecutor(_threads, "shard", torch.set_num_threads, (1,))
    gradient, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def in_mode(item: ItemT) -> ResultT:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradient):
            return work(item)

    futures = [_pool.submit(in_mode, item) for item in items]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
