"""The losses of `fgrpo.objective` against verl's own policy losses, on random log-probabilities.

They are the same losses but for one thing, in tests of its own below: verl keeps the log-ratio
within ±20; here it is as it is. verl's PPO loss always has a dual clip (``actor.clip_ratio_c``, 3
by default; above e²⁰ it decides nothing), ours if asked.

verl also adds 1e-8 to the number of a sequence's tokens, which is lost in rounding.
"""

import math

import pytest
import torch
from verl.trainer.ppo.core_algos import compute_policy_loss_cispo, compute_policy_loss_vanilla
from verl.workers.config import ActorConfig

from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss

ROWS, TOKENS = 9, 11
NO_DUAL_CLIP = 1e9  # more than any ratio verl lets through
AGGREGATES = {"token-mean": "token_mean", "seq-mean-token-mean": "sequence_mean"}
# How far the policy went: inside the bounds for the most part, across them, and far beyond.
SPREADS = [0.1, 1.0, 4.0]
SEEDS = range(3)
every_case = [
    pytest.mark.parametrize("seed", SEEDS),
    pytest.mark.parametrize("spread", SPREADS),
    pytest.mark.parametrize("mode", AGGREGATES),
]
both_duals = pytest.mark.parametrize(("dual", "verls_dual"), [(3.0, 3.0), (None, NO_DUAL_CLIP)])
TOLERANCE = {"rtol": 1e-12, "atol": 1e-15}


def cases(test):
    for mark in every_case:
        test = mark(test)
    return test


def random_tokens(seed, spread):
    """Return log-probabilities, old ones, advantages and a ragged mask with an empty row."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    log_probs = -2 * normal(ROWS, TOKENS).abs()
    old = log_probs - (spread * normal(ROWS, TOKENS)).clamp(-19, 19)
    old[0] = log_probs[0]  # a ratio of exactly 1
    rows = normal(ROWS)
    rows[1] = 0.0
    lengths = torch.randint(1, TOKENS + 1, (ROWS,), generator=generator)
    lengths[2], lengths[3], lengths[4] = 1, TOKENS, 0
    mask = (torch.arange(TOKENS) < lengths[:, None]).long()
    mask[3, 4:7] = 0  # tokens that a tool wrote
    return log_probs, old, rows[:, None] * mask, mask


def one_token(advantage, ratio_log, log_prob=-1.5):
    """Return a batch of one token."""
    log_probs = torch.tensor([[log_prob]], dtype=torch.float64)
    mask = torch.ones(1, 1, dtype=torch.long)
    return log_probs, log_probs - ratio_log, torch.full_like(log_probs, advantage), mask


def verls(function, tokens, mode="token-mean", batch_info=None, **settings):
    """Return verl's loss, its gradient, and its metrics."""
    config = ActorConfig(strategy="fsdp", rollout_n=1, use_dynamic_bsz=True, **settings)
    config.global_batch_info.update(batch_info or {})
    log_probs, old, advantages, mask = tokens
    leaf = log_probs.clone().requires_grad_()
    # verl's engine gives it booleans.
    loss, metrics = function(old, leaf, advantages, mask.bool(), mode, config)
    loss.backward()
    return loss.detach(), leaf.grad, metrics


def ours(function, tokens, mode="token-mean", **options):
    """Return our loss, its gradient, and the share of tokens it clipped."""
    log_probs, old, advantages, mask = tokens
    leaf = log_probs.clone().requires_grad_()
    found = function(leaf, old, advantages, mask, aggregate=AGGREGATES[mode], **options)
    found.loss.backward()
    return found.loss.detach(), leaf.grad, float(found.clip_fraction_low + found.clip_fraction_high)


def agree(mine, verl):
    assert verl[1].abs().max() > 0
    torch.testing.assert_close(mine[:2], verl[:2], **TOLERANCE)
    # verl counts in single precision, and apart what its dual clip decided.
    clipped = verl[2]["actor/pg_clipfrac"] + verl[2].get("actor/pg_clipfrac_lower", 0.0)
    assert mine[2] == pytest.approx(clipped, abs=1e-6)


@cases
@both_duals
def test_grpo(seed, spread, mode, dual, verls_dual):
    tokens = random_tokens(seed, spread)
    settings = {"clip_ratio_low": 0.2, "clip_ratio_high": 0.2, "clip_ratio_c": verls_dual}
    verl = verls(compute_policy_loss_vanilla, tokens, mode, **settings)
    agree(ours(grpo_loss, tokens, mode, clip=0.2, dual_clip=dual), verl)
    if dual is None or spread == SPREADS[-1]:
        assert (verl[2]["actor/pg_clipfrac_lower"] > 0) == (dual is not None)
    if spread > 0.5:
        assert verl[2]["actor/pg_clipfrac"] > 0.05


