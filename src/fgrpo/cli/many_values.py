"""Options that take several values after one flag: ``--rare 0.05 0.1``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What typer raises of a command line it cannot read. It keeps the class to itself, and of which
# package it is depends on typer's version; its public subclass leads there.
_CannotRead: type[Exception] = typer.BadParameter.__mro__[1]


class ManyValues(TyperCommand):
    """A command whose list options take all the values that follow.

    ``--rare 0.05 0.1``, ``--rare=0.05 0.1`` and ``--rare 0.05 --rare 0.1`` are the same. Values end
    at the next option or at ``--``; a negative number is a value. What cannot be read is told in
    one line, as a `UsageError`.
    """

    numbers = False  # whether only numbers are taken after the first value

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        words = repeat_flags(args, self.get_params(ctx), numbers=self.numbers)
        try:
            return super().parse_args(ctx, list(words))
        except _CannotRead as error:
            raise UsageError(_told(error, words)) from error


class ManyNumbers(ManyValues):
    """A command whose list options take all the numbers that follow, and no other further word.

    So its arguments may follow them: ``--k 1 8 A B``.
    """

    numbers = True


def repeat_flags(
    words: Sequence[str], options: Sequence[Any], *, numbers: bool = False
) -> list[str]:
    """Write every value of a list option after a flag of its own.

    Parameters
    ----------
    words
        The command line, without the command's name.
    options
        The command's parameters.
    numbers
        Whether only numbers are taken after the first value.

    Raises
    ------
    UsageError
        If a list option is given without a value.
    """
    known = {flag: option for option in options for flag in (*option.opts, *option.secondary_opts)}
    rest = list(words)
    result: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*result, word, *rest]
        flag, sign, value = word.partition("=") if word.startswith("--") else (word, "", "")
        option = known.get(flag) if word.startswith("-") else None
        if option is None or not getattr(option, "multiple", False):
            result.append(word)
            if option is not None and not sign:
                result += _its_values(option, rest)
            continue
        values = [value] if sign else []
        while rest and (
            _is_number(rest[0]) or not (rest[0].startswith("-") or (numbers and values))
        ):
            values.append(rest.pop(0))
        if not values:
            raise UsageError(f"{flag} is given without a value")
        for one in values:
            result += [flag, one]
    return result


def _told(error: Any, words: Sequence[str]) -> str:
    """Return an error in one line, with the option and what it was given."""
    flags = getattr(getattr(error, "param", None), "opts", ())
    found = [(word, value) for word, value in itertools.pairwise(words) if word in flags]
    found += [
        (flag, value)
        for flag, sign, value in (word.partition("=") for word in words)
        if sign and flag in flags
    ]
    if found:
        given = " ".join(value for _, value in found)
        text = f"{found[0][0]} {given}: {error.message}"
    else:
        text = error.format_message()
    return " ".join(text.split())


def _its_values(option: Any, rest: list[str]) -> list[str]:
    """Take what an option of a single value is followed by, whatever that looks like."""
    count = 0 if option.is_flag or getattr(option, "count", False) else option.nargs
    taken, rest[:] = rest[:count], rest[count:]
    return taken


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
