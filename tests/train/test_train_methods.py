"""Bounds and presets of the methods, against the gradients of TRL's own loss."""

import math
from fractions import Fraction

import pytest
import torch

from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss
from fgrpo.train.methods import METHODS, describe_bounds, ratio_bounds
from trl_loss import idle_trainer, loss_and_gradient

# transformers renames what TRL still calls by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning")

CLIPPED = ["grpo", "bnpo", "dr_grpo", "dapo", "luspo"]
LOSSES = {"grpo": grpo_loss, "dapo": dapo_loss, "cispo": cispo_loss}  # the paper's


class Trl:
    """TRL's loss of tokens whose log-probabilities are given."""

    def __init__(self, folder):
        self.folder = folder

    def trainer(self, **settings):
        """Return a trainer made with these settings, so that TRL completes them itself."""
        config = FocalGRPOConfig(
            output_dir=str(self.folder), report_to="none", use_cpu=True, bf16=False, **settings
        )
        trainer = idle_trainer(FocalGRPOTrainer, config)
        trainer.current_gradient_accumulation_steps = config.gradient_accumulation_steps = 1
        config.steps_per_generation = 1
        return trainer

    def loss(self, settings, log_probs, old, advantages):
        """Return the loss and its gradient by the log-probabilities."""
        mask = torch.ones_like(log_probs, dtype=torch.long)
        return loss_and_gradient(
            self.trainer(**settings),
            log_probs,
            mask,
            advantages=advantages,
            old_per_token_logps=old,
        )

    def multipliers(self, settings, ratios, advantage):
        """Return what each token's gradient is multiplied by, 1 for a token of the ratio 1."""
        log_probs = torch.log(torch.cat([torch.ones(1, dtype=torch.float64), ratios]))[None]
        given = torch.full((1,), advantage, dtype=torch.float64)
        _, grad = self.loss(settings, log_probs, torch.zeros_like(log_probs), given)
        return (grad / grad[0, 0])[0, 1:]


@pytest.fixture(scope="module")
def trl(tmp_path_factory):
    return Trl(tmp_path_factory.mktemp("trl"))


def random_ratios(seed, count=20_000):
    """Spread evenly over [0, 8], the bounds in the midst of them."""
    generator = torch.Generator().manual_seed(seed)
    return 8 * torch.rand(count, generator=generator, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("loss_type", CLIPPED)
@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 0.2, "epsilon_high": None},
        {"epsilon": 0.2, "epsilon_high": 0.28},
        {"epsilon": 0.05, "epsilon_high": 4.0},
        {"epsilon": 1.0, "epsilon_high": 0.1},
        {"epsilon": 1.5, "epsilon_high": 1.0},
        {"epsilon": 0.2, "epsilon_high": 3.0, "delta": 2.0},
        {"epsilon": 0.2, "epsilon_high": 0.5, "delta": 4.0},
    ],
    ids=str,
)
def test_the_gradient_vanishes_beyond_the_bounds(loss_type, settings, trl):
    low, high = ratio_bounds(loss_type, **settings)
    ratios = random_ratios(len(str(settings)))
    options = {"loss_type": loss_type, **settings}
    up = trl.multipliers(options, ratios, 1.0)
    down = trl.multipliers(options, ratios, -1.0)
    alive_up, alive_down = up != 0, down != 0
    # The bound lies between the last living token and the first dead one, close together.
    assert bool((~alive_up).any())
    assert ratios[alive_up].max() <= high <= ratios[~alive_up].min()
    assert ratios[alive_up].max() > high - 0.01
    dead_below = ratios[~alive_down & (ratios < 1)]
    if low > 0:
        assert dead_below.max() <= low <= ratios[alive_down].min() < low + 0.01
    else:
        assert low == 0  # no ratio is less
        assert not len(dead_below)
    # A negative advantage has no upper bound but delta's.
    text = describe_bounds(loss_type, **settings)
    if "delta" in settings:
        most = max(settings["delta"], 1 + settings["epsilon_high"])
        assert ratios[alive_down].max() <= most <= ratios[~alive_down & (ratios > 1)].min()
        assert f"at most {most:g} where the advantage is negative" in text
    else:
        assert bool(alive_down[ratios > 1].all())
        assert "negative" not in text
    assert text.startswith(f"ratio in [{low:g}, {high:g}]")
    assert torch.allclose(up[alive_up], ratios[alive_up])