@cases
@both_duals
def test_dapo(seed, spread, mode, dual, verls_dual):
    tokens = random_tokens(seed, spread)
    # The base ratio is not used where the two offsets are given.
    settings = {"clip_ratio": 0.9, "clip_ratio_low": 0.1, "clip_ratio_high": 0.28}
    verl = verls(compute_policy_loss_vanilla, tokens, mode, clip_ratio_c=verls_dual, **settings)
    agree(ours(dapo_loss, tokens, mode, clip_low=0.1, clip_high=0.28, dual_clip=dual), verl)


@cases
@pytest.mark.parametrize(("low", "high"), [(1.0, 5.0), (0.2, 0.28)])
def test_cispo(seed, spread, mode, low, high):
    tokens = random_tokens(seed, spread)
    verl = verls(compute_policy_loss_cispo, tokens, mode, clip_ratio_low=low, clip_ratio_high=high)
    agree(ours(cispo_loss, tokens, mode, clip_low=low, clip_high=high), verl)


def test_verls_defaults_are_those_of_grpo_and_the_offsets_are_our_cispos():
    tokens = random_tokens(5, 1.0)
    agree(ours(grpo_loss, tokens), verls(compute_policy_loss_vanilla, tokens, clip_ratio_c=1e9))
    offsets = {"clip_ratio_low": 1.0, "clip_ratio_high": 5.0}
    agree(ours(cispo_loss, tokens), verls(compute_policy_loss_cispo, tokens, **offsets))


@pytest.mark.parametrize("mode", AGGREGATES)
def test_the_normalizer_is_verls_global_batch(mode):
    tokens = random_tokens(2, 1.0)
    # As verl's engine does for a mini-batch in several parts, with rows that have no token.
    info = {"batch_num_tokens": 123, "global_batch_size": 17, "dp_size": 1}
    verl = verls(compute_policy_loss_vanilla, tokens, mode, info, clip_ratio_c=NO_DUAL_CLIP)
    normalizer = {"token-mean": 123, "seq-mean-token-mean": 17}[mode]
    agree(ours(grpo_loss, tokens, mode, normalizer=normalizer), verl)


def test_verl_has_a_dual_clip_by_default_and_ours_only_if_asked():
    # Ratio 5, A = -2: verl's loss is -A·3 and the token learns nothing.
    tokens = one_token(-2.0, math.log(5))
    verl = verls(compute_policy_loss_vanilla, tokens)
    assert (float(verl[0]), float(verl[1])) == (6, 0)
    asked = ours(grpo_loss, tokens, dual_clip=3.0)
    assert (float(asked[0]), float(asked[1])) == (6, 0)
    assert float(ours(grpo_loss, tokens)[1]) == pytest.approx(10)


def test_verl_keeps_the_log_ratio_within_20():
    near, far = one_token(-1.0, 19.5), one_token(-1.0, 22.0)
    agree(ours(grpo_loss, near), verls(compute_policy_loss_vanilla, near, clip_ratio_c=1e12))
    loss, gradient, _ = verls(compute_policy_loss_vanilla, far, clip_ratio_c=1e12)
    assert (float(loss), float(gradient)) == (pytest.approx(math.exp(20)), 0)
    mine = ours(grpo_loss, far)
    assert float(mine[0]) == float(mine[1]) == pytest.approx(math.exp(22))

    # A right answer that became next to impossible: verl's gradient is 0, ours e⁻²².
    far = one_token(1.0, -22.0)
    loss, gradient, _ = verls(compute_policy_loss_vanilla, far)
    assert (float(loss), float(gradient)) == (pytest.approx(-math.exp(-20)), 0)
    assert float(ours(grpo_loss, far)[1]) == pytest.approx(-math.exp(-22))


@pytest.mark.parametrize("log_ratio", [-30.0, 30.0])
@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_cispos_bounds_hide_the_clamp_but_for_an_open_lower_one(log_ratio, advantage):
    tokens = one_token(advantage, log_ratio)
    for low in (0.2, 1.0):
        verl = verls(compute_policy_loss_cispo, tokens, clip_ratio_low=low, clip_ratio_high=5.0)
        mine = ours(cispo_loss, tokens, clip_low=low, clip_high=5.0)
        if low < 1 or log_ratio > 0:
            agree(mine, verl)
        else:
            assert float(verl[1]) == pytest.approx(-advantage * math.exp(-20))
            assert float(mine[1]) == pytest.approx(-advantage * math.exp(-30))
