"""The gradient of a sum over pieces of a batch, computed side by side, summed in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

from fgrpo.lab.shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    PieceT = TypeVar("PieceT")

MOST_AT_ONCE = 16  # bounds what is held until it is added


def accumulate(
    model: torch.nn.Module,
    loss_of: Callable[[PieceT], tuple[Tensor, Tensor]],
    pieces: Sequence[PieceT],
) -> Tensor | None:
    """Set the parameters' gradients to that of the sum of the pieces' losses.

    Parameters
    ----------
    model
        Whose parameters.
    loss_of
        Gives a piece's loss and a tensor of figures.
    pieces
        Of a batch; without any, all gradients are 0 (not None: AdamW's averages still move).

    Returns
    -------
    Tensor or None
        The sum of the pieces' figures.
    """
    parameters = list(model.parameters())

    def work(piece: PieceT) -> tuple[tuple[Tensor, ...], Tensor]:
        loss, figures = loss_of(piece)
        return torch.autograd.grad(loss, parameters), figures

    sums = [torch.zeros_like(parameter) for parameter in parameters]
    for parameter, zeros in zip(parameters, sums, strict=True):
        parameter.grad = zeros
    # On a GPU one at a time: a micro-batch is as large as its memory allows.
    at_once = 1 if parameters[0].is_cuda else MOST_AT_ONCE
    told: list[Tensor] = []
    for first in range(0, len(pieces), at_once):
        for gradients, figures in run_shards(work, pieces[first : first + at_once]):
            torch._foreach_add_(sums, list(gradients))
            told.append(figures)
    return torch.stack(told).sum(0) if told else None
