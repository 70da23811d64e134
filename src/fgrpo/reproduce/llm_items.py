"""The language-model tables: the paper's numbers, and what would make ours."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fgrpo.presentation.axes import size_axis
from fgrpo.presentation.figures import draw_panels, entitle, save
from fgrpo.presentation.series import arm_style
from fgrpo.reproduce.item import NOT_RUN, Made, Runs, Table
from fgrpo.reproduce.paper import paper_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fgrpo.reproduce.paper import Row

_MATH = ("AIME24", "AIME25", "AMC23", "MATH500", "Minerva", "Olympiad")
_AVERAGES = ("math_average", "ood_average")
_SHOWN = {
    "math_average": "math average",
    "ood_average": "out-of-domain average",
    "Olympiad": "OlympiadBench",
}
_MODELS = ("Qwen2.5-7B", "Qwen3-4B-Base", "Llama-3.2-3B-Instruct")
_METHODS = ("GRPO", "DAPO", "CISPO")
_NOT_FROM_0 = "The axes do not begin at 0."
_HOW = (
    "To run it: the recipes of `docs/verl.md` (or `docs/trl.md`) train, `fgrpo evaluate` and "
    "`fgrpo compare` measure."
)


def table_1(_: Runs) -> Made:
    """Compare three models and three methods with and without the weight."""
    rows = paper_rows("methods")
    keys = ("model", "base_method", "gamma")
    gains = _gains(rows, ("model", "base_method"))
    return _not_run(
        "table-1",
        "the weight raises average math pass@256 in "
        f"{sum(gain > 0 for gain in gains)} of {len(gains)} pairs, by "
        f"{min(gains):.1f} to {max(gains):.1f} points",
        [
            _wide("pass@1 / pass@256, percent: averages", rows, keys, _AVERAGES),
            _wide("pass@1 / pass@256, percent: benchmarks", rows, keys, _benchmarks(rows)),
        ],
        draw_panels([_arrows(rows, model) for model in _MODELS], columns=2),
        "Math averages with and without the weight",
        "An arrow leads from the method without weight to the one with it; up is more pass@256, "
        f"right more pass@1. {_NOT_FROM_0}",
    )


def table_2(_: Runs) -> Made:
    """Compare group sizes: averages."""
    return _group_sizes("table-2", _AVERAGES)


def table_10(_: Runs) -> Made:
    """Compare group sizes: benchmark by benchmark."""
    return _group_sizes("table-10", _benchmarks(paper_rows("group_sizes")))


def table_3(_: Runs) -> Made:
    """Compare the weight with other remedies: averages."""
    return _controls("table-3", _AVERAGES)


def table_11(_: Runs) -> Made:
    """Compare the weight with other remedies: benchmark by benchmark."""
    return _controls("table-11", _benchmarks(paper_rows("controls")))


def table_6(_: Runs) -> Made:
    """Sweep γ."""
    rows = paper_rows("gamma_sweep")
    best = [
        max(some, key=lambda row: row["pass_at_k"])["gamma"]
        for some in _grouped(_math(rows, 256), ("model", "base_method")).values()
    ]
    shown = ", ".join(f"γ = {g:g} in {best.count(g)}" for g in sorted(set(best)))
    return _not_run(
        "table-6",
        f"highest average math pass@256 of {len(best)} pairs of model and method: {shown}",
        [_wide("pass@1 / pass@256, percent", rows, ("model", "base_method", "gamma"), _AVERAGES)],
        draw_panels([_against(rows, "gamma", model) for model in _MODELS], columns=2),
        "Average math pass@256 against γ",
        f"One line for each method. {_NOT_FROM_0}",
    )


def curves(model: str, table: str) -> Callable[[Runs], Made]:
    """Return what makes one of the tables 12 to 14: pass@k curves of a model."""

    def make(_: Runs) -> Made:
        rows = [row for row in paper_rows("pass_at_k_curves") if row["model"] == model]
        ks = sorted({row["k"] for row in rows})
        grouped = _grouped(rows, ("benchmark", "base_method", "gamma"))
        table_rows = tuple(
            (*_words(key), *(f"{row['pass_at_k']:.1f}" for row in _by_k(some)), NOT_RUN)
            for key, some in grouped.items()
        )
        head = ("benchmark", "method", "γ", *(f"pass@{k}" for k in ks), "ours")
        return _not_run(
            table,
            _crossing(rows),
            [Table("percent", head, table_rows)],
            draw_panels([_curve(rows, method) for method in _METHODS], columns=2, share=True),
            f"pass@k of {model}, mean of the six math benchmarks",
            f"Solid: without the weight; dashed: with it. {_NOT_FROM_0}",
        )

    return make


def rare_nll(_: Runs) -> Made:
    """Tell what training does to the base model's rare right answers."""
    rows = paper_rows("rare_nll")
    table = Table(
        "Rise of the mean negative log-likelihood of rare right answers, nats per token",
        ("model", "method", "γ", "N", "paper", "ours"),
        tuple(
            (
                row["model"],
                row["base_method"],
                f"{row['gamma']:g}",
                str(row["group_size"]),
                f"{row['delta_nll_rare']:.2f}",
                NOT_RUN,
            )
            for row in rows
        ),
    )

    def paint(axes: Axes) -> None:
        for place, gamma in enumerate(sorted({row["gamma"] for row in rows})):
            some = [row for row in rows if row["gamma"] == gamma]
            axes.plot(
                [row["group_size"] for row in some],
                [row["delta_nll_rare"] for row in some],
                **arm_style(f"γ = {gamma:g}", place).main(),
            )
        size_axis(axes, sorted({row["group_size"] for row in rows}))
        axes.set_ylabel("rise of the rare answers' NLL\n(nats per token)")
        axes.set_ylim(bottom=0)

    worst = max(rows, key=lambda row: row["delta_nll_rare"])
    focal = next(r for r in rows if r["gamma"] > 0 and r["group_size"] == worst["group_size"])
    return _not_run(
        "rare-nll",
        f"rises most at N = {worst['group_size']} ({worst['delta_nll_rare']:.2f}); with γ = "
        f"{focal['gamma']:g} there {focal['delta_nll_rare']:.2f}",
        [table],
        draw_panels([paint]),
        "How unlikely training makes rare right answers",
        "Rise of the negative log-likelihood per token under the trained model, Qwen2.5-7B.",
        "`fgrpo rare-nll` measures it for any model.",
    )


