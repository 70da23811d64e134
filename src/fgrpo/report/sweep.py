"""A recipe's sweep over group sizes: which arms stand at which size, and on which line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.report.data import method_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fgrpo.report.data import ArmRuns, RunData

_OWN = {"name", "method", "gamma"}  # in which arms of one group size may differ


@dataclass(frozen=True)
class Line:
    """One way of training, a method and its γ, by group size."""

    label: str
    gamma: float
    arms: Mapping[int, ArmRuns]


@dataclass(frozen=True)
class Sweep:
    """Arms by group size and way of training.

    Attributes
    ----------
    sizes
        Group sizes, rising.
    lines
        Ways of training, in the recipe's order; each at two sizes or more, or at one.
    other
        Settings besides the group size that change with it, by their names in the recipe.
    """

    sizes: tuple[int, ...]
    lines: tuple[Line, ...]
    other: tuple[str, ...]

    def at(self, size: int) -> list[ArmRuns]:
        """Return the arms of a group size, in the order of the lines."""
        return [line.arms[size] for line in self.lines if size in line.arms]


def find_sweep(data: RunData) -> Sweep | None:
    """Return the sweep over group sizes that a run's arms make, or None.

    They make one if their group sizes differ, no two of one size have the same method and γ, and
    those of one size are alike in everything else: a difference between lines at one size then
    comes from the method or the weight alone.
    """
    sizes = sorted({arm.settings.group_size for arm in data.arms})
    if len(sizes) == 1:
        return None
    lines: dict[str, Line] = {}
    for arm in data.arms:
        settings = arm.settings
        label = method_label(settings)
        line = lines.setdefault(label, Line(label, settings.gamma, {}))
        if settings.group_size in line.arms:
            return None
        lines[label] = Line(label, line.gamma, {**line.arms, settings.group_size: arm})
    shared = {size: [arm for arm in data.arms if arm.settings.group_size == size] for size in sizes}
    if any(_differing(arms) for arms in shared.values()):
        return None
    other = _differing([arms[0] for arms in shared.values()])
    return Sweep(tuple(sizes), tuple(lines.values()), tuple(n for n in other if n != "group_size"))


def _differing(arms: Sequence[ArmRuns]) -> list[str]:
    """Name the settings in which arms differ, besides those that are an arm's own."""
    first, *rest = (arm.settings.model_dump(exclude=_OWN) for arm in arms)
    return [name for name in first if any(one[name] != first[name] for one in rest)]
