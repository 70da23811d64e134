"""How a sweep's group sizes and γ look in every figure, and what its axes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps

from fgrpo.presentation.series import SeriesStyle, arm_style
from fgrpo.simulation.trajectory import ENTROPY, M_RET, Q_POS, TAIL_MISS, UNSAMPLED_CORRECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fgrpo.simulation.result import Sweep

    Painter: TypeAlias = Callable[[Axes], None]

AXES = {
    Q_POS: r"correct mass $Q_\mathrm{pos}$ (%)",
    M_RET: r"retained mass $M_\mathrm{ret}$ (%)",
    ENTROPY: "entropy (nats)",
    UNSAMPLED_CORRECT: "unsampled correct mass (%)",
    TAIL_MISS: "tail miss (%)",
}
# How far into a colour map: its end is too light on white.
_VIRIDIS, _PLASMA = 0.9, 0.82
_MANY = 5  # from so many γ on their colours are ordered


def gamma_styles(sweep: Sweep) -> dict[float, SeriesStyle]:
    """Map each γ, rising, to its look."""
    gammas = sorted(sweep.recipe.gammas)
    styles = {gamma: arm_style(f"γ = {gamma:g}", place) for place, gamma in enumerate(gammas)}
    if len(gammas) < _MANY:
        return styles
    colours = _colours(np.linspace(0, _PLASMA, len(gammas)), "plasma")
    return {
        gamma: SeriesStyle(style.label, colour, style.line, style.marker)
        for (gamma, style), colour in zip(styles.items(), colours, strict=True)
    }


def size_colours(sizes: Sequence[int]) -> list[str]:
    """Return a colour for each group size, by its logarithm, lighter for larger ones."""
    place = np.log2(sizes)
    share = (place - place[0]) / max(place[-1] - place[0], 1e-9)
    return _colours(_VIRIDIS * share, "viridis")


def _colours(places: NDArray[np.float64], name: str) -> list[str]:
    rows = colormaps[name](places)
    return ["#{:02x}{:02x}{:02x}".format(*(round(255 * x) for x in row[:3])) for row in rows]
