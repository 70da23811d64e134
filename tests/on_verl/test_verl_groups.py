"""verl's padding of batches, and what is logged about groups."""

import logging
import random
import statistics
from fractions import Fraction

import pytest
import torch
from verl_batches import WIDTH, advantages, algorithm, batch, random_batch, rates

from fgrpo.errors import UsageError
from fgrpo.integrations.verl.step import Step

SUCCESSES = {"none": 0, "two": 2, "six": 6, "all": 8}
DR = {"norm_adv_by_std_in_grpo": False}


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("fgrpo")]


def padded(data, n):
    """Return the batch with n rows as `upsample_batch_to_divisible_size` makes them, among it."""
    rewards = data.batch["token_level_rewards"].sum(-1).tolist()
    lengths = data.batch["response_mask"].sum(-1).tolist()
    rows = list(zip(rewards, data.non_tensor_batch["uid"], lengths, strict=True))
    rows += [(0.0, "pad0123", 0)] * n
    order = list(range(len(rows)))
    random.Random(n).shuffle(order)
    return batch(*zip(*(rows[i] for i in order), strict=True)), order


def measured(data, config):
    """Return the metrics of a batch of one output for each rollout."""
    keys = [f"{uid}_{i}_0" for i, uid in enumerate(data.non_tensor_batch["uid"])]
    with Step(keys, "train").running() as step:
        advantages(data, config)
    return step.metrics


@pytest.mark.parametrize("n", [1, 3, 40])
def test_padding_changes_no_advantage_and_no_metric(n, caplog):
    data = random_batch(4, rewards=[0.0, 1.0])
    more, order = padded(data, n)
    config = algorithm({"actor_rollout_ref.rollout.n": 9}, focal_gamma=0.5)
    plain, found = advantages(data, config), advantages(more, config)
    for row, i in enumerate(order):
        expected = plain[i] if i < len(data) else torch.zeros(WIDTH)
        assert torch.equal(found[row], expected)
    assert measured(more, config) == pytest.approx(measured(data, config), rel=1e-6)
    assert [text.split(" prompts")[0] for text in warnings(caplog)] == ["5 of 6"]  # of sizes 3 to 9


def test_a_batch_of_padding_alone_has_no_metrics(caplog):
    data = batch([0.0] * 3, ["pad0123"] * 3, [0] * 3)
    assert measured(data, algorithm()) == {}
    assert not advantages(data, algorithm()).any()
    assert not warnings(caplog)


def test_metrics_counted_by_hand():
    rows = [(name, float(i < right)) for name, right in SUCCESSES.items() for i in range(8)]
    random.Random(2).shuffle(rows)
    uids, rewards = zip(*rows, strict=True)
    lengths = [1 + i % WIDTH for i in range(32)]
    config = algorithm(focal_gamma=1, focal_tail_share=0.25, **DR)
    found = measured(batch(rewards, uids, lengths), config)

    means = [Fraction(right, 8) for right in SUCCESSES.values()]
    # Lemma 3.1 with N = 8, μ the group's rate and τ = μ/4.
    risks = [(1 - m / 4) ** 8 - (m - m / 4) ** 8 - (1 - m) ** 8 for m in means]
    rate = dict(zip(SUCCESSES, means, strict=True))
    before = [
        n * abs(Fraction(r) - rate[u]) for u, r, n in zip(uids, rewards, lengths, strict=True)
    ]
    after = [b * (1 - rate[u]) for u, b in zip(uids, before, strict=True)]
    assert found == pytest.approx(
        {
            "focal/weight_mean": 1 / 2,
            "focal/groups_solved_all": 1 / 4,
            "focal/groups_solved_none": 1 / 4,
            "focal/groups_mixed": 1 / 2,
            "focal/success_rate_mean": 1 / 2,
            "focal/tail_miss_risk": float(statistics.mean(risks)),
            "focal/update_scale": float(sum(after) / sum(before)),
        },
        rel=1e-6,
    )


def test_metrics_of_groups_of_unequal_sizes():
    uids, rewards = ["a"] * 4 + ["b"] * 2, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    found = measured(batch(rewards, uids), algorithm(focal_gamma=1, focal_tail_share=0.5, **DR))
    # Each group counts once, with its own N: μ = 1/4 of 4, and 1/2 of 2.
    risks = [Fraction(7, 8) ** 4 - Fraction(1, 8) ** 4 - Fraction(3, 4) ** 4]
    risks += [Fraction(3, 4) ** 2 - Fraction(1, 4) ** 2 - Fraction(1, 2) ** 2]
    assert found["focal/tail_miss_risk"] == pytest.approx(float(statistics.mean(risks)))
    assert found["focal/success_rate_mean"] == pytest.approx(3 / 8)
    assert found["focal/weight_mean"] == pytest.approx(5 / 8)
    # (3/4)(3/4 + 3/4) + (1/2)(1/2 + 1/2) of 3/4 + 3/4 + 1/2 + 1/2.
    assert found["focal/update_scale"] == pytest.approx((9 / 8 + 1 / 2) / (5 / 2))


def test_a_row_without_tokens_leaves_its_group_among_the_metrics():
    data = batch([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], ["a"] * 4 + ["b"] * 2, [3, 0, 2, 2, 1, 1])
    found = measured(data, algorithm(focal_gamma=1, **DR))
    assert found["focal/success_rate_mean"] == pytest.approx(3 / 8)


