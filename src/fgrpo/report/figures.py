"""The figures of what an arm can solve: pass@k, lost and gained, success rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from fgrpo.presentation.figures import HEIGHT, WIDTH, DrawnFigure, render
from fgrpo.presentation.numbers import percent
from fgrpo.report.data import BASE
from fgrpo.report.statistics import mean_pass_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from fgrpo.presentation.series import SeriesStyle
    from fgrpo.records import Counts
    from fgrpo.report.data import ArmRuns, RunData
    from fgrpo.report.statistics import Curve, Statistics

    Styles = Mapping[str, SeriesStyle]

# Success rates: never, five equal steps, always.
RATE_BINS = ("0", "0–20", "20–40", "40–60", "60–80", "80–100", "100")


def result_figures(data: RunData, numbers: Statistics, styles: Styles) -> list[DrawnFigure]:
    """Draw pass@k against k, pass@1 and pass@n during training, lost and gained, success rates."""
    several = len(data.recipe.seeds) > 1
    return [
        _pass_at_k(numbers, styles, several),
        _during_training(data, styles, 1, several),
        _during_training(data, styles, data.samples, several),
        _lost_gained(data, numbers, styles, several),
        _success_rates(data, styles),
    ]


def _pass_at_k(numbers: Statistics, styles: Styles, several: bool) -> DrawnFigure:
    def paint(axes: Axes) -> None:
        for curve in numbers.curves:
            style = styles[curve.name]
            _curve(axes, numbers.ks, curve, style)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(spaced(numbers.ks)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:g}"))
        axes.set_xlabel("k (samples allowed)")
        axes.set_ylabel("mazes solved: pass@k (%)")
        percent_axis(axes)

    bands = "No bands: too few mazes."
    if np.isfinite(numbers.curves[0].low).all():
        bands = (
            "Bands: 95% bootstrap intervals over mazes, of each curve alone. Whether bands of two "
            "arms overlap says nothing about their difference, as arms are compared on the same "
            "mazes: see the verdicts."
        )
    lines = "Thick lines: means over seeds; thin: each seed. " if several else ""
    last = numbers.ks[-1]
    shown = "; ".join(
        f"{curve.label} from {percent(curve.mean[0])} at k = 1 to {percent(curve.mean[-1])} "
        f"at k = {last}"
        for curve in numbers.curves
    )
    return render(
        "pass_at_k",
        "Coverage: pass@k against k",
        "Share of held-out mazes solved by at least one of k samples, after training. Higher on "
        "the left: surer first answers; higher on the right: more mazes within reach at all. "
        f"{lines}{bands}",
        f"Pass@k against k: {shown}.",
        paint,
    )


def _curve(axes: Axes, ks: Sequence[int], curve: Curve, style: SeriesStyle) -> None:
    if np.isfinite(curve.low).all():
        axes.fill_between(
            ks, 100 * curve.low, 100 * curve.high, color=style.colour, alpha=0.1, linewidth=0
        )
    if len(curve.runs) > 1:
        for run in curve.runs:
            axes.plot(ks, 100 * run, **style.thin())
    axes.plot(ks, 100 * curve.mean, **style.main())


def spaced(ks: Sequence[int]) -> list[int]:
    """Leave out the last power of two if its label would touch that of n."""
    shown = list(ks)
    if len(shown) > 2 and shown[-1] < 1.6 * shown[-2]:
        del shown[-2]
    return shown if len(shown) <= 11 else shown[::-2][::-1]


def _during_training(data: RunData, styles: Styles, k: int, several: bool) -> DrawnFigure:
    start = float(mean_pass_at(data.base, k)[0])
    curves = {arm.name: during_training(data, arm, k) for arm in data.arms}

    def paint(axes: Axes) -> None:
        base = styles[BASE]
        axes.axhline(
            100 * start, color=base.colour, linestyle=base.line, linewidth=1.4, label=base.label
        )
        for name, (steps, values) in curves.items():
            style = styles[name]
            if len(values) > 1:
                for run in values:
                    axes.plot(steps, 100 * run, **style.thin())
            axes.plot(steps, 100 * values.mean(axis=0), **style.main())
        axes.set_xlabel("training step")
        axes.set_ylabel(f"mazes solved: pass@{k} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        percent_axis(axes)

    every = data.recipe.evaluation.every
    when = f"evaluated every {every} steps" if every else "evaluated only at the start and the end"
    what = "solved by a single sample" if k == 1 else f"solved by at least one of {k} samples"
    seeds = " Thick lines: means over seeds; thin: each seed." if several else ""
    ends = "; ".join(
        f"{arm.label} {percent(curves[arm.name][1][:, -1].mean())}" for arm in data.arms
    )
    return render(
        "pass_at_1_training" if k == 1 else "pass_at_n_training",
        f"pass@{k} during training",
        f"Share of held-out mazes {what}; {when}. Dashed: the base model, from which every arm "
        f"starts.{seeds}",
        f"Pass@{k} during training, from {percent(start)} at step 0 to: {ends}.",
        paint,
    )


def during_training(
    data: RunData, arm: ArmRuns, k: int
) -> tuple[list[int], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Return the evaluated steps from 0 on, and pass@k there, of shape (seeds, steps)."""
    steps = sorted(arm.runs[0].counts)
    start = float(mean_pass_at(data.base, k)[0])
    values = np.array(
        [[start, *(float(mean_pass_at(run.counts[s], k)[0]) for s in steps)] for run in arm.runs]
    )
    return [0, *steps], values


