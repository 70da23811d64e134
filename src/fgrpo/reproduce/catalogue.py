"""Every figure and table of the paper that ``fgrpo reproduce`` knows."""

from __future__ import annotations

from fgrpo.errors import UsageError
from fgrpo.reproduce.item import Item
from fgrpo.reproduce.llm_items import (
    curves,
    rare_nll,
    table_1,
    table_2,
    table_3,
    table_6,
    table_10,
    table_11,
)
from fgrpo.reproduce.maze_items import figure_6, table_4
from fgrpo.reproduce.maze_training import figure_7
from fgrpo.reproduce.simulation_item import figure_2
from fgrpo.reproduce.theory_items import figure_1a, figure_3, figure_4, figure_5

ITEMS = (
    Item("figure-1a", "Tail miss against the group size", figure_1a),
    Item("figure-2", "The categorical policy", figure_2, "simulation"),
    Item("figure-3", "Tail miss for several success rates", figure_3),
    Item("figure-4", "The shape of the focal weight", figure_4),
    Item("figure-5", "The worst group size", figure_5),
    Item("figure-6", "Maze: pass@256 against the group size", figure_6, "maze"),
    Item("figure-7", "Maze: pass@256 during training", figure_7, "maze"),
    Item("table-1", "Language models: methods", table_1),
    Item("table-2", "Language models: group sizes, averages", table_2),
    Item("table-3", "Language models: controls, averages", table_3),
    Item("table-4", "Maze: pass@1 and pass@256", table_4, "maze"),
    Item("table-6", "Language models: γ from 0 to 2", table_6),
    Item("table-10", "Language models: group sizes, by benchmark", table_10),
    Item("table-11", "Language models: controls, by benchmark", table_11),
    Item("table-12", "pass@k of Qwen2.5-7B", curves("Qwen2.5-7B", "table-12")),
    Item("table-13", "pass@k of Qwen3-4B-Base", curves("Qwen3-4B-Base", "table-13")),
    Item(
        "table-14",
        "pass@k of Llama-3.2-3B-Instruct",
        curves("Llama-3.2-3B-Instruct", "table-14"),
    ),
    Item("rare-nll", "Language models: likelihood of rare right answers", rare_nll),
)


def chosen(names: list[str]) -> list[Item]:
    """Return the items of these names, in the paper's order; all of them for none.

    Raises
    ------
    UsageError
        If there is no item of a name.
    """
    known = [item.name for item in ITEMS]
    for name in names:
        if name not in known:
            raise UsageError(f"--item {name!r}: must be one of {', '.join(known)}")
    return [item for item in ITEMS if not names or item.name in names]
