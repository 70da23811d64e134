"""Supervised training from scratch on solved mazes: makes the base model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from torch.nn import functional

from fgrpo.files import make_folder
from fgrpo.lab.folders import METRICS_FILE, STATE_FILE
from fgrpo.lab.gradient import accumulate
from fgrpo.lab.metrics_log import MetricsLog
from fgrpo.lab.model import Decoder
from fgrpo.lab.sampling import autocast
from fgrpo.lab.seeds import Purpose, numpy_rng, torch_rng
from fgrpo.lab.task import IGNORED, MazeTask
from fgrpo.lab.update import apply_gradient, make_optimizer
from fgrpo.lab.weights import WEIGHTS, load_state, save_model, save_state
from fgrpo.maze import VOCAB_SIZE, Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import Tensor

    from fgrpo.lab.settings import Recipe

PIECES = 4  # of a batch, computed side by side


def train_base(
    recipe: Recipe, folder: Path, device: torch.device, progress: Callable[[int, str], None]
) -> None:
    """Train the base model of a recipe into ``folder``, or go on where a run was cut off.

    Parameters
    ----------
    recipe
        Its ``maze``, ``model``, ``sft`` and ``precision`` decide the result.
    folder
        Gets ``metrics.jsonl`` and, at the end, the model.
    device
        Where to train.
    progress
        Called with the number of steps done and a short text.
    """
    if (folder / WEIGHTS).exists():
        return
    settings, seed = recipe.sft, recipe.sft.seed
    make_folder(folder)
    task = MazeTask(recipe.maze, recipe.evaluation.problems, recipe.evaluation.seed)
    model = Decoder(recipe.model, VOCAB_SIZE)
    model.initialise(torch_rng(seed, Purpose.INITIAL_WEIGHTS))
    model.to(device)
    optimizer = make_optimizer(model, settings)
    state = folder / STATE_FILE
    label = f"sft {recipe.sft_hash}"
    start = load_state(state, model, optimizer, label) or 0
    with MetricsLog(folder / METRICS_FILE, keep_below=start) as log:
        for step in range(start, settings.steps):
            began = time.perf_counter()
            walls = task.training_mazes(
                numpy_rng(seed, Purpose.SFT_MAZES, step), settings.batch_size
            )
            batch = [part.to(device) for part in task.supervised(walls)]
            loss = _set_gradient(recipe, model, *batch)
            norm = apply_gradient(model, optimizer, settings, step, settings.steps)
            log.write(
                {
                    "step": step,
                    "loss": loss,
                    "grad_norm": norm,
                    "seconds": time.perf_counter() - began,
                }
            )
            done = step + 1
            if done % recipe.checkpoint_every == 0 and done < settings.steps:
                log.sync()
                save_state(state, model, optimizer, done, label)
            progress(done, f"loss {loss:.3f}")
    length = recipe.maze.prompt_tokens + recipe.maze.response_cap
    save_model(folder, model, max_positions=length, bos=Token.BOS, eos=Token.EOS)
    state.unlink(missing_ok=True)


def _set_gradient(recipe: Recipe, model: Decoder, tokens: Tensor, targets: Tensor) -> float:
    """Set the gradient of the mean loss over the batch's path tokens; return that loss."""
    first = recipe.maze.prompt_tokens - 1
    targets = targets[:, first:]
    total = (targets != IGNORED).sum()

    def loss_of(piece: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        with autocast(tokens.device, recipe.precision):
            logits = model(piece[0], logits_from=first)
        loss = functional.cross_entropy(
            logits.flatten(0, 1), piece[1].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return loss / total, loss.detach() / total

    # Always the same pieces, so that the number of threads changes nothing.
    count = 1 if tokens.is_cuda else PIECES
    pieces = list(zip(tokens.chunk(count), targets.chunk(count), strict=True))
    loss = accumulate(model, loss_of, pieces)
    assert loss is not None
    return float(loss)