def _group_sizes(name: str, benchmarks: Sequence[str]) -> Made:
    rows = paper_rows("group_sizes")
    plain = [row for row in _math(rows, 256) if row["gamma"] == 0]
    low = min(plain, key=lambda row: row["pass_at_k"])
    focal = next(row for row in _math(rows, 256) if row["gamma"] > 0)
    return _not_run(
        name,
        f"average math pass@256 without weight is lowest at N = {low['group_size']} "
        f"({low['pass_at_k']:.1f}); γ = {focal['gamma']:g} at N = {focal['group_size']}: "
        f"{focal['pass_at_k']:.1f}",
        [_wide("pass@1 / pass@256, percent", rows, ("model", "gamma", "group_size"), benchmarks)],
        draw_panels([_against(rows, "group_size", "Qwen2.5-7B")]),
        "Average math pass@256 against the group size",
        "GRPO on Qwen2.5-7B; the single mark is the weight at N = "
        f"{focal['group_size']}. {_NOT_FROM_0}",
    )


def _controls(name: str, benchmarks: Sequence[str]) -> Made:
    rows = paper_rows("controls")
    highest = []
    for k in (256, 1):
        best = max(_math(rows, k), key=lambda row: row["pass_at_k"])
        highest.append(f"pass@{k}: {best['control']} ({best['pass_at_k']:.1f})")
    grouped = _grouped(rows, ("control",))
    group_sizes = _grouped(paper_rows("group_sizes"), ("group_size", "gamma"))
    plain = group_sizes[rows[0]["group_size"], 0.0]

    def paint(axes: Axes) -> None:
        remedies = {"GRPO alone": plain, **{str(key[0]): some for key, some in grouped.items()}}
        for place, (label, some) in enumerate(remedies.items()):
            at = {row["k"]: row["pass_at_k"] for row in some if row["benchmark"] == "math_average"}
            style = {**arm_style(label, place).main(), "linestyle": "", "markersize": 8}
            axes.plot([at[1]], [at[256]], **style)
        axes.set_xlabel("average math pass@1 (%)")
        axes.set_ylabel("average math pass@256 (%)")

    return _not_run(
        name,
        f"highest average math {', '.join(highest)}",
        [_wide("pass@1 / pass@256, percent", rows, ("model", "control"), benchmarks)],
        draw_panels([paint]),
        "The weight among other remedies",
        f"GRPO on Qwen2.5-7B, N = {rows[0]['group_size']}. {_NOT_FROM_0}",
    )


def _not_run(
    name: str,
    paper: str,
    tables: Sequence[Table],
    figure: Figure,
    title: str,
    caption: str,
    how: str = _HOW,
) -> Made:
    figure.supxlabel(f"The paper's numbers. Ours: {NOT_RUN}.", fontsize=9, color="#555555")
    return Made(
        scale=NOT_RUN,
        ours=NOT_RUN,
        paper=paper,
        tables=tuple(tables),
        figures=(
            save(
                figure,
                name,
                title,
                f"{caption} The paper's numbers; ours: {NOT_RUN}.",
                f"The paper's numbers: {paper}.",
            ),
        ),
        notes=(how,),
    )


