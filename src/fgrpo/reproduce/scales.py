"""At which size the items that train or simulate are made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """What is run.

    Attributes
    ----------
    maze
        Recipe of ``fgrpo run``.
    simulation
        Changes of the recipe ``figure-2`` of ``fgrpo simulate``.
    """

    maze: str
    simulation: tuple[str, ...]


SCALES = {
    "small": Scale(
        "maze-small",
        (
            "name=figure-2-small",
            "group_sizes=[2, 8, 32, 128, 512, 2048, 8192, 32768, 131072]",
            "seeds=[0]",
        ),
    ),
    "medium": Scale("maze-medium", ()),
    "paper": Scale("maze-paper", ()),
}
