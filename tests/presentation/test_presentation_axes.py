"""Axes of group sizes and shares: what they reach, and what is written on them."""

import numpy as np
import pytest

from fgrpo.presentation.axes import dense_sizes, percent_axis, size_axis, size_ends, spaced
from fgrpo.presentation.figures import draw


def axis(*arguments):
    """Return the ends and the labels of an axis of group sizes."""
    figure = draw(lambda axes: size_axis(axes, *arguments), legend=False)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "group size N")
    return axes.get_xlim(), [label.get_text() for label in axes.get_xticklabels()]


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (([4, 64],), ["4", "8", "16", "32", "64"]),
        (([3, 5, 100],), ["4", "8", "16", "32", "64"]),
        (([2, 4096],), ["2", "8", "32", "128", "512", "2,048"]),
        (([5, 7],), ["5", "7"]),  # no power of 2 between them
        (([16],), ["8", "16", "32"]),
        (([3, 11, 5000], [3, 11, 12, 5000]), ["3", "11", "5,000"]),  # 12 is too near to 11
        (([7], [7]), ["7"]),
    ],
)
def test_an_axis_of_group_sizes(arguments, labels):
    (low, high), shown = axis(*arguments)
    assert shown == labels
    sizes = arguments[0]
    first, last = (sizes[0], sizes[-1]) if len(sizes) > 1 else (sizes[0] // 2, 2 * sizes[0])
    assert 0.6 * first < low < first
    assert last < high < 1.5 * last


def test_an_axis_of_shares_shows_0_and_100_percent_whole():
    (axes,) = draw(percent_axis, legend=False).axes
    low, high = axes.get_ylim()
    assert -5 < low < 0
    assert 100 < high < 105
    assert axes.get_yticks().tolist() == [0, 20, 40, 60, 80, 100]


def test_ends():
    assert size_ends(np.array([4, 9, 32])) == (4, 32)
    assert size_ends([16]) == (8, 32)
    assert size_ends([2]) == (2, 4)  # no group is smaller


def test_dense_sizes_are_near_each_other_and_hold_those_asked_for():
    sizes = dense_sizes(2, 1024, [1, 2, 77, 1000, 1024, 5000])
    assert sizes.dtype == np.int64
    assert {2, 77, 1000, 1024} <= set(sizes)
    assert sizes.min() == 2
    assert sizes.max() == 1024
    large = sizes[sizes >= 20]
    assert (large[1:] / large[:-1]).max() < 2 ** (1 / 8)
    assert (np.diff(sizes) > 0).all()
    assert len(dense_sizes(2, 1024, an_octave=2)) < len(sizes) / 3


@pytest.mark.parametrize(
    ("places", "most", "chosen"),
    [
        ([0, 1, 2, 3], 6, [0, 1, 2, 3]),
        (range(9), 6, [0, 2, 4, 6, 8]),
        (range(17), 9, [0, 2, 4, 6, 8, 10, 12, 14, 16]),
        ([0, 0.1, 5, 9.9, 10], 5, [0, 2, 3]),
        ([3.5], 6, [0]),
    ],
)
def test_labels_are_kept_apart(places, most, chosen):
    assert spaced(np.array(places, dtype=float), most) == chosen
