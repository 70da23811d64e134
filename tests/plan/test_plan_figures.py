"""The figures of a plan: what is drawn is what the plan says."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from fgrpo.plan import (
    Asked,
    LabelledPilot,
    Part,
    Pilot,
    Plan,
    Solutions,
    SuccessRates,
    group_curves,
    plan_for_pilot,
    plan_for_rates,
)
from fgrpo.plan.figures import (
    compare_rates_figure,
    drain_figure,
    groups_figure,
    tail_miss_figure,
    unsampled_figure,
    worst_size_figure,
)
from fgrpo.plan.pilot_figure import pilot_figure
from fgrpo.records import Counts

SIZES = (2, 8, 64, 512)


def pilot_plan() -> Plan:
    rng = np.random.default_rng(3)
    n = np.full(24, 12)
    c = rng.binomial(n, rng.beta(1, 2, 24))
    counts = Counts(tuple(f"p{i}" for i in range(24)), n, c)
    solutions = tuple(
        Solutions(f"p{i}", 12, np.array([2] * (k // 2) + [1] * (k % 2), np.int64))
        for i, k in enumerate(c)
    )
    labelled = LabelledPilot(solutions, 288, 0, ())
    asked = Asked(rare_shares=(0.1, 0.3), group_sizes=SIZES)
    return plan_for_pilot(counts, rng, labelled=labelled, asked=asked)


@pytest.fixture(scope="module")
def piloted() -> Plan:
    return pilot_plan()


def guessed(*rates: float) -> Plan:
    return plan_for_rates(rates, Asked(rare_shares=(0.05, 0.2), group_sizes=SIZES))


def axes_of(figure: Any) -> Any:
    (axes,) = figure.axes
    return axes


def line(axes: Any, label: str) -> tuple[np.ndarray, np.ndarray]:
    (one,) = [one for one in axes.lines if one.get_label() == label]
    return np.asarray(one.get_xdata()), np.asarray(one.get_ydata())


def at(curve: tuple[np.ndarray, np.ndarray], sizes: Any) -> list[float]:
    """Read a line at group sizes that it has points at."""
    x, y = curve
    return [float(y[np.flatnonzero(x == size)[0]]) for size in np.atleast_1d(sizes)]


def legend(figure: Any) -> list[str]:
    (one,) = figure.legends
    return [text.get_text() for text in one.get_texts()]


def bands(axes: Any) -> list[dict[float, tuple[float, float]]]:
    """Read each shaded band: x to its lowest and highest y."""
    found = []
    for one in axes.collections:
        if isinstance(one, PolyCollection):
            edges: dict[float, tuple[float, float]] = {}
            for x, y in one.get_paths()[0].vertices:
                low, high = edges.get(x, (y, y))
                edges[x] = (min(low, y), max(high, y))
            found.append(edges)
    return found


def test_tail_miss_of_a_guess() -> None:
    part = guessed(0.1).parts[0]
    figure = tail_miss_figure(part)
    axes = axes_of(figure)
    assert legend(figure) == ["active", "target 5%", "rare share 5%", "rare share 20%"]
    assert at(line(axes, "active"), SIZES) == pytest.approx(100 * part.curves.active.mean)
    for j, label in enumerate(("rare share 5%", "rare share 20%")):
        curve = line(axes, label)
        assert at(curve, SIZES) == pytest.approx(100 * part.curves.tail_miss.mean[j])
        assert len(curve[0]) > 60
    assert line(axes, "target 5%")[1] == pytest.approx([5, 5])
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "group size N"
    assert not bands(axes)


def test_worst_and_safe_sizes_are_marked() -> None:
    # The worst sizes of μ = 0.1 for ρ = 0.05 and 0.2 are 30 and 19; safe from 598 and 149 on.
    axes = axes_of(tail_miss_figure(guessed(0.1).parts[0]))
    dots = [one for one in axes.lines if one.get_marker() == "o"]
    strokes = [one for one in axes.lines if one.get_marker() == "|"]
    assert [one.get_xdata()[0] for one in dots] == [30, 19]
    assert [one.get_ydata()[0] for one in dots] == pytest.approx(
        [
            100 * ((1 - r * 0.1) ** n - 0.9**n - (0.1 - r * 0.1) ** n)
            for r, n in ((0.05, 30), (0.2, 19))
        ]
    )
    assert [(one.get_xdata()[0], one.get_ydata()[0]) for one in strokes] == [(598, 5), (149, 5)]
    assert [text.get_text() for text in axes.texts] == ["30", "598", "19", "149"]
    assert line(axes, "active")[0].max() == 1024  # reaches on to 598


def test_a_miss_that_never_reaches_the_target_has_one_mark() -> None:
    plan = plan_for_rates([0.1], Asked(rare_shares=(0.2,), group_sizes=SIZES, target=0.6))
    axes = axes_of(tail_miss_figure(plan.parts[0]))
    assert [text.get_text() for text in axes.texts] == ["19"]


def test_what_lies_beyond_the_axis_is_not_marked() -> None:
    # With μ = 0.001 the miss is worst above N = 1000, and safe far beyond.
    small = plan_for_rates([0.001], Asked(rare_shares=(0.05, 0.2), group_sizes=(2, 8))).parts[0]
    axes = axes_of(tail_miss_figure(small))
    assert line(axes, "active")[0].max() == 8
    assert not axes.texts
    assert not [one for one in axes.lines if one.get_marker() in ("o", "|")]


def test_sizes_above_a_million_and_dead_groups_are_not_marked() -> None:
    far = plan_for_rates([1e-7, 0.3], Asked(rare_shares=(0.05, 0.2), group_sizes=(2, 8)))
    assert not axes_of(tail_miss_figure(far.parts[0])).texts
    dots = [one for one in axes_of(worst_size_figure(far)).lines if one.get_marker() == "o"]
    assert [(one.get_xdata()[0], one.get_ydata()[0]) for one in dots] == [(30, 9), (30, 6)]
    # Prompts that are never solved leave the worst size where it is; with 70% of them groups of
    # any size are mostly dead.
    for share in (0.7, 0.2):
        rates = SuccessRates(np.array([0.0, 0.1]), np.array([[share, 1 - share]]))
        curves = group_curves(rates, rare_shares=0.2, group_sizes=SIZES)
        part = Part("some", rates, curves, None)
        marks = [text.get_text() for text in axes_of(tail_miss_figure(part)).texts]
        assert marks[0] == "19"
        assert curves.mostly_dead == (share == 0.7,)
        assert marks[1:] == ([] if share == 0.7 else [f"{curves.safe[0]}"])


def test_bands_and_points_of_a_pilot(piloted: Plan) -> None:
    part, found = piloted.parts[0], piloted.pilot
    assert found is not None
    figure = tail_miss_figure(part, found)
    axes = axes_of(figure)
    active, *missed = bands(axes)
    for size, place in ((8, 1), (64, 2)):
        wanted = (part.curves.active.low[place], part.curves.active.high[place])
        assert active[size] == pytest.approx(100 * np.array(wanted))
        for j, one in enumerate(missed):
            wanted = (part.curves.tail_miss.low[j, place], part.curves.tail_miss.high[j, place])
            assert one[size] == pytest.approx(100 * np.array(wanted))
    x, y = line(axes, "active, no model")
    assert x.tolist() == [2, 8]  # 64 is more than the 12 samples
    assert y == pytest.approx(100 * found.direct.mean)
    (bars,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    (_, low), (_, high) = bars.get_segments()[1]
    mean, error = found.direct.mean[1], found.direct.standard_error[1]
    assert (low, high) == pytest.approx(
        (100 * (mean - 1.645 * error), 100 * (mean + 1.645 * error))
    )
    for wide, narrow in zip(
        bands(axes_of(tail_miss_figure(part, level=0.99))), (active, *missed), strict=True
    ):
        assert wide[8][0] < narrow[8][0] < narrow[8][1] < wide[8][1]


def test_groups_fill_the_whole(piloted: Plan) -> None:
    for plan in (guessed(0.3), piloted):
        part = plan.parts[0]
        figure = groups_figure(part)
        assert legend(figure) == ["all wrong", "mixed: active", "all right"]
        wrong, mixed, right = bands(axes_of(figure))
        for place, size in enumerate(SIZES):
            curves = part.curves
            assert wrong[size] == pytest.approx((0, 100 * curves.all_wrong.mean[place]), abs=1e-6)
            assert mixed[size][0] == wrong[size][1]
            assert np.diff(mixed[size]) == pytest.approx(100 * curves.active.mean[place])
            assert right[size] == pytest.approx((100 - 100 * curves.all_right.mean[place], 100))


def test_unsampled(piloted: Plan) -> None:
    part, found = piloted.parts[0], piloted.pilot
    assert found is not None
    assert found.unsampled is not None
    figure = unsampled_figure(part, found)
    axes = axes_of(figure)
    points = "from the solutions, no model"
    assert legend(figure) == ["rare share 10%", "rare share 30%", points]
    for j, label in enumerate(("rare share 10%", "rare share 30%")):
        assert at(line(axes, label), SIZES) == pytest.approx(100 * part.curves.unsampled.mean[j])
        wanted = (part.curves.unsampled.low[j, 2], part.curves.unsampled.high[j, 2])
        assert bands(axes)[j][64] == pytest.approx(100 * np.array(wanted))
    x, y = line(axes, points)
    assert x.tolist() == [2, 8]
    assert y == pytest.approx(100 * np.asarray(found.unsampled.mean)[:2])
    (bars,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()]).T
    low, high = (100 * np.asarray(side)[:2] for side in found.unsampled[1:])
    assert ends == pytest.approx(np.array([low, high]))
    assert legend(unsampled_figure(part)) == ["rare share 10%", "rare share 30%"]
    assert legend(unsampled_figure(part, replace(found, unsampled=None))) == legend(
        unsampled_figure(part)
    )


def test_drain_is_that_of_the_smallest_share(piloted: Plan) -> None:
    for shares, place in (((0.1, 0.3), 0), ((0.3, 0.1), 1)):
        plan = plan_for_rates([0.3], Asked(rare_shares=shares, group_sizes=(2, 8, 8192)))
        curves = plan.parts[0].curves
        figure = drain_figure(plan.parts[0])
        assert legend(figure) == ["γ = 0", "γ = 0.5", "γ = 1"]
        drawn = line(axes_of(figure), "γ = 0.5")
        assert at(drawn, [2]) == pytest.approx([curves.drain.mean[1, place, 0]])
        assert drawn[0].max() == 4096  # larger ones are not summed
    curves = piloted.parts[0].curves
    axes = axes_of(drain_figure(piloted.parts[0]))
    for g in range(3):
        drawn = line(axes, f"γ = {curves.gammas[g]:g}")
        assert at(drawn, [2, 512]) == pytest.approx(curves.drain.mean[g, 0, [0, 3]])
        low, high = bands(axes)[g][2]
        assert (low, high) == pytest.approx((curves.drain.low[g, 0, 0], curves.drain.high[g, 0, 0]))


def test_success_rates_compared() -> None:
    plan = guessed(0.1, 0.5)
    figure = compare_rates_figure(plan)
    *panels, last = figure.axes
    assert len(panels) == 2
    for j, axes in enumerate(panels):
        for part in plan.parts:
            wanted = 100 * part.curves.tail_miss.mean[j]
            assert at(line(axes, part.label), SIZES) == pytest.approx(wanted)
    assert [axes.get_ylabel().split()[-6] for axes in panels] == ["5%", "20%"]
    assert last.get_ylabel() == "worst group size N"
    one = axes_of(compare_rates_figure(plan, 0.2))
    wanted = 100 * plan.parts[1].curves.tail_miss.mean[1]
    assert at(line(one, "success rate 0.5"), SIZES) == pytest.approx(wanted)


def test_worst_size_against_success_rate() -> None:
    axes = axes_of(worst_size_figure(guessed(0.1, 0.5)))
    for share in (0.05, 0.2):
        x, y = line(axes, f"rare share {100 * share:g}%")
        for place in range(0, len(x), 20):
            mu = x[place] / 100
            n = np.arange(1, 4000)
            missed = (1 - share * mu) ** n - (1 - mu) ** n - (mu - share * mu) ** n
            assert missed[int(y[place]) - 1] == pytest.approx(missed.max(), abs=1e-12)
    dots = [one for one in axes.lines if one.get_marker() == "o"]
    assert [(one.get_xdata()[0], one.get_ydata()[0]) for one in dots] == [
        (10, 30),
        (50, 6),
        (10, 19),
        (50, 4),
    ]


def uniform(n: list[int], c: list[int]) -> Any:
    """Return findings whose fit is known to be the uniform distribution: every c is as likely."""
    plan = plan_for_pilot(
        Counts(tuple(map(str, range(len(n)))), np.array(n), np.array(c)), np.random.default_rng(0)
    )
    assert plan.pilot is not None
    ones = np.ones(400)
    rates = SuccessRates.from_betas(1, 1)
    fit = Pilot(plan.pilot.fit.counts, ones, ones, rates, 0.9, 0.5)
    return replace(plan.pilot, fit=fit)


def heights(axes: Any) -> list[float]:
    return [bar.get_height() for bar in axes.patches]


def test_a_bar_for_each_count_of_few_samples() -> None:
    axes = axes_of(pilot_figure(uniform([4] * 10, [0, 0, 0, 1, 2, 2, 3, 4, 4, 4])))
    assert heights(axes) == [3, 1, 2, 1, 3]
    assert line(axes, "fitted distribution")[1] == pytest.approx([2] * 5)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2", "3", "4"]
    (bars,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    for segment in bars.get_segments():  # Binomial(10, 1/5): 0 has 0.11, at most 4 has 0.97
        assert tuple(segment[:, 1]) == (0, 4)


def test_never_and_always_stand_apart_from_steps() -> None:
    # c/n = 0, 1/30, 2/30, 3/30 (which is 10% and opens the second step), 29/30, 1.
    axes = axes_of(pilot_figure(uniform([30] * 7, [0, 1, 2, 3, 29, 30, 30])))
    assert heights(axes) == [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    expected = line(axes, "fitted distribution")[1]
    assert expected == pytest.approx(7 / 31 * np.array([1, 2] + [3] * 9 + [1]))
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert (labels[0], labels[-1]) == ("never", "always")


def test_prompts_of_different_samples_share_the_bars() -> None:
    axes = axes_of(pilot_figure(uniform([5, 5, 20], [0, 2, 20])))
    assert heights(axes) == [1, 0, 0, 1, 0, 0, 1]
    # Of 0 … 5 one in each step; of 0 … 20 the steps hold 3, 4, 4, 4, 4.
    wanted = [2 / 6 + 1 / 21] + [steps / 21 for steps in (3, 4, 4, 4, 4)] + [2 / 6 + 1 / 21]
    wanted[2:6] = [value + 2 / 6 for value in wanted[2:6]]
    assert line(axes, "fitted distribution")[1] == pytest.approx(wanted)


def test_a_single_group_size_and_strange_labels_are_drawn() -> None:
    plan = plan_for_rates([0.3, 0.6], Asked(rare_shares=(0.1,), group_sizes=(8,)))
    strange = replace(plan, parts=(replace(plan.parts[0], label="_$x^{"), plan.parts[1]))
    figure = compare_rates_figure(strange)
    figure.canvas.draw()
    assert legend(figure)[0] == r" _\$x^{"
    assert line(axes_of(tail_miss_figure(plan.parts[0])), "active")[0].min() == 4


def test_importing_the_plan_loads_no_matplotlib() -> None:
    code = (
        "import sys, fgrpo.plan, fgrpo.plan.tables, fgrpo.plan.write\n"
        "print([n for n in ('matplotlib', 'jinja2') if n in sys.modules])\n"
        "import fgrpo.plan.page\n"
        "heavy = [f'fgrpo.{name}' for name in ('report', 'diagnose', 'lab', 'cli')]\n"
        "heavy.append('matplotlib.pyplot')\n"
        "print([n for n in heavy if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
