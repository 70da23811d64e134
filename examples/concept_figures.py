"""Draw the pictures of the documentation's two concept pages, from `fgrpo.theory`.

    python examples/concept_figures.py FOLDER

The first two show the categorical policy of the paper (arXiv 2602.06717, eqs. 4, 5, 10 and 17): a
softmax over whole answers, updated once from the rewards +1 and −1 of the distinct answers drawn.
"""

import sys
from pathlib import Path

import numpy as np

from fgrpo import focal_weight
from fgrpo.presentation.figures import draw, draw_panels, save
from fgrpo.presentation.series import arm_style
from fgrpo.theory import expected_sampled_mass, mass_change, update_scale

GROUP_SIZE = 8
GAMMAS = (0.0, 0.5, 1.0, 2.0)
LINES = [arm_style(f"γ = {gamma:g}", place).main() for place, gamma in enumerate(GAMMAS)]


def one_update(folder):
    """Draw what a single group does to every answer of a prompt."""
    mass = np.array([0.5, *[0.01] * 10, *[0.1] * 4])  # a common right answer, ten rare ones; wrong
    right = np.arange(15) < 11
    drawn = np.isin(np.arange(15), [0, 11])
    rewards = np.where(right, 1.0, -1.0) * drawn
    logits = np.log(mass) + 8.0 / GROUP_SIZE * mass * (rewards - mass @ rewards)
    after = np.exp(logits) / np.exp(logits).sum()
    names = ["right, drawn", "right, not drawn", "wrong, drawn", "wrong, not drawn"]
    kinds = [right & drawn, right & ~drawn, ~right & drawn, ~right & ~drawn]
    change = [100 * (after[kind].sum() / mass[kind].sum() - 1) for kind in kinds]
    labels = [f"{value:+.0f}%".replace("-", "−") for value in change]
    colours = ["#009e73", "#d55e00", "#767676", "#bbbbbb"]

    def paint(axes):
        bars = axes.barh(names[::-1], change[::-1], color=colours[::-1])
        axes.bar_label(bars, labels[::-1], padding=4)
        axes.axvline(0, color="#333333", linewidth=0.8)
        axes.set_xlim(-32, 26)
        axes.set_xlabel("change of the mass by one update (%)")

    print("total right:", mass[right].sum().round(3), "->", after[right].sum().round(3))
    print("rare right: ", mass[1:11].sum().round(3), "->", after[1:11].sum().round(3))
    write(folder, "concept_one_update", draw(paint, size=(5.6, 2.4), legend=False))


def by_successes(folder, rng):
    """Draw what groups with k right rollouts do on average to the right answers not drawn."""
    mass = np.tile([0.25, *[0.01] * 25], 2)
    right = np.arange(52) < 26
    successes = np.arange(1, GROUP_SIZE)
    moved = np.array([mean_changes(mass, right, k, rng) for k in successes])
    covered = expected_sampled_mass(mass, right, GROUP_SIZE, successes)
    print("k:      ", successes, "\nE[S_R]: ", (covered.correct - covered.wrong).round(3))
    print("total:  ", (100 * moved[:, 0]).round(2), "\nnot drawn:", (100 * moved[:, 1]).round(2))

    def paint(column, title):
        def panel(axes):
            for place, gamma in enumerate(GAMMAS[:3]):
                weight = focal_weight(successes / GROUP_SIZE, gamma)
                axes.plot(successes, 100 * weight * moved[:, column], **LINES[place])
            axes.axhline(0, color="#333333", linewidth=0.8)
            axes.set_xlabel(f"right rollouts of {GROUP_SIZE}")
            axes.set_ylabel(title)

        return panel

    panels = [paint(0, "all right answers (points)"), paint(1, "those not drawn (points)")]
    write(folder, "concept_by_successes", draw_panels(panels, size=(4.2, 3.2)))


def mean_changes(mass, right, k, rng, groups=20_000):
    """Return the mean changes of all right mass and of that not drawn, given k right rollouts."""
    drawn = np.zeros((groups, len(mass)), bool)
    for kind, count in ((right, k), (~right, GROUP_SIZE - k)):
        answers, chances = np.flatnonzero(kind), mass[kind] / mass[kind].sum()
        picked = rng.choice(answers, size=(groups, count), p=chances)
        np.put_along_axis(drawn, picked, True, axis=1)
    change = mass_change(mass, right, drawn, learning_rate=1.0, group_size=GROUP_SIZE)
    return change.total.mean(), change.unsampled.mean()


def weight(folder):
    """Draw the weight, and the mean size of an update with it, against the success rate."""
    rates = np.linspace(0, 1, 201)

    def paint_weight(axes):
        for place, gamma in enumerate(GAMMAS):
            axes.plot(100 * rates, focal_weight(rates, gamma), **LINES[place], markevery=25)
        axes.set_ylabel("focal weight")
        axes.set_xlabel("success rate (%)")

    def paint_update(axes):
        for place, gamma in enumerate(GAMMAS):
            size = 2 * np.sqrt(rates * (1 - rates)) * focal_weight(rates, gamma)
            axes.plot(100 * rates, size, **LINES[place], markevery=25)
        axes.set_ylabel("mean |advantage| × weight")
        axes.set_xlabel("success rate (%)")

    print("mean update:", {gamma: float(update_scale(gamma).round(4)) for gamma in GAMMAS})
    write(folder, "concept_weight", draw_panels([paint_weight, paint_update], size=(4.2, 3.2)))


def write(folder, name, figure):
    """Save a figure as PNG."""
    (folder / f"{name}.png").write_bytes(save(figure, name, "", "", "").png)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    one_update(target)
    by_successes(target, np.random.default_rng(0))
    weight(target)
