"""What one figure or table of the paper comes to here: claims, tables, pictures, a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fgrpo.presentation.figures import DrawnFigure
    from fgrpo.simulation.result import Sweep

NOT_RUN = "not run (needs 16 GPUs)"


class Finding(StrEnum):
    """What our numbers say to one statement of the paper."""

    AGREES = "agrees"
    OPEN = "undecided"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the paper, and ours.

    Attributes
    ----------
    text
        What the paper's figure or table says, in our words, precise enough to be checked.
    ours
        The numbers that decide.
    finding
        What follows from them.
    """

    text: str
    ours: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts: a title, the names of the columns, and rows of as many cells."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Made:
    """What making an item gave.

    Attributes
    ----------
    scale
        In words: what was run, and at which size.
    ours, paper
        The result in a line each.
    claims
        Statements of the paper that were checked; none where nothing could be run.
    tables, figures
        The numbers side by side, and the pictures.
    notes
        What a reader must know to judge it, in whole sentences.
    """

    scale: str
    ours: str
    paper: str
    claims: tuple[Claim, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[DrawnFigure, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()


class Runs(Protocol):
    """What the items that train or simulate need: it starts or resumes a run and reads it."""

    def simulation(self) -> Sweep:
        """Return the finished simulation of figure 2."""

    def maze(self) -> Path:
        """Return the folder of the finished maze run, its report written."""


@dataclass(frozen=True, slots=True)
class Item:
    """A figure or table of the paper.

    Attributes
    ----------
    name
        As on the command line: ``figure-2``.
    title
        What it shows.
    make
        Makes it.
    needs
        What is run for it, at the scale asked for; nothing if empty.
    """

    name: str
    title: str
    make: Callable[[Runs], Made]
    needs: Literal["", "simulation", "maze"] = ""


def verdict(claims: Sequence[Claim]) -> str:
    """Say in a few words how the claims came out, counting them; `NOT_RUN` if there are none."""
    if not claims:
        return NOT_RUN
    agree, undecided, contrary = (
        sum(one.finding is finding for one in claims) for finding in Finding
    )
    if agree == len(claims):
        return "agrees" if agree == 1 else f"agrees ({agree} of {agree} claims)"
    parts = [f"{agree} of {len(claims)} claims agree{'' if agree != 1 else 's'}"]
    parts += [f"{undecided} undecided"] * bool(undecided)
    parts += [f"{contrary} disagree{'' if contrary != 1 else 's'}"] * bool(contrary)
    return ", ".join(parts)


def every(text: str, held: Sequence[bool], ours: str, *, exact: bool = False) -> Claim:
    """Judge a claim that is to hold in several cases.

    Parameters
    ----------
    text, ours
        Of the claim; the count is added to ``ours``.
    held
        Whether it holds, for each case. Without any case it is undecided.
    exact
        Whether chance has no part in it: one case to the contrary then contradicts it. Otherwise
        it agrees if it holds in all cases, disagrees if in none, and is undecided between.
    """
    if held and all(held):
        finding = Finding.AGREES
    elif held and (exact or not any(held)):
        finding = Finding.DISAGREES
    else:
        finding = Finding.OPEN
    return Claim(text, f"{ours} ({sum(held)} of {len(held)})", finding)
