"""Pieces of a step in threads: order, modes, failures, and no bit that depends on the threads."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from fgrpo.lab.shards import run_shards, use_threads


@pytest.fixture(autouse=True)
def _back_to_one_thread() -> Iterator[None]:
    yield
    use_threads(1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_are_in_the_order_of_the_items(threads: int) -> None:
    use_threads(threads)

    def work(item: int) -> int:
        time.sleep(0.02 * (4 - item))  # the last items are done first
        return item * item

    assert run_shards(work, range(5)) == [0, 1, 4, 9, 16]
    assert run_shards(work, []) == []


@pytest.mark.parametrize("threads", [2, 3])
def test_as_many_at_a_time_as_there_are_threads(threads: int) -> None:
    use_threads(threads)
    lock, now, most = threading.Lock(), 0, 0
    full = threading.Barrier(threads)

    def work(item: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        full.wait(timeout=20)  # passes only if so many run at the same time
        with lock:
            now -= 1

    run_shards(work, range(2 * threads))
    assert most == threads


def test_one_thread_is_the_caller_s_own() -> None:
    use_threads(3)
    run_shards(abs, range(6))
    use_threads(1)
    seen = run_shards(lambda _: threading.current_thread(), range(3))
    assert set(seen) == {threading.current_thread()}


def test_no_thread_splits_a_sum_with_others() -> None:
    torch.set_num_threads(4)
    use_threads(2)
    full = threading.Barrier(2)

    def work(_: int) -> int:
        full.wait(timeout=20)
        return torch.get_num_threads()

    assert torch.get_num_threads() == 1
    assert run_shards(work, range(4)) == [1, 1, 1, 1]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("mode", "gradient", "inference"),
    [
        (torch.enable_grad, True, False),
        (torch.no_grad, False, False),
        (torch.inference_mode, False, True),
    ],
)
def test_the_caller_s_modes_hold_in_every_piece(mode, gradient, inference, threads) -> None:
    use_threads(threads)
    weight = torch.ones(3, requires_grad=True)

    def work(_: int) -> tuple[bool, bool]:
        product = weight * 2
        return product.requires_grad, product.is_inference()

    with mode():
        assert run_shards(work, range(4)) == [(gradient, inference)] * 4
    # A thread is used again, and keeps nothing of the mode before.
    assert run_shards(work, range(4)) == [(True, False)] * 4


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_failure_in_order_is_raised_once_nothing_runs(threads: int) -> None:
    use_threads(threads)
    running: set[int] = set()
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        running.add(item)
        time.sleep({1: 0.2, 2: 0.0}.get(item, 0.4))  # 2 fails before 1 does
        running.remove(item)
        if item in (1, 2):
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        run_shards(work, range(30))
    assert not running
    assert len(begun) < 30  # what had not begun was left out
    assert run_shards(abs, [-1, -2, -3]) == [1, 2, 3]  # and the threads still work


def test_a_number_of_threads_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="count is 0"):
        use_threads(0)


def test_gradients_are_the_same_bits_with_any_number_of_threads(make_model) -> None:
    model = make_model(hidden=32)
    tokens = torch.randint(0, 8, (12, 20), generator=torch.Generator().manual_seed(1))
    parameters = list(model.parameters())

    def work(rows: torch.Tensor) -> list[torch.Tensor]:
        loss = model(rows).float().log_softmax(-1)[..., 0].mean()
        return list(torch.autograd.grad(loss, parameters))

    def gradient(threads: int) -> list[torch.Tensor]:
        use_threads(threads)
        parts = run_shards(work, tokens.split(2))
        return [torch.stack(part).sum(0) for part in zip(*parts, strict=True)]

    expected = gradient(1)
    assert any(part.abs().max() > 1e-4 for part in expected)
    for threads in (2, 3, 4):
        for part, other in zip(expected, gradient(threads), strict=True):
            assert torch.equal(part, other)
