"""The two ways a command can end badly, told apart by exit code, and words they share."""

import re
import textwrap

_MOST = 200  # characters quoted of another library's error


class UsageError(ValueError):
    """What was asked for cannot be done as asked: bad option, recipe or input (exit code 2)."""


class RunError(RuntimeError):
    """The work was well specified but failed on the way: corrupt file, full disk (exit code 1)."""


def to_install(*extras: str) -> str:
    """Return how to install extras of this package, in the words of every message.

    From its source, as no package index has it: ``pip install 'fgrpo[lab]'`` would not find it.
    """
    wanted = f"[{','.join(extras)}]" if extras else ""
    return f"pip install '.{wanted}' in the folder of fgrpo's source"


def cause(error: BaseException) -> str:
    """Return the first sentence or line of what another library's error says, without its stop.

    Should that be long, it is cut between two words: half an address leads nowhere.
    """
    first = re.split(r"(?<=[.!?])\s+(?=[A-Z])|\n", str(error).strip(), maxsplit=1)[0]
    return textwrap.shorten(first, _MOST, placeholder=" …").rstrip(".")
