"""Figures: panels painted in one look, shown in a notebook, saved as SVG and PNG."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from matplotlib import style
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes

WIDTH, HEIGHT = 4.8, 3.4  # inches: 10.5 pt text is still read at the width of a phone
_SHOWN_DPI, _SAVED_DPI = 100, 200
_LEGEND_ROW = 0.22
_RC: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.minor.size": 0,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as files and as words.

    Attributes
    ----------
    name
        Of its files, without ending.
    title, caption
        Plain text.
    alt
        What it shows, for those who cannot see it.
    svg, png
        Contents of the files.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: bytes = field(repr=False)
    png: bytes = field(repr=False)

    def files(self, folder: str) -> dict[str, bytes]:
        """Map the paths of the figure's files, in a folder, to their contents."""
        return {f"{folder}/{self.name}.svg": self.svg, f"{folder}/{self.name}.png": self.png}


class NotebookFigure(Figure):
    """A figure that a notebook shows although pyplot was never imported.

    A plain ``Figure`` is shown only after ``%matplotlib inline`` or a use of pyplot.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.get_size_inches()
        size = {"width": round(_SHOWN_DPI * width), "height": round(_SHOWN_DPI * height)}
        with _look():
            return _png(self), size


def draw(
    paint: Callable[[Axes], None],
    *,
    size: tuple[float, float] = (WIDTH, HEIGHT),
    legend: bool = True,
) -> Figure:
    """Paint one panel, its legend above it; arguments as for `draw_panels`."""
    return draw_panels([paint], size=size, legend=legend)


def draw_panels(
    paints: Sequence[Callable[[Axes], None]],
    *,
    size: tuple[float, float] = (WIDTH, HEIGHT),
    legend: bool = True,
    columns: int | None = None,
    share: bool = False,
) -> Figure:
    """Paint panels side by side, with one legend above them all.

    Parameters
    ----------
    paints
        For each panel, from the left, what paints it.
    size
        Width and height in inches of one panel; a legend of more than two rows adds to the height.
    legend
        Whether there is one. A label that several panels share is listed once, with the look of
        the first.
    columns
        Panels in a row; all by default.
    share
        Whether all panels have the same axes; only the outer ones then have their names and
        numbers. Limits are those of the last panel that sets them, so set them there alone.

    Returns
    -------
    Figure
        Not managed by pyplot. A notebook shows it as the last expression of a cell.

    Raises
    ------
    ValueError
        If there is no panel, or a legend is asked for and nothing painted has a label.
    """
    if not paints:
        raise ValueError("paints is empty; give one function for each panel")
    with _look():
        columns = min(columns or len(paints), len(paints))
        rows = -(-len(paints) // columns)
        figure = NotebookFigure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
        panels: list[Axes] = []
        for place in range(len(paints)):
            first = panels[0] if share and panels else None
            panels.append(figure.add_subplot(rows, columns, 1 + place, sharex=first, sharey=first))
        for paint, axes in zip(paints, panels, strict=True):
            paint(axes)
        if share:
            _outer_names_only(panels, columns)
        if legend:
            _add_legend(figure, panels)
    return figure


def entitle(axes: Axes, title: str) -> None:
    """Write the title of a panel where its legend or its neighbours leave room: at its left."""
    axes.set_title(title, fontsize=_RC["font.size"], loc="left")


def save(figure: Figure, name: str, title: str, caption: str, alt: str) -> DrawnFigure:
    """Save a figure as SVG and PNG.

    The bytes depend on nothing but the figure, its name (and matplotlib's version).
    """
    svg = BytesIO()
    with _look(name):
        # The layout starts from where the last drawing, perhaps in a notebook, left the panels and
        # ends a rounding apart from it, which would be seen in the bytes.
        for axes in figure.axes:
            if (place := axes.get_subplotspec()) is not None:
                axes.set_subplotspec(place)
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        png = _png(figure)
    return DrawnFigure(name, title, caption, alt, svg.getvalue(), png)


def render(
    name: str,
    title: str,
    caption: str,
    alt: str,
    paint: Callable[[Axes], None],
    *,
    size: tuple[float, float] = (WIDTH, HEIGHT),
    legend: bool = True,
) -> DrawnFigure:
    """Paint one panel, its legend above it, and save it as SVG and PNG: `draw`, then `save`."""
    return save(draw(paint, size=size, legend=legend), name, title, caption, alt)


def _look(name: str = "") -> AbstractContextManager[None]:
    """Set the look, whatever style the user has chosen for other figures, until the block ends."""
    # Some settings are read when a figure is made, others when it is saved: both need the look.
    return style.context(["default", {**_RC, "svg.hashsalt": name}])


def _png(figure: Figure) -> bytes:
    png = BytesIO()
    figure.savefig(png, format="png", dpi=_SAVED_DPI, metadata={"Software": None})
    return png.getvalue()


def _outer_names_only(panels: Sequence[Axes], columns: int) -> None:
    for place, axes in enumerate(panels):
        if place % columns:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
        if place + columns < len(panels):
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")


def _add_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    handles: list[Any] = []
    labels: list[str] = []
    for axes in panels:
        earlier = set(labels)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in earlier:
                handles.append(handle)
                labels.append(label)
    if not labels:
        raise ValueError("nothing painted has a label; label it, or draw with legend=False")
    longest = max(map(len, labels))
    width, height = figure.get_size_inches()
    room = math.ceil(width / WIDTH - 1e-9)
    columns = (3 if longest <= 10 else 2 if longest <= 22 else 1) * room
    rows = -(-len(labels) // columns)
    figure.set_size_inches(width, height + _LEGEND_ROW * max(0, rows - 2))
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=columns,
        handlelength=2.8,
        columnspacing=1.4,
        labelspacing=0.3,
        borderpad=0.2,
    )
