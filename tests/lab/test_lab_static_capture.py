"""Capturing steps as graphs, without a GPU."""

from __future__ import annotations

import itertools
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from static_rollouts import EOS, PAD, count_moves, random_prompts, random_uniforms
from torch.utils._python_dispatch import TorchDispatchMode

from fgrpo.lab import static_sampling
from fgrpo.lab.graphs import Graphs
from fgrpo.lab.sampling import Options
from fgrpo.lab.static_sampling import sample_with

WAITS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "is_nonzero", "equal.")


class Tape(TorchDispatchMode):
    """A stand-in for a CUDA graph: kernels on given addresses, without their Python.

    Replaying does the recorded operations on the recorded tensors; what Python computed while
    recording is frozen. Capturing leaves all memory as it was, and refuses what waits for the host.
    """

    def __init__(self):
        super().__init__()
        self.calls, self.undo = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        by_mask = "index" in str(func) and any(
            x.dtype == torch.bool
            for x in itertools.chain(*(a for a in args if isinstance(a, list | tuple)))
            if isinstance(x, torch.Tensor)
        )
        waits = by_mask or any(wait in str(func) for wait in WAITS)
        assert not waits, f"{func} waits for the host"
        if func._schema.is_mutable:
            self.undo += [(x, x.clone()) for x in args if isinstance(x, torch.Tensor)]
        out = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, out))
        return out

    def rewind(self):
        for tensor, before in reversed(self.undo):
            tensor.copy_(before)

    def replay(self):
        for func, args, kwargs, out in self.calls:
            fresh = func(*args, **kwargs)
            if func.is_view or func._schema.is_mutable:
                continue
            pairs = zip(out, fresh, strict=True) if isinstance(out, tuple) else [(out, fresh)]
            for kept, new in pairs:
                kept.copy_(new)


@pytest.fixture
def tapes(monkeypatch):
    made = []

    def new():
        made.append(Tape())
        return made[-1]

    @contextmanager
    def capture(tape, pool):
        assert pool == "pool"
        with tape:
            yield
        tape.rewind()

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda s: nullcontext(),
        "graph_pool_handle": lambda: "pool",
        "CUDAGraph": new,
        "graph": capture,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(static_sampling, "Graphs", lambda capturing: Graphs(True))
    return made


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
def test_a_step_can_be_captured_and_replayed(
    temperature, precision, tapes, make_model, monkeypatch
):
    cpu = torch.device("cpu")
    monkeypatch.setattr(static_sampling, "BUCKET", 8)
    moves = count_moves(monkeypatch)
    replayed, called = (make_model(seed=1, spread=0.25) for _ in "12")
    prompts, options = random_prompts(5, 6, cpu), Options(21, EOS, PAD, temperature)
    captured = []
    for seed in (3, 3, 4):
        uniforms = random_uniforms(21, 5 * 8, cpu, seed=seed)
        ours = sample_with(replayed, prompts, uniforms, options, precision, segment=4)
        captured.append(len(tapes))
        with monkeypatch.context() as context:
            context.setattr(static_sampling, "Graphs", lambda capturing: Graphs(False))
            theirs = sample_with(called, prompts, uniforms, options, precision, segment=4)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        with torch.no_grad():
            for model in (replayed, called):  # new weights, old tapes
                model.layers[0].self_attn.o_proj.weight.add_(0.1)
    assert captured[0] >= 3  # a shape at least for each length
    if temperature:
        assert moves
    else:
        assert captured[1] <= captured[0] + 8
    assert captured[2] <= len(moves) + 12


def test_a_tape_refuses_to_wait(tapes):
    x = torch.zeros(3)
    for step in (x.sum().item, x.nonzero, lambda: x[x > 0]):
        with pytest.raises(AssertionError, match="waits"), Tape():
            step()


def test_warming_up_and_capturing_leave_the_counters(tapes):
    counter, seen = torch.zeros(1), torch.zeros(8)

    def step():
        seen.index_copy_(0, counter.long(), counter + 10)
        counter.add_(1)

    graphs = Graphs(True)
    graphs.run("a", step, [counter], 2)
    assert counter.tolist() == [2]
    graphs.run("a", step, [counter], 3)
    assert seen.tolist() == [10, 11, 12, 13, 14, 0, 0, 0]
    assert len(graphs) == len(tapes) == 1
    graphs.run("b", step, [counter], 1)
    assert len(graphs) == 2


def test_graphs_are_bounded(tapes, monkeypatch):
    monkeypatch.setattr("fgrpo.lab.graphs.MOST_GRAPHS", 3)
    counter = torch.zeros(1)
    graphs = Graphs(True)
    for key in range(5):
        graphs.run(key, lambda: counter.add_(1), [counter], 1)
    assert counter.tolist() == [5]
    assert len(graphs) == 2
