"""Batches as verl's trainers hold them, and verl's own advantages of them."""

import random
from fractions import Fraction

import numpy as np
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.ray_trainer import compute_advantage

WIDTH = 6


def algorithm(run=None, **settings):
    """Return ``config.algorithm`` of a run, whose other settings go by their dotted names."""
    config = OmegaConf.create({"algorithm": {"norm_adv_by_std_in_grpo": True, **settings}})
    for name, value in (run or {}).items():
        OmegaConf.update(config, name, value)
    OmegaConf.set_struct(config, True)
    return config.algorithm


def batch(rewards, uids, lengths=None, dtype=torch.float32):
    """Return a batch with each reward on the last token of its row, where verl puts it."""
    n = len(rewards)
    lengths = torch.tensor(lengths or [WIDTH] * n)
    token_rewards = torch.zeros(n, WIDTH, dtype=dtype)
    last = (lengths - 1).clamp(min=0)
    token_rewards[torch.arange(n), last] = torch.tensor(rewards, dtype=dtype)
    mask = (torch.arange(WIDTH) < lengths[:, None]).long()
    return DataProto(
        batch=TensorDict(
            {"token_level_rewards": token_rewards, "response_mask": mask}, batch_size=n
        ),
        non_tensor_batch={"uid": np.array(uids, dtype=object)},
    )


def random_batch(seed, *, rewards=None, dtype=torch.float32):
    """Return groups of 2 to 9 rollouts in any order of rows, of any rewards or of those given."""
    draw = random.Random(seed)
    uids = [f"prompt{group}" for group in range(6) for _ in range(draw.randint(2, 9))]
    draw.shuffle(uids)
    values = [draw.choice(rewards) if rewards else draw.gauss(0.3, 1.0) for _ in uids]
    return batch(values, uids, [draw.randint(1, WIDTH) for _ in uids], dtype)


def advantages(data, config, name="f_grpo"):
    """Return what verl's trainers get from an estimator."""
    given = data.select(deepcopy=True)
    compute_advantage(
        given,
        adv_estimator=name,
        norm_adv_by_std_in_grpo=config["norm_adv_by_std_in_grpo"],
        config=config,
    )
    assert torch.equal(given.batch["token_level_rewards"], data.batch["token_level_rewards"])
    assert torch.equal(given.batch["returns"], given.batch["advantages"])
    return given.batch["advantages"]


def per_row(tensor, data):
    """Return each row's one number, having seen that all of its tokens have it, and no padding."""
    mask = data.batch["response_mask"]
    values = torch.where(mask.any(-1), tensor.gather(1, mask.argmax(-1, keepdim=True))[:, 0], 0)
    assert torch.equal(tensor, values[:, None] * mask)
    return values.tolist()


def rates(right, uids):
    """Return the success rate of each row's group, as a fraction."""
    groups = {}
    for uid, success in zip(uids, right, strict=True):
        groups.setdefault(uid, []).append(bool(success))
    return [Fraction(sum(groups[uid]), len(groups[uid])) for uid in uids]
