"""Runs side by side in torch: a row for each run, a column for each action.

`on_gpu` loads it, and torch with it, when it is needed.

A run's draws depend on the run alone (`Run.rng`), not on the others beside it: each step of a run
has a random start, from which its uniforms are computed, and the cumulative probabilities are sums
of integers, which no order of addition changes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from fgrpo.simulation.engine import EPSILON
from fgrpo.simulation.settings import ADAM_EPSILON, BETA1, BETA2
from fgrpo.simulation.splitmix import GOLDEN, mixed, shifted, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fgrpo.simulation.policy import Policy
    from fgrpo.simulation.run_id import Run
    from fgrpo.simulation.settings import UpdateSettings

# Bytes on the device: for each action of each run, seven numbers and room for three more; for each
# draw that is made at once.
ACTION_BYTES, DRAW_BYTES = 10 * 8, 6 * 8
BEYOND = (1 << 63) - 1


class Batch:
    """Runs in the same step: row ``r`` of every array belongs to run ``r``, a column to an action.

    The columns are the tail's actions (`Policy.tail`), the other correct ones, the wrong ones.
    A step is `weigh`, `draw`, `describe`, `move`; only `draw` is random.
    """

    def __init__(
        self,
        policy: Policy,
        update: UpdateSettings,
        runs: Sequence[Run],
        steps: int,
        device: str,
        draws: int,
    ) -> None:
        def new(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        def column(values: NDArray[np.generic]) -> torch.Tensor:
            return torch.as_tensor(values, device=device)[:, None]

        order = np.argsort(np.where(policy.tail, 0, np.where(policy.correct, 1, 2)))
        sizes = policy.sizes[order]
        z = torch.as_tensor(np.repeat(policy.logits[order], sizes), device=device)
        self.tail = int(policy.sizes[policy.tail].sum())
        self.correct = int(policy.sizes[policy.correct].sum())
        first = np.repeat(policy.probabilities[order], sizes)[: self.correct]
        self.first = torch.as_tensor(first, device=device)
        self.initial_success = policy.success_rate
        self.update, self.draws = update, draws
        self.runs = list(runs)
        self.n = column(np.array([float(run.group_size) for run in runs]))
        self.gamma = column(np.array([float(run.gamma) for run in runs]))
        starts = [run.rng().integers(1 << 64, size=steps, dtype=np.uint64) for run in runs]
        self.starts = torch.as_tensor(np.stack(starts, axis=1).view(np.int64), device=device)
        shape = len(runs), len(z)
        self.z = z.expand(shape).clone()
        self.w, self.counts, self.spare = new(*shape), new(*shape), new(*shape)
        self.cumulative = torch.zeros(shape, dtype=torch.int64, device=device)
        if update.optimizer == "adam":
            self.m, self.v = new(*shape), new(*shape)
        width = min(draws, max(run.group_size for run in runs))
        self.jumps = torch.arange(1, width + 1, device=device) * GOLDEN
        self.one = torch.ones((1, 1), dtype=torch.float64, device=device)

    def weigh(self) -> None:
        """Compute weights from the logits, the largest weight of a run being 1, and sums."""
        top = self.z.amax(dim=1, keepdim=True)
        torch.sub(self.z, top, out=self.spare)
        torch.exp(self.spare, out=self.w)
        self.total = self.w.sum(dim=1, keepdim=True)
        self.spare.mul_(self.w)
        self.entropy = self.total.log() - self.spare.sum(dim=1, keepdim=True) / self.total

    def draw(self, t: int) -> None:
        """Draw the groups of step ``t`` into the counts."""
        cumulative = self.cumulative
        torch.mul(self.w, 2.0 ** (62 - cumulative.shape[1].bit_length()), out=self.spare)
        cumulative.copy_(self.spare).cumsum_(dim=1)
        # A uniform is at most (2⁵³ − 1)/2⁵³; times the last sum that rounds to less than the sum.
        per_uniform = cumulative[:, -1:].double() * 2.0**-53
        cumulative[:, -1] = BEYOND  # even a weight that is not a number falls on some action
        self.counts.zero_()
        for begin, end, group_size in self._equal_sizes():
            for at in range(0, group_size, width := max(1, self.draws // (end - begin))):
                jumps = self.jumps[: min(width, group_size - at)]
                start = self.starts[t, begin:end, None] + wrapped(at * GOLDEN)
                u = shifted(mixed(start + jumps), 11).double().mul_(per_uniform[begin:end]).long()
                drawn = torch.searchsorted(cumulative[begin:end], u, right=True)
                self.counts[begin:end].scatter_add_(1, drawn, self.one.expand(drawn.shape))

    def _equal_sizes(self) -> list[tuple[int, int, int]]:
        """Return where runs of one group size begin and end, at most `draws` of them, and it."""
        parts: list[tuple[int, int, int]] = []
        for r, run in enumerate(self.runs):
            if parts and parts[-1][2] == run.group_size and r - parts[-1][0] < self.draws:
                parts[-1] = (parts[-1][0], r + 1, run.group_size)
            else:
                parts.append((r, r + 1, run.group_size))
        return parts

    def describe(self) -> torch.Tensor:
        """Describe the policies and the groups drawn from them, a column of `COLUMNS` each."""
        right, w = self.counts[:, : self.correct], self.w[:, : self.correct]
        missing = right == 0
        p = w / self.total
        self.hits = right.sum(dim=1, keepdim=True)
        lost = (self.first - p).clamp_(min=0).sum(dim=1, keepdim=True)
        missed = missing[:, : self.tail].sum(dim=1, keepdim=True).double() / self.tail
        active = (self.hits > 0) & (self.hits < self.n)
        columns = (
            p.sum(dim=1, keepdim=True),
            1 - lost / self.initial_success,
            self.entropy,
            p.mul_(missing).sum(dim=1, keepdim=True),
            missed * active,
            self.hits / self.n,
        )
        return torch.cat(columns, dim=1)

    def move(self, t: int) -> None:
        """Make update number ``t`` (from 0) from the counts, which it uses up."""
        update = self.update
        mean = self.hits / self.n
        gap = update.reward_correct - update.reward_wrong
        scale = gap * (1 - mean) ** self.gamma / self.n  # times 0 below if the group is of one kind
        if update.scale != "none":
            variance = gap**2 * mean * (1 - mean)
            if update.scale == "std":
                variance = variance * self.n / (self.n - 1)
            scale = scale / (variance.sqrt() + EPSILON)
        gradient = self.counts
        gradient[:, : self.correct].mul_(scale * (1 - mean))
        gradient[:, self.correct :].mul_(-scale * mean)
        if update.surrogate == "probability":
            gradient *= self.w.div_(self.total)
            gradient -= self.w.mul_(gradient.sum(dim=1, keepdim=True))
        if update.optimizer == "sgd":
            self.z.add_(gradient, alpha=update.learning_rate)
            return
        self.m.lerp_(gradient, 1 - BETA1)
        self.v.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        bias1, root2 = 1 - BETA1 ** (t + 1), math.sqrt(1 - BETA2 ** (t + 1))
        # lr (m / bias1) / (sqrt(v / bias2) + ε), with the root of bias2 taken out
        below = torch.sqrt(self.v, out=self.spare).add_(ADAM_EPSILON * root2)
        self.z.addcdiv_(self.m, below, value=update.learning_rate * root2 / bias1)