def test_without_an_advantage_there_is_no_update_to_scale():
    found = measured(batch([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]), algorithm())
    assert found["focal/weight_mean"] == 0.5
    assert "focal/update_scale" not in found


def test_verls_own_trainers_get_no_metrics():
    data = random_batch(1)
    with Step([], "train").running() as step:
        pass
    advantages(data, algorithm())
    assert step.metrics == {}


def test_the_metrics_are_averaged_over_a_steps_batches():
    from verl.trainer.ppo.v1.utils import MetricsAggregator

    config = algorithm(focal_gamma=1)
    steps = [
        (measured(random_batch(seed, rewards=[0.0, 1.0]), config), 10 + 20 * seed)
        for seed in (0, 1)
    ]
    aggregator = MetricsAggregator()
    for metrics, samples in steps:
        aggregator.add_step_metrics(metrics, sample_count=samples)
    (first, n), (second, m) = steps
    assert len(first) == 7
    assert all(first[name] != second[name] for name in ("focal/weight_mean", "focal/update_scale"))
    assert aggregator.get_aggregated_metrics() == pytest.approx(
        {name: (n * first[name] + m * second[name]) / (n + m) for name in first}
    )


def test_more_rows_than_rollouts_are_refused_where_verl_does_not_tell_them_apart():
    data = batch([1.0, 0.0, 0.0, 1.0, 1.0], ["a", "b", "b", "b", "a"])
    with pytest.raises(UsageError) as refusal:
        advantages(data, algorithm({"actor_rollout_ref.rollout.n": 2}))
    assert "prompt b has 3 rows for actor_rollout_ref.rollout.n=2" in str(refusal.value)
    assert "trainer.v1.trainer_mode=focal_sync" in str(refusal.value)
    for known in ({"actor_rollout_ref.rollout.n": 3}, {"data.max_response_length": 9}, None):
        assert advantages(data, algorithm(known)).any()
    assert torch.equal(advantages(data, {**algorithm()}), advantages(data, algorithm()))


def test_fewer_rows_than_rollouts_are_what_failed_rollouts_leave():
    data = batch([1.0, 0.0, 0.0], ["a"] * 3)
    assert advantages(data, algorithm({"actor_rollout_ref.rollout.n": 8})).any()


@pytest.mark.parametrize(("longest", "told"), [(4, True), (5, False)])
def test_cut_answers_are_told(longest, told, caplog):
    # Two thirds of the answers have four tokens; padding is no answer.
    data, _ = padded(batch([1.0, 0.0, 0.0] * 2, ["a"] * 6, [4, 2, 4] * 2), 30)
    config = algorithm({"data.max_response_length": longest})
    with caplog.at_level(logging.WARNING):
        for _ in range(12):
            advantages(data, config)
    assert len(warnings(caplog)) == told
    assert all("67%" in text for text in warnings(caplog))
    assert all("data.max_response_length=4" in text for text in warnings(caplog))


def test_groups_without_a_signal_are_told_by_verls_names(caplog):
    uids = [f"p{i // 2}" for i in range(128)]
    with caplog.at_level(logging.WARNING):
        advantages(batch([0.0] * 128, uids), algorithm())
    (text,) = warnings(caplog)
    assert "larger actor_rollout_ref.rollout.n" in text


def test_a_threshold_out_of_reach_is_told(caplog):
    uids = [f"p{i // 2}" for i in range(128)]
    with caplog.at_level(logging.WARNING):
        advantages(batch([0.0, 0.25] * 64, uids), algorithm())
    (text,) = warnings(caplog)
    assert "focal_threshold=0.5" in text
    assert "focal_success the right one" in text


def test_rates_of_the_metrics_are_those_of_the_weights():
    data = random_batch(9, rewards=[-1.0, 0.25, 1.0])
    rewards = data.batch["token_level_rewards"].sum(-1)
    uids = data.non_tensor_batch["uid"]
    by_prompt = dict(zip(uids, rates(rewards >= 0.25, uids), strict=True))
    found = measured(data, algorithm(focal_threshold=0.25))
    expected = float(statistics.mean(by_prompt.values()))
    assert found["focal/success_rate_mean"] == pytest.approx(expected)


def test_groups_with_missing_rollouts_are_told_once(caplog):
    data = batch([0.0, 1.0, 0.0, 1.0, 0.0], ["a", "a", "a", "b", "b"])
    config = algorithm({"actor_rollout_ref.rollout.n": 3})
    for _ in range(2):
        advantages(data, config)
    (text,) = warnings(caplog)
    assert "1 of 2 prompts have fewer rollouts than actor_rollout_ref.rollout.n=3" in text
    assert "the smallest group 2" in text


@pytest.mark.parametrize(
    ("uid", "weight"), [("none", 1), ("two", 0.8660254), ("six", 0.5), ("all", 0)]
)
def test_the_weight_of_a_group_of_eight_with_gamma_one_half(uid, weight):
    right = {"none": 0, "two": 2, "six": 6, "all": 8}[uid]
    data = batch([1.0] * right + [0.0] * (8 - right), [uid] * 8)
    metrics = measured(data, algorithm(focal_gamma=0.5))
    assert metrics["focal/weight_mean"] == pytest.approx(weight, rel=1e-6)
