"""The figures of what an arm can solve: pass@k, lost and gained, success rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from fgrpo.presentation.figures import HEIGHT, WIDTH, DrawnFigure, render, save
from fgrpo.presentation.numbers import percent
from fgrpo.report.data import BASE
from fgrpo.report.panels import draw_arms, panels_note
from fgrpo.report.statistics import mean_pass_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from fgrpo.presentation.series import SeriesStyle
    from fgrpo.records import Counts
    from fgrpo.report.data import ArmRuns, RunData
    from fgrpo.report.statistics import Curve, Statistics
    from fgrpo.report.sweep import Sweep

    Styles = Mapping[str, SeriesStyle]

# Success rates: never, five equal steps, always.
RATE_BINS = ("0", "0–20", "20–40", "40–60", "60–80", "80–100", "100")


def result_figures(
    data: RunData, numbers: Statistics, styles: Styles, sweep: Sweep | None = None
) -> list[DrawnFigure]:
    """Draw pass@k against k, pass@1 and pass@n during training, lost and gained, success rates."""
    several = len(data.recipe.seeds) > 1
    return [
        _pass_at_k(data, numbers, styles, sweep),
        _during_training(data, styles, sweep, 1),
        _during_training(data, styles, sweep, data.samples),
        _lost_gained(data, numbers, styles, several=several, wide=sweep is not None),
        _success_rates(data, styles, sweep),
    ]


def _pass_at_k(
    data: RunData, numbers: Statistics, styles: Styles, sweep: Sweep | None
) -> DrawnFigure:
    def paint(axes: Axes, arms: Sequence[ArmRuns]) -> None:
        for name in (BASE, *(arm.name for arm in arms)):
            _curve(axes, numbers.ks, numbers.curve(name), styles[name])

    def finish(axes: Axes) -> None:
        shown = shown_ks(numbers.ks)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(shown[::-2][::-1] if sweep else shown))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:g}"))
        within_percent(axes)

    bands = "No bands: too few mazes."
    if np.isfinite(numbers.curves[0].low).all():
        bands = (
            "Bands: 95% bootstrap intervals over mazes, of each curve alone. Whether bands of two "
            "arms overlap says nothing about their difference, as arms are compared on the same "
            "mazes: see the verdicts."
        )
    several = len(data.recipe.seeds) > 1
    lines = "Thick lines: means over seeds; thin: each seed. " if several else ""
    last = numbers.ks[-1]
    shown = "; ".join(
        f"{curve.label} from {percent(curve.mean[0])} at k = 1 to {percent(curve.mean[-1])} "
        f"at k = {last}"
        for curve in numbers.curves
    )
    names = ("k (samples allowed)", "mazes solved: pass@k (%)")
    return save(
        draw_arms(data.arms, sweep, paint, finish, names),
        "pass_at_k",
        "Coverage: pass@k against k",
        "Share of held-out mazes solved by at least one of k samples, after training. Higher on "
        "the left: surer first answers; higher on the right: more mazes within reach at all. "
        f"{lines}{bands}{panels_note(sweep)}",
        f"Pass@k against k: {shown}.",
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


def shown_ks(ks: Sequence[int]) -> list[int]:
    """Leave out the last power of two if its label would touch that of n."""
    shown = list(ks)
    if len(shown) > 2 and shown[-1] < 1.6 * shown[-2]:
        del shown[-2]
    return shown if len(shown) <= 11 else shown[::-2][::-1]


def _during_training(data: RunData, styles: Styles, sweep: Sweep | None, k: int) -> DrawnFigure:
    start = float(mean_pass_at(data.base, k)[0])
    curves = {arm.name: during_training(data, arm, k) for arm in data.arms}

    def paint(axes: Axes, arms: Sequence[ArmRuns]) -> None:
        base = styles[BASE]
        axes.axhline(
            100 * start, color=base.colour, linestyle=base.line, linewidth=1.4, label=base.label
        )
        for arm in arms:
            (steps, values), style = curves[arm.name], styles[arm.name]
            if sweep and several:
                ends = 100 * values.min(axis=0), 100 * values.max(axis=0)
                axes.fill_between(steps, *ends, color=style.colour, alpha=0.13, linewidth=0)
            elif several:
                for run in values:
                    axes.plot(steps, 100 * run, **style.thin())
            axes.plot(steps, 100 * values.mean(axis=0), **style.main())

    def finish(axes: Axes) -> None:
        axes.xaxis.set_major_locator(MaxNLocator(4 if sweep else 6, integer=True))
        within_percent(axes)

    several = len(data.recipe.seeds) > 1
    what = "solved by a single sample" if k == 1 else f"solved by at least one of {k} samples"
    seeds = ""
    if several:
        shown = "bands: from the lowest seed to the highest" if sweep else "thin: each seed"
        seeds = f" Thick lines: means over seeds; {shown}."
    ends = "; ".join(
        f"{arm.label} {percent(curves[arm.name][1][:, -1].mean())}" for arm in data.arms
    )
    return save(
        draw_arms(
            data.arms, sweep, paint, finish, ("training step", f"mazes solved: pass@{k} (%)")
        ),
        "pass_at_1_training" if k == 1 else "pass_at_n_training",
        f"pass@{k} during training",
        f"Share of held-out mazes {what}; evaluated {_when(data)}. Dashed: the base model, from "
        f"which every arm starts.{seeds}{panels_note(sweep)}",
        f"Pass@{k} during training, from {percent(start)} at step 0 to: {ends}.",
    )


def _when(data: RunData) -> str:
    """Say after which training steps arms were evaluated."""
    steps = max((sorted(arm.runs[0].counts) for arm in data.arms), key=len)
    if len(steps) == 1:
        return "only at the start and the end"
    first, *gaps, last = np.diff([0, *steps]).tolist()
    if all(gap == first for gap in gaps) and last <= first:
        return f"every {first} steps"
    *before, end = map(str, steps)
    return f"after steps {', '.join(before)} and {end}"


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


def _lost_gained(
    data: RunData, numbers: Statistics, styles: Styles, *, several: bool, wide: bool
) -> DrawnFigure:
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
        labels = [arm.label for arm in data.arms]
        _diverging(axes, labels if wide else [_in_two(label) for label in labels], rows)

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
        size=(
            2 * WIDTH if wide else WIDTH,
            max(HEIGHT - 0.6, (0.42 if wide else 0.5) * len(rows) + 1.2),
        ),
        legend=False,
    )


def _in_two(label: str) -> str:
    return label.replace(" γ", "\nγ")


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
    axes.set_yticks(range(len(rows)), labels)
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


def _success_rates(data: RunData, styles: Styles, sweep: Sweep | None) -> DrawnFigure:
    shares = {BASE: rate_shares([data.base])}
    shares |= {arm.name: rate_shares(arm.finals) for arm in data.arms}
    places = np.arange(len(RATE_BINS))

    def paint(axes: Axes, arms: Sequence[ArmRuns]) -> None:
        for name in (BASE, *(arm.name for arm in arms)):
            axes.plot(places, 100 * shares[name], **styles[name].main())
        for edge in (0.5, len(RATE_BINS) - 1.5):  # never and always stand apart
            axes.axvline(edge, color="#cccccc", linewidth=1)
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", labelsize=9, labelrotation=90 if sweep else 0)

    def finish(axes: Axes) -> None:
        axes.set_xticks(places, RATE_BINS)
        axes.set_ylim(bottom=0)

    labels = [(BASE, styles[BASE].label), *((arm.name, arm.label) for arm in data.arms)]
    words = "; ".join(
        f"{label} never solves {percent(shares[name][0])}, always {percent(shares[name][-1])}"
        for name, label in labels
    )
    rate = "own success rate (%)" if sweep else "a maze's own success rate (%)"
    return save(
        draw_arms(data.arms, sweep, paint, finish, (rate, "share of held-out mazes (%)")),
        "success_rates",
        "How often each maze is solved",
        f"Held-out mazes by the share of their {data.samples} samples that are right: never (0), "
        "always (100), and five equal steps between; arms averaged over seeds. Training that "
        "sharpens moves mazes to the two ends. Lines only guide the eye."
        f"{panels_note(sweep)}",
        f"Distribution of per-maze success rates: {words}.",
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


def within_percent(axes: Axes) -> None:
    """Keep the axis within 0 to 100, with a little room for markers at the ends."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -1.5), min(high, 101.5))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
