"""A histogram in the loggers that know one: wandb, trackio, TensorBoard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from transformers.integrations.integration_utils import TensorBoardCallback

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


def log_histogram(
    tag: str, values: NDArray[np.float64], step: int, report_to: Iterable[str], callbacks: Any
) -> None:
    """Send a histogram to the loggers of a transformers trainer that are running.

    Parameters
    ----------
    tag
        Its name.
    values
        What to count.
    step
        The trainer's step.
    report_to
        The trainer's ``args.report_to``.
    callbacks
        The trainer's callbacks, of which TensorBoard's has the writer.
    """
    if not len(values):  # TensorBoard refuses
        return
    for name in {"wandb", "trackio"}.intersection(report_to):
        # Whoever reports to them has imported them. wandb without a run refuses to log.
        module: Any = sys.modules.get(name)
        if hasattr(module, "Histogram") and getattr(module, "run", module) is not None:
            module.log({tag: module.Histogram(values), "train/global_step": step})
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
            callback.tb_writer.add_histogram(tag, values, step)
