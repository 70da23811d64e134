"""What is measured at every training step, and the file it goes to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import torch

from fgrpo.advantage import focal_weight, success_rate
from fgrpo.errors import RunError
from fgrpo.lab.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from fgrpo.lab.sampling import Rollouts


def rollout_metrics(rollouts: Rollouts, rewards: Tensor, gamma: float) -> dict[str, Any]:
    """Describe a batch of G groups of N rollouts.

    Parameters
    ----------
    rollouts
        The batch.
    rewards
        (G, N), 0 or 1.
    gamma
        Focal exponent.

    Returns
    -------
    dict
        ``reward``: mean; ``groups_solved_all``, ``groups_solved_none``, ``groups_mixed``: shares
        of groups; ``success_histogram``: number of groups with 0, 1 … N correct;
        ``focal_weight``: mean over groups; ``entropy``: nats per token; ``length``,
        ``length_max``: tokens; ``truncated``: share of rollouts.
    """
    groups, size = rewards.shape
    rates = success_rate(rewards.flatten(), size).view(groups, size)[:, 0]
    histogram = torch.bincount((rates * size).round().long(), minlength=size + 1)
    solved_all, solved_none = int(histogram[size]), int(histogram[0])
    return {
        "reward": float(rewards.float().mean()),
        "groups_solved_all": solved_all / groups,
        "groups_solved_none": solved_none / groups,
        "groups_mixed": (groups - solved_all - solved_none) / groups,
        "success_histogram": histogram.tolist(),
        "focal_weight": float(focal_weight(rates, gamma).mean()),
        "entropy": float(rollouts.entropies.sum() / rollouts.lengths.sum()),
        "length": float(rollouts.lengths.float().mean()),
        "length_max": int(rollouts.lengths.max()),
        "truncated": float(rollouts.truncated.float().mean()),
    }


class MetricsLog:
    """An append-only file of JSON lines, one a step; a resumed run drops the lines it repeats.

    Parameters
    ----------
    path
        The file.
    keep_below
        Lines of this step and later ones are removed, as is a line torn by a kill.
    """

    def __init__(self, path: Path, *, keep_below: int) -> None:
        kept = [line for line in read_metrics(path) if line["step"] < keep_below]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._path = path
        self._file = path.open("a")

    def write(self, line: dict[str, Any]) -> None:
        """Append one step's figures."""
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise RunError(f"{self._path}: could not be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the whole lines of a metrics file; none if it does not exist."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]  # what follows the last newline is torn
    return [json.loads(line) for line in lines]
