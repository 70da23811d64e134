"""The losses of `fgrpo.objective` against those of TRL's own code, on random log-probabilities.

TRL's trainer computes its loss from a batch; only the model's log-probabilities are replaced.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss
from trl_loss import idle_trainer, loss_and_gradient

# transformers renames what TRL still calls by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning")

ROWS, TOKENS, LONGEST = 8, 9, 13
# How far the policy went: inside the bounds for the most part, across them, and absurdly far.
SPREADS = [0.1, 1.0, 6.0]
TOLERANCE = {
    torch.float64: {"rtol": 1e-10, "atol": 1e-13},
    torch.float32: {"rtol": 2e-6, "atol": 2e-7},
}


@dataclass
class Batch:
    """What both losses take."""

    log_probs: Tensor
    old_log_probs: Tensor
    advantages: Tensor
    mask: Tensor

    @classmethod
    def random(cls, seed, spread=1.0, dtype=torch.float64, per_token=False):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=dtype)

        log_probs = -2 * normal(ROWS, TOKENS).abs()
        old = log_probs - spread * normal(ROWS, TOKENS)
        old[0] = log_probs[0]  # a ratio of exactly 1
        advantages = normal(ROWS, TOKENS) if per_token else normal(ROWS)
        advantages[1] = 0
        lengths = torch.randint(1, TOKENS + 1, (ROWS,), generator=generator)
        lengths[2], lengths[3] = 1, TOKENS
        mask = (torch.arange(TOKENS) < lengths[:, None]).long()
        return cls(log_probs, old, advantages, mask)

    def rows(self, start, stop):
        return Batch(*(getattr(self, field.name)[start:stop] for field in dataclasses.fields(self)))

    def loss(self, function, **options):
        """Return a loss of fgrpo.objective and its gradient."""
        log_probs = self.log_probs.clone().requires_grad_()
        result = function(log_probs, self.old_log_probs, self.advantages, self.mask, **options)
        result.loss.backward()
        return result.loss.detach(), log_probs.grad


class Trl:
    """TRL's loss with given settings; as in a training where nothing is accumulated."""

    def __init__(self, trainer, monkeypatch):
        self.trainer, self._patch = trainer, monkeypatch
        self.use(epsilon_low=0.2, epsilon_high=0.2)
        self.accumulate(1)

    def use(self, **attributes):
        for name, value in attributes.items():
            self._patch.setattr(self.trainer, name, value, raising=False)

    def accumulate(self, steps, *, generation=None):
        """Take ``steps`` micro-batches to an update, ``generation`` to a generation batch."""
        self.use(current_gradient_accumulation_steps=steps)
        self._patch.setattr(self.trainer.args, "steps_per_generation", generation or steps)

    def loss(self, batch, *, items=None, holes=None):
        """Return the loss and its gradient; ``items`` tokens are in the generation batch."""
        more = {} if holes is None else {"tool_mask": holes}
        if items is not None:
            more["num_items_in_batch"] = torch.tensor(items)
        return loss_and_gradient(
            self.trainer,
            batch.log_probs,
            batch.mask,
            advantages=batch.advantages,
            old_per_token_logps=batch.old_log_probs,
            **more,
        )

    def metric(self, name):
        return self.trainer._metrics["train"][name][-1]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    config = GRPOConfig(
        output_dir=str(tmp_path_factory.mktemp("trl")),
        report_to="none",
        use_cpu=True,
        bf16=False,
        beta=0.0,
        max_completion_length=LONGEST,
    )
    return idle_trainer(GRPOTrainer, config)


@pytest.fixture
def trl(trainer, monkeypatch):
    return Trl(trainer, monkeypatch)


def assert_same(ours, theirs, dtype=torch.float64):
    for one, other in zip(ours, theirs, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, **TOLERANCE[dtype])


CLIPS = [
    (grpo_loss, {"clip": 0.2}, (0.2, 0.2)),
    (grpo_loss, {"clip": 0.5}, (0.5, 0.5)),
    (dapo_loss, {}, (0.2, 0.28)),
    (dapo_loss, {"clip_low": 1.0, "clip_high": 4.0}, (1.0, 4.0)),
    (dapo_loss, {"clip_low": 0.05, "clip_high": 0.0}, (0.05, 0.0)),
]
AGGREGATES = {"dapo": "token_mean", "bnpo": "token_mean", "grpo": "sequence_mean"}
every_clip = pytest.mark.parametrize(("function", "options", "bounds"), CLIPS)
every_spread = pytest.mark.parametrize("spread", SPREADS)


