"""On-policy reinforcement learning of one arm with one seed, resumable at any moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from zlib import crc32

from fgrpo.advantage import focal_advantages
from fgrpo.files import make_folder
from fgrpo.lab.evaluate import evaluate
from fgrpo.lab.folders import METRICS_FILE, STATE_FILE, records_path
from fgrpo.lab.metrics import rollout_metrics
from fgrpo.lab.metrics_log import MetricsLog
from fgrpo.lab.sampling import Rollouts, sample
from fgrpo.lab.seeds import Purpose, numpy_rng, torch_rng
from fgrpo.lab.task import MazeTask
from fgrpo.lab.update import make_optimizer, policy_update
from fgrpo.lab.weights import WEIGHTS, load_model, load_state, save_model, save_state
from fgrpo.maze import Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from fgrpo.lab.model import Decoder
    from fgrpo.lab.settings import ArmSettings, Recipe

MODEL = "model"


def evaluate_base(
    recipe: Recipe, base: Path, folder: Path, device: torch.device, progress: Callable[[int], None]
) -> None:
    """Evaluate the base model into ``folder``."""
    task = MazeTask(recipe.maze, recipe.evaluation.problems, recipe.evaluation.seed)
    evaluate(
        load_model(base, device),
        task,
        recipe,
        records_path(folder, 0),
        meta={"arm": "base", "step": 0, "sft": recipe.sft_hash},
        stream=(0,),
        device=device,
        progress=progress,
    )


def train_arm(
    recipe: Recipe,
    arm: ArmSettings,
    seed: int,
    base: Path,
    folder: Path,
    device: torch.device,
    progress: Callable[[int, str], None],
) -> None:
    """Train one arm with one seed from the base model, evaluating on the way.

    Parameters
    ----------
    recipe, arm, seed
        What to do.
    base
        Folder of the base model.
    folder
        Gets ``metrics.jsonl``, ``records/``, the resumable state and, in its place at the end, the
        model.
    device
        Where to train.
    progress
        Called with the number of steps done and a short text.
    """
    make_folder(folder)
    state = folder / STATE_FILE
    task = MazeTask(recipe.maze, recipe.evaluation.problems, recipe.evaluation.seed)
    trained = (folder / MODEL / WEIGHTS).exists() and not state.exists()
    model = load_model(folder / MODEL if trained else base, device)

    def evaluated(step: int) -> None:
        evaluate(
            model,
            task,
            recipe,
            records_path(folder, step),
            meta={"arm": arm.name, "seed": seed, "step": step, "sft": recipe.sft_hash},
            stream=(crc32(arm.name.encode()), seed, step),
            device=device,
        )

    if trained:
        evaluated(arm.steps)  # in case it was lost; what is there is not sampled again
        progress(arm.steps, "")
        return
    optimizer = make_optimizer(model, arm)
    label = f"{arm.name} seed {seed} from sft {recipe.sft_hash}"
    start = load_state(state, model, optimizer, label) or 0
    if start == 0:  # what a lost training left behind
        for stale in (folder / "records").glob("step-*.jsonl"):
            stale.unlink()
    evaluations = set(recipe.evaluation_steps(arm))
    progress(start, "")

    with MetricsLog(folder / METRICS_FILE, keep_below=start) as log:
        if start in evaluations:
            evaluated(start)
        for step in range(start, arm.steps):
            figures = train_step(recipe, arm, seed, step, task, model, optimizer, device)
            log.write(figures)
            done = step + 1
            if done % recipe.checkpoint_every == 0 or done in evaluations:
                log.sync()
                save_state(state, model, optimizer, done, label)
            progress(done, f"reward {figures['reward']:.2f}")
            if done in evaluations:
                evaluated(done)
    length = recipe.maze.prompt_tokens + recipe.maze.response_cap
    save_model(folder / MODEL, model, max_positions=length, bos=Token.BOS, eos=Token.EOS)
    state.unlink(missing_ok=True)


def train_step(
    recipe: Recipe,
    arm: ArmSettings,
    seed: int,
    step: int,
    task: MazeTask,
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> dict[str, Any]:
    """Sample a batch, score it, update the policy; return the step's figures."""
    began = time.perf_counter()
    # The same mazes and sampling noise in every arm of a seed: arms differ in their update alone.
    walls = task.training_mazes(numpy_rng(seed, Purpose.TRAINING_MAZES, step), arm.prompts_per_step)
    rollouts: Rollouts = sample(
        model,
        task.prompts(walls).to(device),
        arm.group_size,
        max_tokens=recipe.maze.response_cap,
        eos=Token.EOS,
        pad=Token.PAD,
        generator=torch_rng(seed, Purpose.ROLLOUTS, step),
        temperature=arm.temperature,
        precision=recipe.precision,
    )
    rewards = task.rewards(walls, rollouts.tokens)
    advantages = focal_advantages(
        rewards.flatten(), arm.group_size, gamma=arm.gamma, scale=arm.scale
    )
    sampled = time.perf_counter()
    figures = policy_update(
        model,
        optimizer,
        rollouts,
        advantages.view_as(rewards),
        arm,
        step=step,
        generator=torch_rng(seed, Purpose.MINIBATCHES, step),
        precision=recipe.precision,
    )
    return {
        "step": step,
        **rollout_metrics(rollouts, rewards, arm.gamma),
        **figures,
        "seconds_sampling": sampled - began,
        "seconds_training": time.perf_counter() - sampled,
    }
