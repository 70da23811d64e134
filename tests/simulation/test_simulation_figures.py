"""The figures of a sweep show its numbers: checked on sweeps put together by hand, and one run."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb

from fgrpo.errors import UsageError
from fgrpo.presentation.figures import save
from fgrpo.simulation.figures import (
    figure_2,
    retention_figure,
    tail_miss_figure,
    trajectories_figure,
)
from fgrpo.simulation.looks import gamma_styles, size_colours
from fgrpo.simulation.over_steps import block_length, in_blocks
from fgrpo.simulation.policy import Policy
from fgrpo.simulation.result import Sweep, TailMiss, load_sweep
from fgrpo.simulation.rows import tail_miss_rows
from fgrpo.simulation.settings import SimulationRecipe
from fgrpo.simulation.sweep import run_sweep, runs_of
from fgrpo.simulation.trajectory import COLUMNS, Trajectory

pytestmark = pytest.mark.slow

# One correct action of probability 2/10, three of the tail and five wrong ones of 1/10 each.
TENTHS = Policy(
    np.array([np.log(2.0), 0.0, 0.0]), np.array([True, True, False]), np.array([1, 3, 5])
)


def recipe(**changes):
    small = {
        "name": "small",
        "policy": {"actions": 300, "correct": 40},
        "update": {"learning_rate": 0.05},
        "group_sizes": [64, 4, 16],
        "gammas": [1, 0],
        "seeds": [0, 5],
        "steps": 40,
    }
    return SimulationRecipe.model_validate(small | changes)


def put_together(fill=None, policy=TENTHS, **changes):
    """Make a sweep with rows of random numbers, or those that ``fill`` returns for a run."""
    made = recipe(**changes)
    rng = np.random.default_rng(7)
    runs = {}
    for run in runs_of(made):
        rows = rng.random((made.steps + 1, len(COLUMNS))) if fill is None else fill(run)
        rows[-1, 3:] = np.nan
        runs[run] = Trajectory(rows)
    sizes = np.array(sorted(made.group_sizes))
    predicted = np.array([float(tail_miss(Fraction(1, 10), int(n))) for n in sizes if n < 2000])
    predicted = np.pad(predicted, (0, len(sizes) - len(predicted)))  # below 1e-90
    found = TailMiss(sizes, np.full(len(sizes), 400), predicted, 0.9 * predicted)
    return Sweep(made, policy, runs, found, [])


def tail_miss(p, n, mu=Fraction(5, 10)):
    """Return the probability that a group is mixed without actions of mass p: lemma 3.1."""
    return (1 - p) ** n - (1 - mu) ** n - (mu - p) ** n


def values(sweep, group_size, gamma, column):
    """Return percents of all seeds, shape (seeds, steps + 1)."""
    place = COLUMNS.index(column)
    runs = [run for run in sweep.runs if run[:2] == (group_size, gamma)]
    assert len(runs) == len(sweep.recipe.seeds)
    return 100 * np.array([sweep.runs[run].rows[:, place] for run in runs])


def panels_of(figure):
    return [axes for axes in figure.axes if axes.get_subplotspec() is not None]


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def points(line):
    return np.array(line.get_data()).T


def bands_of(axes):
    return [one for one in axes.collections if isinstance(one, PolyCollection)]


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "run"
    run_sweep(recipe(), folder, command="fgrpo simulate")
    return load_sweep(folder)


@pytest.mark.parametrize("panel", [0, 1])
def test_the_left_panels_show_each_group_size_without_focal_weight(simulated, panel):
    axes = panels_of(figure_2(simulated))[panel]
    column = ("q_pos", "m_ret")[panel]
    sizes = [4, 16, 64]
    assert [to_hex(line.get_color()) for line in axes.lines] == size_colours(sizes)
    for size, line, band in zip(sizes, axes.lines, bands_of(axes), strict=True):
        shown = values(simulated, size, 0.0, column)
        np.testing.assert_allclose(points(line)[:, 0], np.arange(41))
        np.testing.assert_allclose(points(line)[:, 1], shown.mean(axis=0), rtol=1e-12)
        outline = band.get_paths()[0].vertices
        at_30 = outline[outline[:, 0] == 30][:, 1]
        assert {min(at_30), max(at_30)} == {min(shown[:, 30]), max(shown[:, 30])}
    assert axes.get_title(loc="left") == "γ = 0"
    assert axes.get_xlabel() == "step"
    assert axes.get_ylabel().startswith(("correct mass $Q", "retained mass $M")[panel])


def test_the_right_panel_shows_what_gamma_changes(simulated):
    axes = panels_of(figure_2(simulated))[2]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["γ = 0", "γ = 1"]
    check_final(axes, simulated, "m_ret", 1)


def check_final(axes, sweep, column, scale):
    lines = lines_of(axes)
    dots = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert list(lines) == ["γ = 0", "γ = 1"]
    for gamma, seeds in zip((0.0, 1.0), dots, strict=True):
        wanted = [values(sweep, size, gamma, column)[:, -1] / scale for size in (4, 16, 64)]
        line = lines[f"γ = {gamma:g}"]
        means = [[4, wanted[0].mean()], [16, wanted[1].mean()], [64, wanted[2].mean()]]
        np.testing.assert_allclose(points(line), means, rtol=1e-12)
        each = [(size, one) for size, ones in zip((4, 16, 64), wanted, strict=True) for one in ones]
        np.testing.assert_allclose(points(seeds), each, rtol=1e-12)
        assert seeds.get_color() == line.get_color()
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "group size N"


def test_retention_shows_the_final_policies(simulated):
    figure = retention_figure(simulated)
    for axes, column in zip(panels_of(figure), ("m_ret", "q_pos", "entropy"), strict=True):
        check_final(axes, simulated, column, 100 if column == "entropy" else 1)
    assert [axes.get_ylabel().split(" ")[0] for axes in panels_of(figure)] == [
        *("retained", "correct", "entropy")
    ]
    highest = max(line.get_ydata().max() for line in panels_of(figure)[2].lines)
    assert panels_of(figure)[2].get_ylim()[1] > highest


def test_the_smallest_gamma_is_shown_where_there_is_no_zero():
    sweep = put_together(gammas=[2, 0.5])
    axes = panels_of(figure_2(sweep))[0]
    assert axes.get_title(loc="left") == "γ = 0.5"
    shown = values(sweep, 4, 0.5, "q_pos").mean(axis=0)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), shown)


def test_the_colour_bar_names_group_sizes_in_their_colours():
    sizes = [2**i for i in range(1, 18)]
    figure = figure_2(put_together(group_sizes=sizes, seeds=[0], steps=2))
    figure.draw_without_rendering()
    (bar,) = figure.axes[0].child_axes
    names = [text.get_text() for text in bar.get_yticklabels()]
    assert names == ["2", "8", "32", "128", "512", "2,048", "8,192", "32,768", "131,072"]
    np.testing.assert_array_equal(bar.get_yticks(), np.arange(0, 17, 2))
    np.testing.assert_array_equal(bar.get_ylim(), (-0.5, 16.5))
    mesh = bar.collections[-1]
    drawn = [to_hex(colour) for colour in mesh.to_rgba(np.arange(17))]
    assert drawn == size_colours(sizes) == [to_hex(x.get_color()) for x in figure.axes[0].lines]


def test_colours_of_group_sizes_are_ordered_by_their_logarithm():
    colours = [to_rgb(colour) for colour in size_colours([2, 4, 8, 512, 1024])]
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in colours]
    assert light == sorted(light)
    assert light[3] - light[2] > 3 * (light[1] - light[0])
    assert light[-1] < 0.8
    assert len(size_colours([64])) == 1


@pytest.mark.parametrize("number", [1, 2, 4, 5, 10])
def test_every_gamma_has_a_look_of_its_own(number):
    styles = gamma_styles(put_together(gammas=[i / 4 for i in range(number)][::-1], steps=1))
    assert list(styles) == [i / 4 for i in range(number)]
    assert [style.label for style in styles.values()] == [f"γ = {i / 4:g}" for i in range(number)]
    assert len({style.colour for style in styles.values()}) == number
    light = [sum(to_rgb(style.colour)) for style in styles.values()]
    assert number < 5 or light == sorted(light)


# Tail miss


def test_tail_miss_is_drawn_against_the_lemma():
    sweep = put_together(group_sizes=[2, 3, 9], gammas=[0, 1], seeds=[0, 1])
    left, right = panels_of(tail_miss_figure(sweep))
    lines = lines_of(left)
    predicted = dict(points(lines["tail miss, predicted"]))
    active = dict(points(lines["active, predicted"]))
    for n in (2, 3, 5, 9):
        assert predicted[n] == pytest.approx(100 * float(tail_miss(Fraction(1, 10), n)), rel=1e-12)
        assert active[n] == pytest.approx(100 * (1 - 2 * 0.5**n), rel=1e-12)
    (bars,) = left.containers
    dots, _, (stems,) = bars.lines
    np.testing.assert_allclose(dots.get_ydata().astype(float), 90 * sweep.tail_miss.predicted)
    errors = np.array([standard_deviation(n) for n in (2, 3, 9)]) / 20  # of 400 groups
    reach = [(ends[1] - ends[0])[1] for ends in stems.get_segments()]
    np.testing.assert_allclose(reach, 400 * errors, rtol=1e-9)
    (deviations,) = [line.get_ydata() for line in right.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(deviations, -0.1 * sweep.tail_miss.predicted / errors, rtol=1e-9)
    low, high = right.get_ylim()
    assert low < deviations.min()
    assert high == -low
    assert not [line for line in left.lines if line.get_marker() == "o"]


def standard_deviation(n):
    """Return that of the tail missing from a mixed group of `TENTHS`, by multinomial counts."""
    # A group: how many draws fall on each tail action, on the common one, on wrong ones.
    mean = square = Fraction(0)
    for drawn in itertools.product(range(n + 1), repeat=4):
        if (rest := n - sum(drawn)) < 0 or rest in (0, n):
            continue
        ways = Fraction(1, 2**rest) * Fraction(2, 10) ** drawn[3]
        for place, count in enumerate(drawn):
            ways *= 1 if place == 3 else Fraction(1, 10) ** count
        left = n
        for count in drawn:
            ways *= binomial(left, count)
            left -= count
        share = Fraction(drawn[:3].count(0), 3)
        mean, square = mean + ways * share, square + ways * share**2
    assert mean == tail_miss(Fraction(1, 10), n)
    return float(square - mean**2) ** 0.5


def binomial(n, k):
    ways = Fraction(1)
    for i in range(k):
        ways = ways * (n - i) / (i + 1)
    return ways


def test_the_standard_error_of_a_tail_of_many_kinds():
    """Against the sum over all pairs of its actions."""
    rng = np.random.default_rng(3)
    logits = np.concatenate([[4.0], rng.normal(0, 1.5, 700), np.zeros(900)])
    policy = Policy.from_logits(logits, np.arange(1601) < 701)
    sweep = put_together(policy=policy, group_sizes=[4, 300], steps=1)
    z = np.exp(logits)
    p = (z / z.sum())[:701]
    mu, tail = p.sum(), p[1:]
    for row in tail_miss_rows(sweep):
        n = row.group_size
        pair = (tail[:, None] + tail) * (1 - np.eye(700)) + np.diag(tail)
        square = ((1 - pair) ** n - (1 - mu) ** n - (mu - pair) ** n).mean()
        mean = ((1 - tail) ** n - (1 - mu) ** n - (mu - tail) ** n).mean()
        assert row.standard_error == pytest.approx(np.sqrt((square - mean**2) / 400), rel=3e-3)


def test_a_group_size_at_which_theory_leaves_no_doubt():
    """Of a tail that is never missed the deviation is 0, not the quotient of two zeros."""
    sweep = put_together(group_sizes=[2, 1 << 20], steps=1)
    assert tail_miss_rows(sweep)[1].deviation == 0
    assert tail_miss_rows(sweep)[1].predicted == 0
    assert np.isfinite(panels_of(tail_miss_figure(sweep))[1].get_ylim()).all()


# Step by step


def test_trajectories_of_one_group_size(simulated):
    figure = trajectories_figure(simulated, 16)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["γ = 0", "γ = 1"]
    for axes, column in zip(
        panels_of(figure), ("q_pos", "m_ret", "unsampled_correct", "tail_miss"), strict=True
    ):
        for gamma in (0.0, 1.0):
            line = points(lines_of(axes)[f"γ = {gamma:g}"])
            shown = values(simulated, 16, gamma, column).mean(axis=0)
            if column in ("unsampled_correct", "tail_miss"):
                shown = shown[:-1]
            np.testing.assert_array_equal(line[:, 0], np.arange(len(shown)))
            np.testing.assert_allclose(line[:, 1], shown, rtol=1e-12)
        assert len(bands_of(axes)) == 2


def test_many_steps_are_drawn_as_averages_where_each_has_a_group():
    sweep = put_together(steps=120, seeds=[0])
    axes = panels_of(trajectories_figure(sweep, 4))
    line = points(lines_of(axes[3])["γ = 1"])
    assert line.shape == (40, 2)
    shown = values(sweep, 4, 1.0, "tail_miss")[0]
    np.testing.assert_allclose(line[1], [4, (shown[3] + shown[4] + shown[5]) / 3])
    assert not bands_of(axes[3])  # one seed


def test_very_many_steps_are_thinned_and_end_with_the_final_policy():
    sweep = put_together(steps=1000, seeds=[0])
    line = points(panels_of(figure_2(sweep))[0].lines[0])
    assert line.shape == (201, 2)
    shown = values(sweep, 4, 0.0, "q_pos")[0]
    np.testing.assert_allclose(line[:, 1], shown[::5])


def test_blocks():
    at, means = in_blocks(np.array([[1.0, 3.0, 8.0]]))
    assert at.tolist() == [0, 1, 2]
    assert means.tolist() == [[1, 3, 8]]
    assert [block_length(steps) for steps in (1, 50, 51, 1000)] == [1, 1, 2, 20]
    at, means = in_blocks(np.arange(51.0)[None])
    assert at[:2].tolist() == [0.5, 2.5]
    assert at[-1] == 50  # alone in its block
    assert means[0, :2].tolist() == [0.5, 2.5]
    assert means[0, -1] == 50


def test_a_group_size_that_was_not_simulated_is_refused(simulated):
    with pytest.raises(
        UsageError, match=r"group_size 8 is not in the sweep; choose from 4, 16, 64$"
    ):
        trajectories_figure(simulated, 8)


# All figures


@pytest.mark.parametrize(
    "changes",
    [
        {"group_sizes": [2], "gammas": [0], "seeds": [3], "steps": 2},
        {"group_sizes": [7], "gammas": [1.5], "seeds": [3, 4], "steps": 1},
        {"gammas": [i / 4 for i in range(10)], "steps": 3},
        {"group_sizes": [2**i for i in range(1, 21)], "gammas": [0], "steps": 3},
        {"group_sizes": [3, 10, 11, 5000], "steps": 3},
    ],
)
def test_sweeps_of_every_shape_are_drawn_with_labels_apart(changes):
    sweep = put_together(**changes)
    figures = [figure_2(sweep), retention_figure(sweep), tail_miss_figure(sweep)]
    figures.append(trajectories_figure(sweep, sweep.recipe.group_sizes[0]))
    for figure in figures:
        figure.draw_without_rendering()
        for axes in panels_of(figure):
            assert axes.get_ylabel()
            assert axes.get_window_extent().height > 150
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                boxes = [
                    label.get_window_extent()
                    for label, at in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
                    if low <= at <= high and label.get_text()
                ]
                assert boxes
                assert not [1 for a, b in itertools.pairwise(boxes) if a.overlaps(b)]


@pytest.mark.parametrize("make", [figure_2, retention_figure, tail_miss_figure])
def test_the_same_sweep_gives_the_same_bytes_shown_before_or_not(make):
    words = ("name", "title", "caption", "alt")
    once = save(make(put_together()), *words)
    figure = make(put_together())
    figure._repr_png_()
    again = save(figure, *words)
    assert (once.svg, once.png) == (again.svg, again.png)