@every_spread
@every_clip
@pytest.mark.parametrize(("loss_type", "aggregate"), AGGREGATES.items())
def test_grpo_and_dapo(loss_type, aggregate, function, options, bounds, spread, trl):
    trl.use(loss_type=loss_type, epsilon_low=bounds[0], epsilon_high=bounds[1])
    for seed in range(20):
        batch = Batch.random(seed, spread, per_token=seed % 4 == 3)
        ours = batch.loss(function, aggregate=aggregate, **options)
        assert_same(ours, trl.loss(batch))


@every_spread
@pytest.mark.parametrize("clip_high", [5.0, 0.0, 0.28])
def test_cispo_whose_cap_is_the_ratio_itself_in_trl(clip_high, spread, trl):
    trl.use(loss_type="cispo", epsilon_high=1 + clip_high)
    for seed in range(20):
        batch = Batch.random(seed, spread, per_token=seed % 4 == 3)
        assert_same(batch.loss(cispo_loss, clip_high=clip_high), trl.loss(batch))


@pytest.mark.parametrize("loss_type", ["dapo", "cispo"])
def test_in_single_precision(loss_type, trl):
    trl.use(loss_type=loss_type, epsilon_high=6.0 if loss_type == "cispo" else 0.2)
    function = cispo_loss if loss_type == "cispo" else grpo_loss
    for seed in range(20):
        batch = Batch.random(seed, dtype=torch.float32)
        assert_same(batch.loss(function), trl.loss(batch), torch.float32)


def test_cispo_has_no_lower_bound_in_trl(trl):
    trl.use(loss_type="cispo", epsilon_high=6.0)
    batch = Batch.random(0)
    low = (batch.log_probs - batch.old_log_probs).exp() < 0.5
    low &= (batch.mask > 0) & (batch.advantages != 0)[:, None]
    assert low.any()
    theirs = trl.loss(batch)[1]
    assert_same([batch.loss(cispo_loss, clip_low=1.0)[1]], [theirs])
    assert torch.equal(~torch.isclose(batch.loss(cispo_loss, clip_low=0.5)[1], theirs), low)


def test_dr_grpo_divides_by_the_longest_completion_there_could_be(trl):
    trl.use(loss_type="dr_grpo")
    for seed in range(20):
        batch = Batch.random(seed)
        assert_same(batch.loss(grpo_loss, normalizer=ROWS * LONGEST), trl.loss(batch))


@pytest.mark.parametrize(("loss_type", "aggregate"), AGGREGATES.items())
def test_tokens_of_tools_are_no_tokens(loss_type, aggregate, trl):
    trl.use(loss_type=loss_type)
    for seed in range(20):
        batch = Batch.random(seed)
        holes = (torch.rand(ROWS, TOKENS, generator=torch.Generator().manual_seed(seed)) < 0.7) * 1
        holes[:, 0] = 1  # a sequence without tokens is the next test
        without = dataclasses.replace(batch, mask=batch.mask * holes)
        ours = without.loss(grpo_loss, aggregate=aggregate)
        assert_same(ours, trl.loss(batch, items=int(without.mask.sum()), holes=holes))


def test_a_sequence_without_tokens_counts_in_trls_mean_over_sequences(trl):
    trl.use(loss_type="grpo")
    batch = Batch.random(0)
    batch.mask[5] = 0
    theirs = trl.loss(batch)
    assert_same(batch.loss(grpo_loss, aggregate="sequence_mean", normalizer=ROWS), theirs)
    value, gradient = batch.loss(grpo_loss, aggregate="sequence_mean")
    assert_same([value * (ROWS - 1) / ROWS, gradient * (ROWS - 1) / ROWS], theirs)