@pytest.mark.parametrize("cap", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("given", ["epsilon", "epsilon_high"])
@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_cispo_grows_with_the_ratio_up_to_its_cap(cap, given, advantage, trl):
    settings = {"epsilon": 0.2, "epsilon_high": None} | {given: cap}
    ratios = random_ratios(3)
    multipliers = trl.multipliers({"loss_type": "cispo", **settings}, ratios, advantage)
    low, high = ratio_bounds("cispo", **settings)
    assert multipliers.max().item() == pytest.approx(high, rel=1e-12)
    assert torch.allclose(multipliers[ratios > high], torch.tensor(high, dtype=torch.float64))
    assert torch.allclose(multipliers[ratios < high], ratios[ratios < high])
    assert low == 0
    assert describe_bounds("cispo", **settings) == f"ratio in [0, {cap:g}], capped (gradient kept)"


@pytest.mark.parametrize("loss_type", ["sapo"])
def test_a_loss_without_bounds_keeps_every_gradient(loss_type, trl):
    assert ratio_bounds(loss_type, 0.2, 0.28) is None
    assert describe_bounds(loss_type, 0.2, 0.28) == "no hard bounds on the ratio"
    for advantage in (1.0, -1.0):
        multipliers = trl.multipliers({"loss_type": loss_type}, random_ratios(5), advantage)
        assert bool((multipliers > 0).all())


@pytest.mark.parametrize("method", METHODS)
def test_a_preset_is_the_paper_s_loss(method, trl):
    generator = torch.Generator().manual_seed(11)
    log_probs = -2 * torch.rand(6, 50, generator=generator, dtype=torch.float64)
    old = log_probs - torch.randn(6, 50, generator=generator, dtype=torch.float64)
    advantages = torch.randn(6, generator=generator, dtype=torch.float64)
    theirs, gradient = trl.loss(METHODS[method], log_probs, old, advantages)
    leaf = log_probs.clone().requires_grad_()
    ours = LOSSES[method](leaf, old, advantages, torch.ones(6, 50))
    assert ours.clip_fraction_high > 0  # the bound had a say
    ours.loss.backward()
    torch.testing.assert_close(theirs, ours.loss.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-12, atol=1e-15)


def test_the_presets_have_no_penalty():
    assert {settings["beta"] for settings in METHODS.values()} == {0.0}


@pytest.mark.parametrize(
    ("loss_type", "settings", "told"),
    [
        ("cispo", {"epsilon": 0.2, "epsilon_high": 0.28}, ["0.28", "6.0"]),
        ("cispo", {"epsilon": 0.2, "epsilon_high": None}, ["0.2", "6.0"]),
        ("cispo", {"epsilon": 0.2, "epsilon_high": float(Fraction(999, 1000))}, ["0.999"]),
        ("grpo", {"epsilon": -0.1, "epsilon_high": 0.2}, ["epsilon=-0.1", "[1.1, 1.2]"]),
        ("dapo", {"epsilon": 0.2, "epsilon_high": -0.1}, ["epsilon_high=-0.1", "[0.8, 0.9]"]),
        ("dapo", {"epsilon": 0.2, "epsilon_high": 0.2, "delta": 0.9}, ["delta=0.9"]),
    ],
)
def test_bounds_that_leave_out_on_policy_tokens_are_refused(loss_type, settings, told):
    with pytest.raises(UsageError) as refused:
        ratio_bounds(loss_type, **settings)
    assert [part for part in told if part not in str(refused.value)] == []
    with pytest.raises(UsageError):
        describe_bounds(loss_type, **settings)


def test_an_infinite_delta_is_none():
    plain = describe_bounds("dapo", 0.2, 0.28)
    assert describe_bounds("dapo", 0.2, 0.28, math.inf) == plain
    assert plain == "ratio in [0.8, 1.28], clipped (no gradient beyond)"
