"""Complete runs of verl on the CPU: ``python -m verl.trainer.main_ppo``, Ray, FSDP2 and all.

What verl logged is compared with what follows from the token ids that its rollout engine drew and
the scores that it dumped, by plain Python and a plain gradient.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from statistics import mean, stdev
from typing import NamedTuple

import pytest
import torch

from support.verl_cpu.launch import alive, run
from support.verl_cpu.settings import FOCAL, GROUP, METRICS, METRICS_MODULE
from support.verl_cpu.task import PROMPTS, save_task
from support.verl_cpu.verifier import readable
from tiny_llm import byte_tokenizer, tiny_model

# A run is one Ray with a dozen processes: no two of these in different workers of pytest.
pytestmark = pytest.mark.xdist_group("verl_runs")

GAMMA = 0.5
STEPS = 3
RESUMABLE = {
    "trainer.total_training_steps": STEPS,
    "trainer.save_freq": 2,
    # So that a learning rate that was not restored shows.
    "actor_rollout_ref.actor.optim.lr_scheduler_type": "cosine",
}


class Rollout(NamedTuple):
    prompt: list[int]
    completion: list[int]
    score: float
    advantage: float  # before the focal weight
    weight: float


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Futures of the runs, two at a time: each of them mostly waits for its own processes."""
    folder = tmp_path_factory.mktemp("verl_runs")
    task = save_task(folder / "task")

    def plain(name, changes, **options):
        return run(task, folder / name, FOCAL | changes, **options)

    def logged(name, changes):
        return plain(name, METRICS | changes, modules=[METRICS_MODULE])

    def resumed():
        saved = futures["whole"].result().folder / "checkpoints" / "global_step_2"
        place = {"trainer.resume_mode": "resume_path", "trainer.resume_from_path": saved}
        return logged("resumed", RESUMABLE | place)

    with ThreadPoolExecutor(2) as pool:
        futures = {"whole": pool.submit(logged, "whole", RESUMABLE)}
        futures["two"] = pool.submit(plain, "two", {"trainer.n_gpus_per_node": 2})
        futures["resumed"] = pool.submit(resumed)
        futures["refused"] = pool.submit(logged, "refused", {"+algorithm.focal_gamma": -1})
        futures["late"] = pool.submit(plain, "late", {}, seconds=15)
        yield futures
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def whole(runs):
    """Three steps, one process, with the metrics."""
    return runs["whole"].result().succeeded()


@pytest.fixture
def two(runs):
    """Two steps on two processes, with nothing but the two overrides."""
    return runs["two"].result().succeeded()


@pytest.fixture
def resumed(runs):
    """The third step of `whole`, from what it saved after the second."""
    return runs["resumed"].result().succeeded()


def groups(finished, step, ranks=1):
    """Return the rollouts of a step, by their prompts, as counted from what the run left."""
    words = byte_tokenizer()
    drawn = {}
    for row in (row for rank in range(ranks) for row in finished.draws(step - 1, rank)):
        texts = (words.decode(row[name], skip_special_tokens=True) for name in row)
        drawn.setdefault(tuple(texts), []).append(row)
    scores = {}
    for row in finished.rollouts(step):
        place = scores.setdefault(row["uid"].split("_")[0], [])
        place.append((row["score"], drawn[row["input"], row["output"]].pop()))
    assert not any(drawn.values()), "something was drawn and not trained on"
    return [weighed(rows) for rows in scores.values()]


def weighed(rows):
    """Return the rollouts of one prompt with their advantages and weights."""
    scores = [score for score, _ in rows]
    rate = Fraction(sum(score >= 0.5 for score in scores), len(scores))
    spread = stdev(scores) + 1e-6
    return [
        Rollout(
            **row, score=s, advantage=(s - mean(scores)) / spread, weight=float(1 - rate) ** GAMMA
        )
        for s, row in rows
    ]


def rates(found):
    return [Fraction(sum(rollout.score >= 0.5 for rollout in group), GROUP) for group in found]


def weighted_advantages(found):
    """Return an advantage for each token."""
    return [r.weight * r.advantage for group in found for r in group for _ in r.completion]


def gradient_norm(finished, step, ranks=1):
    """Return the norm of the policy gradient, from the weights before a step and its rollouts."""
    model = tiny_model()
    model.load_state_dict(finished.weights(step - 1), strict=False)
    model.tie_weights()
    rollouts = [rollout for group in groups(finished, step, ranks) for rollout in group]
    tokens = sum(len(rollout.completion) for rollout in rollouts)
    for prompt, completion, _, advantage, weight in rollouts:
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])
        (-weight * advantage * chosen.sum() / tokens).backward()
    return math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))


def distance(weights, other):
    assert weights.keys() == other.keys()
    return max(float((weights[name] - other[name]).abs().max()) for name in weights)


def advantages_agree(metrics, found):
    expected = weighted_advantages(found)
    for name, value in (("max", max(expected)), ("min", min(expected)), ("mean", mean(expected))):
        assert metrics[f"critic/advantages/{name}"] == pytest.approx(value, rel=1e-5, abs=1e-6)