@every_clip
def test_clip_fractions(function, options, bounds, trl):
    trl.use(loss_type="dapo", epsilon_low=bounds[0], epsilon_high=bounds[1])
    low = high = 0.0
    for seed in range(20):
        batch = Batch.random(seed)
        trl.loss(batch)
        result = function(**vars(batch), **options)
        assert float(result.clip_fraction_low) == pytest.approx(trl.metric("clip_ratio/low_mean"))
        assert float(result.clip_fraction_high) == pytest.approx(trl.metric("clip_ratio/high_mean"))
        low, high = low + result.clip_fraction_low, high + result.clip_fraction_high
    assert high > 0
    assert (low > 0) == (bounds[0] < 1)  # no ratio is below 0


def test_the_clip_fraction_of_cispo_counts_positive_advantages_alone_in_trl(trl):
    trl.use(loss_type="cispo", epsilon_high=2.0)
    batch = Batch.random(0)
    trl.loss(batch)
    theirs = trl.metric("cispo_clip_ratio")
    above = (batch.log_probs - batch.old_log_probs).exp() > 2
    tokens = batch.mask.sum()
    both = cispo_loss(**vars(batch), clip_high=1.0).clip_fraction_high
    assert float(both) == pytest.approx(float((above * batch.mask).sum() / tokens))
    counted = above * batch.mask * (batch.advantages > 0)[:, None]
    assert 0 < theirs < float(both)
    assert theirs == pytest.approx(float(counted.sum() / tokens))


def accumulated(trl, batch, parts, **options):
    """Return TRL's loss and gradient summed over micro-batches of one size."""
    size = ROWS // parts
    losses = [trl.loss(batch.rows(i * size, (i + 1) * size), **options) for i in range(parts)]
    return sum(loss for loss, _ in losses), torch.cat([gradient for _, gradient in losses])


ACCUMULATED = {
    "dapo": (grpo_loss, "token_mean", {}),
    "cispo": (cispo_loss, "token_mean", {"epsilon_high": 6.0}),
    "grpo": (grpo_loss, "sequence_mean", {}),
}


@pytest.mark.parametrize("loss_type", ACCUMULATED)
@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulation_changes_nothing(parts, loss_type, trl):
    function, aggregate, attributes = ACCUMULATED[loss_type]
    trl.use(loss_type=loss_type, **attributes)
    for seed in range(10):
        batch = Batch.random(seed)
        items = int(batch.mask.sum())
        trl.accumulate(1)
        whole = trl.loss(batch, items=items)
        trl.accumulate(parts)
        theirs = accumulated(trl, batch, parts, items=items)
        assert_same(whole, theirs)
        # And so it is here, where each part is told the size of the whole.
        normalizer = items if aggregate == "token_mean" else ROWS
        options = {"aggregate": aggregate, "normalizer": normalizer}
        size = ROWS // parts
        rows = [batch.rows(i, i + size) for i in range(0, ROWS, size)]
        ours = [part.loss(function, **options) for part in rows]
        assert_same([sum(loss for loss, _ in ours), torch.cat([g for _, g in ours])], theirs)


def test_bnpo_is_the_mean_of_the_micro_batches_own_token_means(trl):
    trl.use(loss_type="bnpo")
    batch = Batch.random(0)
    trl.accumulate(4)
    loss, gradient = accumulated(trl, batch, 4)
    ours = [batch.rows(i, i + 2).loss(grpo_loss) for i in range(0, ROWS, 2)]
    assert_same([sum(loss for loss, _ in ours) / 4], [loss])
    assert_same([torch.cat([part for _, part in ours]) / 4], [gradient])
    assert not torch.allclose(gradient, batch.loss(grpo_loss)[1], rtol=0.01)


@pytest.mark.parametrize("loss_type", ["dapo", "cispo"])
def test_an_update_on_half_a_generation_batch_divides_by_half_of_its_tokens(loss_type, trl):
    # By half of all tokens, not by those of the update's own sequences.
    function, _, attributes = ACCUMULATED[loss_type]
    trl.use(loss_type=loss_type, **attributes)
    batch = Batch.random(0)
    items = int(batch.mask.sum())
    half = batch.rows(0, ROWS // 2)
    assert half.mask.sum() != items / 2
    trl.accumulate(2, generation=4)
    size = ROWS // 4
    parts = [trl.loss(half.rows(i, i + size), items=items) for i in (0, size)]
    theirs = [sum(loss for loss, _ in parts), torch.cat([gradient for _, gradient in parts])]
    assert_same(half.loss(function, normalizer=items / 2), theirs)