def _lost_gained(data: RunData, numbers: Statistics, styles: Styles, several: bool) -> DrawnFigure:
    rows = {
        arm.name: [one for one in numbers.lost_gained if one.name == arm.name] for arm in data.arms
    }

    def paint(axes: Axes) -> None:
        for y, (name, runs) in enumerate(rows.items()):
            for sign, values in ((-1, [r.lost for r in runs]), (1, [r.gained for r in runs])):
                mean = float(np.mean(values))
                axes.barh(y, sign * mean, 0.62, color=styles[name].colour, alpha=0.75)
                farthest = max(max(values), mean)
                axes.annotate(
                    f"{mean:.1f}" if several else f"{mean:g}",
                    (sign * farthest, y),
                    (sign * 7, 0),
                    textcoords="offset points",
                    ha="left" if sign > 0 else "right",
                    va="center",
                )
                if several:
                    spread = y + np.linspace(-0.16, 0.16, len(values))
                    axes.plot(
                        [sign * v for v in values],
                        spread,
                        "o",
                        color="#222222",
                        markersize=4,
                        markeredgecolor="white",
                        markeredgewidth=0.6,
                    )
        _diverging(axes, [styles[name].label for name in rows], rows)

    words = "; ".join(
        f"{runs[0].label} lost {np.mean([r.lost for r in runs]):.3g}, gained "
        f"{np.mean([r.gained for r in runs]):.3g}"
        for runs in rows.values()
    )
    n, size, solved = data.samples, len(data.base.problems), numbers.lost_gained[0].base_solved
    dots = " Bars and numbers: means over seeds; dots: each seed." if several else ""
    return render(
        "lost_gained",
        "Mazes lost and gained against the base model",
        f"Lost: the base solved it at least once in {n} samples, the trained model never. Gained: "
        f"the reverse. The base solved {solved} of {size}.{dots} A maze solved about once in {n} "
        "samples can change sides by chance alone.",
        f"Mazes lost and gained against the base model: {words}.",
        paint,
        size=(WIDTH, max(HEIGHT - 0.6, 0.5 * len(rows) + 1.2)),
        legend=False,
    )


def count_both_ways(axes: Axes, *, room: float) -> None:
    """Let x count without a sign to both sides of 0, with a share of room beyond the ends."""
    low, high = axes.get_xlim()
    beyond = room * max(high - low, 1e-9)
    axes.set_xlim(min(low, -0.5) - beyond, max(high, 0.5) + beyond)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{abs(x):g}"))


def _diverging(axes: Axes, labels: list[str], rows: Mapping[str, Sequence[object]]) -> None:
    """Finish the axes of lost and gained: names, headings, the same unit to both sides."""
    axes.axvline(0, color="#333333", linewidth=1)
    axes.set_yticks(range(len(rows)), [label.replace(" γ", "\nγ") for label in labels])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    count_both_ways(axes, room=0.22)
    axes.set_xlabel("held-out mazes")
    style: dict[str, Any] = {
        "xycoords": ("data", "axes fraction"),
        "textcoords": "offset points",
        "va": "bottom",
    }
    axes.annotate("← lost", (0, 1), (-10, 2), ha="right", **style)
    axes.annotate("gained →", (0, 1), (10, 2), ha="left", **style)


def _success_rates(data: RunData, styles: Styles) -> DrawnFigure:
    shares = {BASE: rate_shares([data.base])}
    shares |= {arm.name: rate_shares(arm.finals) for arm in data.arms}

    def paint(axes: Axes) -> None:
        places = np.arange(len(RATE_BINS))
        for name, values in shares.items():
            axes.plot(places, 100 * values, **styles[name].main())
        for edge in (0.5, len(RATE_BINS) - 1.5):  # never and always stand apart
            axes.axvline(edge, color="#cccccc", linewidth=1)
        axes.set_xticks(places, RATE_BINS, fontsize=9)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("a maze's own success rate (%)")
        axes.set_ylabel("share of held-out mazes (%)")
        axes.set_ylim(bottom=0)

    words = "; ".join(
        f"{styles[name].label} never solves {percent(values[0])}, always {percent(values[-1])}"
        for name, values in shares.items()
    )
    return render(
        "success_rates",
        "How often each maze is solved",
        f"Held-out mazes by the share of their {data.samples} samples that are right: never (0), "
        "always (100), and five equal steps between; arms averaged over seeds. Training that "
        "sharpens moves mazes to the two ends. Lines only guide the eye.",
        f"Distribution of per-maze success rates: {words}.",
        paint,
    )


def rate_shares(runs: Sequence[Counts]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Shares of problems in each of `RATE_BINS`, averaged over runs; a step holds its lower end."""
    shares = np.zeros(len(RATE_BINS))
    for run in runs:
        bins = 1 + 5 * run.c // run.n  # in whole numbers: 0.2, 0.4 … fall where they should
        bins[run.c == 0] = 0
        bins[run.c == run.n] = len(RATE_BINS) - 1
        shares += np.bincount(bins, minlength=len(RATE_BINS)) / len(run.problems)
    return shares / len(runs)


def percent_axis(axes: Axes) -> None:
    """Keep the axis within 0 to 100, with a little room for markers at the ends."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -1.5), min(high, 101.5))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
