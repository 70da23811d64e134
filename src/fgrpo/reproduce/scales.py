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
    cost
        In words.
    """

    maze: str
    simulation: tuple[str, ...]
    cost: str


SCALES = {
    "small": Scale(
        "maze-small",
        (
            "name=figure-2-small",
            "group_sizes=[2, 8, 32, 128, 512, 2048, 8192, 32768, 131072]",
            "seeds=[0]",
        ),
        "about ten minutes on two cores",
    ),
    "medium": Scale("maze-medium", (), "an hour or two on two cores"),
    "paper": Scale("maze-paper", (), "a GPU for days; one group size at a time with --arms '*-n8'"),
}
