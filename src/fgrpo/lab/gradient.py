"""The gradient of a sum over pieces of a batch, computed side by side, summed in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

from fgrpo.lab.shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    PieceT = TypeVar("PieceT")


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

    results = run_shards(work, pieces)
    for i, parameter in enumerate(parameters):
        parameter.grad = torch.zeros_like(parameter)
        for gradients, _ in results:
            parameter.grad += gradients[i]
    return torch.stack([figures for _, figures in results]).sum(0) if results else None
