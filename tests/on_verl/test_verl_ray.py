"""The estimator in an actor of Ray's, where ``import verl`` has to bring it along by itself."""

import math
import os
import tempfile

import psutil
import pytest
import ray

# A Ray of its own: no two of these in different workers of pytest.
pytestmark = pytest.mark.xdist_group("verl_runs")


@pytest.fixture
def one_cpu():
    # Short: the names of Ray's sockets may have 107 characters.
    folder = tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        _temp_dir=folder.name,
        log_to_driver=False,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
    )
    try:
        yield
    finally:
        started = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
        assert started
        ray.shutdown()
        _, alive = psutil.wait_procs(started, timeout=20)
        folder.cleanup()
        assert not alive, f"Ray left {alive}"


def test_an_actor_has_the_estimator(one_cpu):
    class Actor:
        def run(self):
            import sys

            import torch
            import verl  # noqa: F401  # as verl's own actors do
            from verl.trainer.ppo.core_algos import get_adv_estimator_fn

            rewards = torch.tensor([1.0, 1.0, 0, 0, 0, 0, 0, 0])[:, None] * torch.tensor([0.0, 1.0])
            found, _ = get_adv_estimator_fn("f_grpo")(
                token_level_rewards=rewards,
                response_mask=torch.ones(8, 2),
                index=["a"] * 8,
                config={"focal_gamma": 0.5},
            )
            return os.getpid(), found.tolist(), "verl.trainer.ppo.v1" in sys.modules

    actor = ray.remote(num_cpus=1)(Actor).remote()
    pid, found, trainers = ray.get(actor.run.remote(), timeout=120)
    assert pid != os.getpid()
    assert not trainers
    # Two of eight: the weight √(3/4) of 3/4 and of -1/4, over the deviation √(3/14).
    right, wrong = 3 / 8 * math.sqrt(14), -1 / 8 * math.sqrt(14)
    assert found == [pytest.approx([value] * 2, rel=5e-6) for value in [right] * 2 + [wrong] * 6]