def _wide(title: str, rows: Iterable[Row], keys: Sequence[str], benchmarks: Sequence[str]) -> Table:
    """Set a row for each arm, a column ``pass@1 / pass@256`` for each benchmark."""
    lines = []
    for key, some in _grouped(rows, keys).items():
        found = {(row["benchmark"], row["k"]): row["pass_at_k"] for row in some}
        cells = (f"{found[name, 1]:.1f} / {found[name, 256]:.1f}" for name in benchmarks)
        lines.append((*_words(key), *cells, NOT_RUN))
    names = {"base_method": "method", "gamma": "γ", "group_size": "N"}
    head = (
        *(names.get(key, key) for key in keys),
        *(_SHOWN.get(name, name) for name in benchmarks),
        "ours",
    )
    return Table(title, head, tuple(lines))


def _words(key: Iterable[object]) -> list[str]:
    return [f"{part:g}" if isinstance(part, int | float) else str(part) for part in key]


def _benchmarks(rows: Iterable[Row]) -> list[str]:
    names = dict.fromkeys(row["benchmark"] for row in rows)
    return [name for name in names if name not in _AVERAGES]


def _grouped(rows: Iterable[Row], keys: Sequence[str]) -> dict[tuple[object, ...], list[Row]]:
    found: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[key] for key in keys)].append(row)
    return dict(found)


def _by_k(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: int(row["k"]))


def _math(rows: Iterable[Row], k: int) -> list[Row]:
    return [row for row in rows if row["benchmark"] == "math_average" and row["k"] == k]


def _gains(rows: Iterable[Row], keys: Sequence[str]) -> list[float]:
    """Return how much the weight adds to the average math pass@256 of each pair, in points."""
    gains = []
    for some in _grouped(_math(rows, 256), keys).values():
        plain = next(row["pass_at_k"] for row in some if row["gamma"] == 0)
        gains += [row["pass_at_k"] - plain for row in some if row["gamma"] > 0]
    return gains


def _mean_curve(rows: Iterable[Row]) -> Mapping[int, float]:
    """Map k to the mean over the math benchmarks."""
    found: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row["benchmark"] in _MATH:
            found[row["k"]].append(row["pass_at_k"])
    return {k: sum(values) / len(values) for k, values in sorted(found.items())}


def _crossing(rows: Sequence[Row]) -> str:
    """Say what the weight adds at both ends of the curves."""
    parts = []
    for method in _METHODS:
        plain, focal = (
            _mean_curve(r for r in rows if r["base_method"] == method and (r["gamma"] > 0) == some)
            for some in (False, True)
        )
        ends = (1, 256)
        shown = ", ".join(f"{focal[k] - plain[k]:+.1f} at k = {k}".replace("-", "−") for k in ends)
        parts.append(f"{method} {shown}")
    return f"what the weight adds to the mean of six math benchmarks, points: {'; '.join(parts)}"


def _arrows(rows: Iterable[Row], model: str) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for place, method in enumerate(_METHODS):
            some = [r for r in rows if (r["model"], r["base_method"]) == (model, method)]
            ends = []
            for weighted in (False, True):
                at = {
                    row["k"]: row["pass_at_k"]
                    for row in some
                    if row["benchmark"] == "math_average" and (row["gamma"] > 0) == weighted
                }
                ends.append((at[1], at[256]))
            style = arm_style(method, place)
            axes.annotate(
                "", ends[1], ends[0], arrowprops={"arrowstyle": "->", "color": style.colour}
            )
            marks = {**style.main(), "linestyle": "", "markersize": 7}
            axes.plot(*zip(*ends, strict=True), **marks)
        entitle(axes, model)
        axes.set_xlabel("average math pass@1 (%)")
        axes.set_ylabel("average math pass@256 (%)")
        axes.margins(0.15)

    return paint


def _against(rows: Iterable[Row], column: str, model: str) -> Callable[[Axes], None]:
    """Draw average math pass@256 against γ (one line a method) or N (one line a γ)."""
    other = "gamma" if column == "group_size" else "base_method"

    def paint(axes: Axes) -> None:
        some = [row for row in _math(rows, 256) if row["model"] == model]
        for place, (key, line) in enumerate(_grouped(some, (other,)).items()):
            label = f"γ = {key[0]:g}" if other == "gamma" else str(key[0])
            axes.plot(
                [row[column] for row in line],
                [row["pass_at_k"] for row in line],
                **arm_style(label, place).main(),
            )
        entitle(axes, model)
        if column == "group_size":
            size_axis(axes, sorted({row[column] for row in some}))
        else:
            axes.set_xlabel("γ")
        axes.set_ylabel("average math pass@256 (%)")

    return paint


def _curve(rows: Iterable[Row], method: str) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for place, weighted in enumerate((False, True)):
            line = _mean_curve(
                r for r in rows if r["base_method"] == method and (r["gamma"] > 0) == weighted
            )
            label = "with the weight" if weighted else "without"
            axes.plot(list(line), list(line.values()), **arm_style(label, place).main())
        size_axis(axes, [1, 256])
        entitle(axes, method)
        axes.set_xlabel("k")
        axes.set_ylabel("pass@k (%)")

    return paint
