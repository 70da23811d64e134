"""The parts of fgrpo that can be used apart from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Parameters
    ----------
    name
        What it is called; but for ``core``, the extra of fgrpo that installs it.
    purpose
        What it is for.
    main
        The package without which nobody meant to use the part: where it is installed, whatever
        else is missing is a fault. None where each package is also of use elsewhere, so that a
        missing one says nothing.
    spared
        An extra of fgrpo whose packages it does without, where nobody asks for them.
    hub
        Whether it takes models and data sets from the hub.
    last
        What is tried after the imports, in the same process: a step that `child` knows.
    last_needs
        The module that it takes.
    """

    name: str
    purpose: str
    main: str | None = None
    spared: str = ""
    hub: bool = False
    last: str = ""
    last_needs: str = ""

    @property
    def extra(self) -> str:
        """The extra of fgrpo; empty for the core."""
        return "" if self.name == "core" else self.name

    @property
    def fix(self) -> str:
        """The command that installs it."""
        return to_install(*[self.extra] if self.extra else [])


PARTS = {
    part.name: part
    for part in (
        Part("core", "weight, theory, records, comparisons", main="fgrpo"),
        Part("lab", "fgrpo run"),
        Part("ray", "fgrpo run --ray", main="ray"),
        Part("simulate", "fgrpo simulate", main="numba"),
        Part("verify", "verifiers", main="math-verify"),
        Part("evaluate", "fgrpo evaluate", hub=True),
        Part("transformers", "fgrpo evaluate and rare-nll with a model loaded here", hub=True),
        Part(
            "trl",
            "fgrpo train, fgrpo.integrations.trl",
            hub=True,
            last="import fgrpo.integrations.trl",
            last_needs="trl",
        ),
        Part(
            "verl",
            "f_grpo in verl",
            "verl",
            "verify",
            hub=True,
            last="look verl",
            last_needs="verl",
        ),
    )
}


def choose(names: Sequence[str]) -> list[Part]:
    """Return the parts of these names, in the order of `PARTS`; all of them if none is named.

    Raises
    ------
    UsageError
        If there is no such part.
    """
    for name in names:
        if name not in PARTS:
            raise UsageError(f"fgrpo has no part {name!r}; it has {', '.join(PARTS)}")
    return [part for part in PARTS.values() if not names or part.name in names]
