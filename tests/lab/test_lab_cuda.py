"""Training on a GPU against training on the CPU; skipped where there is none."""

from __future__ import annotations

import pytest
import torch

from fgrpo.lab.settings import TrainSettings
from fgrpo.lab.update import make_optimizer, policy_update
from fgrpo.lab.weights import load_state, save_state

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def updated(model, batch, device, precision="fp32", **fields):
    """Take one update on a device; give its figures."""
    rollouts, advantages = batch
    settings = TrainSettings(steps=5, learning_rate=1e-3, **fields)
    return policy_update(
        model,
        make_optimizer(model, settings),
        type(rollouts)(*(part.to(device) for part in rollouts)),
        advantages.to(device),
        settings,
        step=0,
        generator=torch.Generator().manual_seed(0),
        precision=precision,
    )


@pytest.mark.parametrize("most", [16, 4096], ids=["groups cut", "together"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.1)])
@pytest.mark.parametrize("method", ["grpo", "dapo", "cispo"])
def test_the_gradient_is_that_of_the_cpu(
    method, precision, tolerance, most, make_model, make_batch
):
    shape = {"hidden": 64, "heads": 4, "kv_heads": 2, "intermediate": 96, "spread": 0.15}
    plain, model = make_model(**shape), make_model(**shape).cuda()
    batch = make_batch(plain)
    fields = {"method": method, "micro_batch_tokens": most, "group_size": 5}
    expected = updated(plain, batch, "cpu", **fields)
    found = updated(model, batch, "cuda", precision, **fields)
    assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=tolerance)
    assert found["loss"] == pytest.approx(expected["loss"], rel=tolerance, abs=tolerance)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        scale = float(theirs.grad.abs().max())
        torch.testing.assert_close(ours.grad.cpu(), theirs.grad, atol=tolerance * scale, rtol=0)


def test_a_state_goes_on_where_it_was_on_either_device(make_model, make_batch, tmp_path):
    model = make_model()
    batch = make_batch(model)
    settings = TrainSettings(steps=5, learning_rate=1e-3, group_size=5)
    model.cuda()
    optimizer = make_optimizer(model, settings)
    updated(model, batch, "cuda", group_size=5)  # sets gradients
    optimizer.step()
    save_state(tmp_path / "state.safetensors", model, optimizer, 1, "test")
    for device in ("cuda", "cpu"):
        other = make_model(seed=1).to(device)
        resumed = make_optimizer(other, settings)
        assert load_state(tmp_path / "state.safetensors", other, resumed, "test") == 1
        for ours, theirs in zip(other.parameters(), model.parameters(), strict=True):
            ours.grad = theirs.grad.clone().to(device)
        resumed.step()
        for name, ours in resumed.state[next(other.parameters())].items():
            theirs = optimizer.state[next(model.parameters())][name]
            assert ours.shape == theirs.shape
        assert float(resumed.state[next(other.parameters())]["step"]) == 2
