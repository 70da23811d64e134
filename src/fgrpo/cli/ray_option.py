"""``--ray``, which an address may follow and need not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Sequence


class WithRay(TyperCommand):
    """A command with an option ``--ray [ADDRESS]``; without an address its value is empty."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        return super().parse_args(ctx, join_address(args))


def join_address(words: Sequence[str]) -> list[str]:
    """Write ``--ray`` and what follows as one word, ``--ray=ADDRESS`` or ``--ray=``.

    ``auto``, ``local`` and what has a colon is an address; anything else, such as a recipe's name,
    is left for others to read.
    """
    rest = list(words)
    result: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*result, word, *rest]
        if word == "--ray":
            word += "="
            if rest and (rest[0] in ("auto", "local") or ":" in rest[0]):
                word += rest.pop(0)
        result.append(word)
    return result
