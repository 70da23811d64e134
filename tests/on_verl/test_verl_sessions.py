"""Agent loops with several outputs: one rollout each, as verl counts them for its ``grpo``."""

import random

import pytest
import torch
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl_batches import WIDTH, advantages, algorithm, batch, per_row

from fgrpo.integrations.verl.step import Step, current_step

DR = {"norm_adv_by_std_in_grpo": False}


def as_batch(rows):
    """Return the keys and the batch of rows (uid, session, output, reward, length)."""
    uids, sessions, outputs, rewards, lengths = zip(*rows, strict=True)
    keys = [f"{u}_{s}_{o}" for u, s, o in zip(uids, sessions, outputs, strict=True)]
    return keys, batch(rewards, uids, lengths)


def in_step(keys, data, config):
    with Step(keys, "train").running() as step:
        return advantages(data, config), step.metrics


def verls(keys, data, config):
    given = data.select(deepcopy=True)
    scaled = config.norm_adv_by_std_in_grpo
    compute_advantage_for_multi_trajectories(
        given, keys, "grpo", norm_adv_by_std_in_grpo=scaled, config=config
    )
    return given.batch["advantages"]


def random_rows(seed, most_outputs):
    """Return sessions of several outputs, some missing, some whose last output has no token."""
    draw = random.Random(seed)
    rows = []
    for uid in ("p", "p_1", "q_0_0", "uid-2", "z"):
        for session in draw.sample(range(13), draw.randint(2, 9)):
            reward = draw.gauss(0.2, 1.0)
            last = draw.randint(0, most_outputs - 1)
            for output in range(last + 1):
                empty = output == last and draw.random() < 0.2
                rows.append((uid, session, output, reward, 0 if empty else draw.randint(1, WIDTH)))
    draw.shuffle(rows)
    return rows


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("most_outputs", [1, 3, 12])
@pytest.mark.parametrize("seed", range(8))
def test_gamma_0_is_verls_grpo_bit_for_bit(seed, most_outputs, scaled):
    keys, data = as_batch(random_rows(seed, most_outputs))
    config = algorithm(focal_gamma=0, norm_adv_by_std_in_grpo=scaled)
    plain = verls(keys, data, config)
    assert plain.abs().max() > 0.1
    assert torch.equal(in_step(keys, data, config)[0], plain)


SESSIONS = [
    # Of four rollouts one is right; it has five outputs, the others one, two and one.
    *[("a", 0, output, 1.0, 1 + output) for output in range(5)],
    ("a", 1, 0, 0.0, 2),
    ("a", 2, 0, 0.0, 6),
    ("a", 2, 1, 0.0, 3),
    ("a", 3, 0, 0.0, 1),
    # Two rollouts, one right; two more gave nothing.
    ("b", 10, 0, 0.0, 4),
    ("b", 2, 0, 1.0, 4),
    ("b", 2, 1, 1.0, 2),
]


def test_weights_and_metrics_count_a_rollout_once():
    rows = random.Random(1).sample(SESSIONS, len(SESSIONS))
    keys, data = as_batch(rows)
    config = algorithm({"actor_rollout_ref.rollout.n": 4}, focal_gamma=1, **DR)
    found, metrics = in_step(keys, data, config)
    # 3/4 of 3/4 and of -1/4; 1/2 of ±1/2.
    expected = {("a", 1.0): 9 / 16, ("a", 0.0): -3 / 16, ("b", 1.0): 1 / 4, ("b", 0.0): -1 / 4}
    assert per_row(found, data) == [expected[uid, reward] for uid, _, _, reward, _ in rows]
    assert metrics["focal/success_rate_mean"] == pytest.approx(3 / 8)
    assert metrics["focal/groups_mixed"] == 1
    # The update is made with every token of every output: 15 and 12 in a, 6 and 4 in b.
    before = 15 * 3 / 4 + 12 / 4 + 6 / 2 + 4 / 2
    after = 15 * 9 / 16 + 12 * 3 / 16 + 6 / 4 + 4 / 4
    assert metrics["focal/update_scale"] == pytest.approx(after / before)


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_token_reward_is_that_of_the_last_output(seed):
    rows = random.Random(seed).sample(SESSIONS, len(SESSIONS))
    keys, data = as_batch(rows)
    config = algorithm(focal_gamma=1, **DR)
    plain, _ = in_step(keys, data, config)
    config = algorithm(focal_gamma=1, focal_success="max_token_reward", **DR)
    assert torch.equal(in_step(keys, data, config)[0], plain)


def test_the_last_output_has_the_highest_number_and_not_the_last_place():
    # A custom agent loop may give its outputs rewards of their own.
    rows = [("a", 0, 10, 1.0, 2), ("a", 0, 9, 0.0, 2), ("a", 1, 0, 0.0, 2), ("a", 0, 2, 0.0, 2)]
    keys, data = as_batch(rows)
    found, _ = in_step(keys, data, algorithm(focal_gamma=1, **DR))
    assert per_row(found, data) == [0.25, 0.25, -0.25, 0.25]


def test_an_empty_last_output_makes_its_session_0_and_still_counts():
    rows = [("a", 0, 0, 1.0, 3), ("a", 0, 1, 1.0, 0), ("a", 1, 0, 0.0, 3), ("a", 2, 0, 1.0, 3)]
    keys, data = as_batch(rows)
    found, _ = in_step(keys, data, algorithm(focal_gamma=1, **DR))
    # Two of three are right: 1/3 of 1/3 and of -2/3.
    assert per_row(found, data) == pytest.approx([0, 0, -2 / 9, 1 / 9])
    assert torch.equal(found[0], torch.zeros(WIDTH))


def test_a_session_of_many_outputs_is_a_single_rollout(caplog):
    keys, data = as_batch([("a", 0, output, 1.0, 3) for output in range(4)])
    found, _ = in_step(keys, data, algorithm())
    assert not found.any()
    assert "1 of 1 prompts have a single rollout" in caplog.text


def fail():
    raise ZeroDivisionError


def test_a_step_ends_with_what_it_was_for():
    outer, inner = Step(["a_0_0"], "train"), Step(["b_0_0"], "train")
    assert current_step() is None
    with outer.running():
        with inner.running():
            assert current_step() is inner
        assert current_step() is outer
        with pytest.raises(ZeroDivisionError), inner.running():
            fail()
        assert current_step() is outer
    assert current_step() is None