class TestOneProcess:
    @pytest.mark.parametrize("step", range(1, STEPS + 1))
    def test_focal_metrics_follow_from_the_dumped_scores(self, whole, step):
        metrics = whole.metrics()[step]
        found = groups(whole, step)
        assert [len(group) for group in found] == [GROUP] * PROMPTS
        counted = rates(found)
        plain = [r.advantage for group in found for r in group for _ in r.completion]
        expected = {
            "weight_mean": mean(float(1 - rate) ** GAMMA for rate in counted),
            "groups_solved_all": Fraction(counted.count(1), PROMPTS),
            "groups_solved_none": Fraction(counted.count(0), PROMPTS),
            "groups_mixed": Fraction(sum(0 < rate < 1 for rate in counted), PROMPTS),
            "success_rate_mean": mean(counted),
            "update_scale": sum(map(abs, weighted_advantages(found))) / sum(map(abs, plain)),
        }
        for name, value in expected.items():
            assert metrics[f"focal/{name}"] == pytest.approx(float(value), rel=1e-5)

    def test_groups_were_of_every_kind(self, whole):
        counted = {rate for step in range(1, STEPS + 1) for rate in rates(groups(whole, step))}
        assert {0, 1} < counted

    @pytest.mark.parametrize("step", range(1, STEPS + 1))
    def test_weighted_advantages_reach_the_log_and_the_gradient(self, whole, step):
        metrics = whole.metrics()[step]
        advantages_agree(metrics, groups(whole, step))
        assert metrics["actor/grad_norm"] == pytest.approx(gradient_norm(whole, step), rel=1e-4)

    def test_safe_workers_judged_in_verls_reward_worker(self, whole):
        judged = [row for step in range(1, STEPS + 1) for row in whole.rollouts(step)]
        assert {row["score"] for row in judged} == {0.0, 1.0}
        assert all(row["score"] == readable(row["output"], row["gts"]) for row in judged)

    @pytest.mark.parametrize("step", range(1, STEPS))
    def test_parameters_move_and_reach_the_rollout_engine(self, whole, step):
        assert distance(whole.weights(step - 1), whole.weights(step)) > 1e-4
        # As the trainer's own forward pass sees it, of what the engine drew with these weights.
        assert whole.metrics()[step + 1]["training/rollout_probs_diff_max"] < 1e-7


class TestTwoProcesses:
    @pytest.mark.parametrize("step", [1, 2])
    def test_weighted_advantages_reach_the_log_and_the_gradient(self, two, step):
        metrics = two.metrics()[step]
        advantages_agree(metrics, groups(two, step, ranks=2))
        expected = gradient_norm(two, step, ranks=2)
        assert metrics["actor/grad_norm"] == pytest.approx(expected, rel=1e-4)

    def test_both_hold_the_same_parameters(self, two):
        for step in (0, 1, 2):
            assert distance(two.weights(step), two.weights(step, rank=1)) == 0
        assert distance(two.weights(0), two.weights(2)) > 1e-4

    def test_each_drew_for_itself(self, two):
        drawn = [{str(row) for row in two.draws(0, rank)} for rank in (0, 1)]
        assert all(drawn)
        assert drawn[0].isdisjoint(drawn[1])

    def test_without_the_focal_trainer_there_are_no_focal_metrics(self, two):
        assert not [name for name in two.metrics()[1] if name.startswith("focal/")]


class TestResumed:
    """Equal but for rounding: verl orders the rows of a batch by names it draws anew."""

    def test_it_begins_where_the_other_stopped(self, whole, resumed):
        assert distance(whole.weights(2), resumed.weights(2)) == 0
        assert list(resumed.metrics()) == [3]

    def test_it_draws_the_same(self, whole, resumed):
        first, second = (
            sorted((row["input"], row["output"], row["score"]) for row in finished.rollouts(3))
            for finished in (whole, resumed)
        )
        assert first == second

    def test_it_logs_the_same(self, whole, resumed):
        expected, metrics = whole.metrics()[3], resumed.metrics()[3]
        chosen = [
            name
            for name in expected
            if name.startswith(("focal/", "critic/", "actor/")) and "/perf/" not in name
        ]
        assert {"focal/update_scale", "actor/loss", "actor/lr", "critic/score/mean"} < {*chosen}
        assert {name: metrics[name] for name in chosen} == pytest.approx(
            {name: expected[name] for name in chosen}, rel=1e-5, abs=1e-7
        )

    def test_it_ends_with_the_same_parameters(self, whole, resumed):
        moved = distance(whole.weights(2), whole.weights(3))
        assert distance(whole.weights(3), resumed.weights(3)) < 1e-3 * moved


def test_wrong_gamma_is_told_at_the_end_of_the_log(runs):
    refused = runs["refused"].result()
    assert refused.code
    told = "fgrpo.errors.UsageError: focal_gamma=-1: give a number that is finite, at least 0"
    assert told in refused.log.splitlines()[-20:]


def test_run_out_of_time_shows_the_end_of_its_log(runs):
    late = runs["late"].result()
    assert late.seconds < 60
    with pytest.raises(AssertionError, match="ran out of time") as error:
        late.succeeded()
    assert late.log.splitlines()[-1] in str(error.value)


@pytest.mark.parametrize("name", ["whole", "two", "resumed", "refused", "late"])
def test_no_process_survives(runs, name):
    finished = runs[name].result()
    assert not [*filter(alive, finished.processes)]
    if name != "late":
        assert len(finished.processes) > 10, "too few were seen for this to mean anything"
