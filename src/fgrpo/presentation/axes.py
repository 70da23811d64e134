"""Axes that several kinds of figure share: group sizes, and shares in percent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fgrpo.presentation.numbers import size_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_LABELS = 6  # on an axis of group sizes: their names are long


def size_axis(
    axes: Axes,
    sizes: Sequence[int] | NDArray[np.int64],
    marks: Sequence[int] | NDArray[np.int64] = (),
) -> None:
    """Make the horizontal axis one of group sizes N, of base 2.

    Parameters
    ----------
    axes
        The panel.
    sizes
        Group sizes, rising: the axis reaches a little beyond the first and the last.
    marks
        Group sizes, rising, of which some get a label; the powers of 2 if none are given.
    """
    first, last = size_ends(sizes)
    room = (last / first) ** 0.04
    if not len(marks):
        octaves = range(int(np.ceil(np.log2(first))), int(np.log2(last)) + 1)
        marks = [1 << octave for octave in octaves] or [first, last]
    shown = [marks[i] for i in spaced(np.log2(marks), _LABELS)]
    axes.set_xscale("log", base=2)
    axes.set_xlim(first / room, last * room)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: size_name(n)))
    axes.set_xlabel("group size N")


def percent_axis(axes: Axes) -> None:
    """Make the vertical axis one of shares from 0 to 100%."""
    axes.set_ylim(-2, 103)
    axes.yaxis.set_major_locator(FixedLocator(range(0, 101, 20)))


def size_ends(sizes: Sequence[int] | NDArray[np.int64]) -> tuple[int, int]:
    """Return the ends of an axis for rising group sizes; an octave to each side of a single one."""
    first, last = int(sizes[0]), int(sizes[-1])
    return (first, last) if first < last else (max(2, first // 2), 2 * last)


def dense_sizes(
    first: int, last: int, also: Sequence[int] | NDArray[np.int64] = (), an_octave: int = 12
) -> NDArray[np.int64]:
    """Return group sizes close enough for a smooth line, those of ``also`` within among them."""
    grid = np.geomspace(first, last, 2 + int(an_octave * np.log2(last / first))).round()
    inside = [size for size in also if first <= size <= last]
    return np.unique(np.concatenate([grid, inside])).astype(np.int64)


def spaced(places: NDArray[np.float64], most: int) -> list[int]:
    """Choose from rising places so that no two are nearer than their range divided by ``most``.

    The first is among them; the last too, if that leaves even gaps and not too few places.
    """
    number, gaps = len(places) - 1, np.diff(places)
    if number > 0 and np.allclose(gaps, gaps[0]):
        for step in range(-(-number // most), 2 * number // most + 1):
            if number % step == 0:
                return list(range(0, number + 1, step))
    nearest = (places[-1] - places[0]) / most
    chosen = [0]
    for i in range(1, len(places)):
        if places[i] - places[chosen[-1]] >= nearest - 1e-9:
            chosen.append(i)
    return chosen
