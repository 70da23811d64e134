"""Names of verifiers, and the functions they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fgrpo.errors import UsageError


@dataclass(frozen=True, slots=True)
class Verifier:
    """Where a verifier's function is, and how it must be run.

    Parameters
    ----------
    function
        ``package.module:function``, called with the text and the reference.
    extra
        The extra of this package to install when a module it imports is missing.
    unsafe
        Whether it evaluates the text: then it is refused unless allowed by name, and every answer
        gets a process of its own behind every barrier the system has.
    """

    function: str
    extra: str = ""
    unsafe: bool = False


VERIFIERS = {
    "maths": Verifier("fgrpo.verify.maths:verify", "verify"),
    "exact": Verifier("fgrpo.verify.exact:verify"),
    "multiple-choice": Verifier("fgrpo.verify.multiple_choice:verify"),
    "instructions": Verifier("fgrpo.verify.instructions:verify", "evaluate"),
    "reasoning-gym": Verifier("fgrpo.verify.reasoning_gym:verify", "evaluate"),
    "reasoning-gym-unsafe": Verifier(
        "fgrpo.verify.reasoning_gym:verify_unsafe", "evaluate", unsafe=True
    ),
    "maze": Verifier("fgrpo.verify.maze:verify"),
}

_OWN = "package.module:function"
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def choices() -> str:
    """List for a help text what can be named: all verifiers that need no leave, and one's own."""
    return ", ".join([*(name for name, one in VERIFIERS.items() if not one.unsafe), f"or {_OWN}"])


def find(name: str) -> Verifier:
    """Return the verifier of that name.

    Parameters
    ----------
    name
        One of `VERIFIERS`, or ``package.module:function`` for one of your own.

    Raises
    ------
    UsageError
        If there is none. Whether one's own can be imported shows when it is first used, in a
        worker.
    """
    if isinstance(name, str):
        if name in VERIFIERS:
            return VERIFIERS[name]
        if _PATH.fullmatch(name):
            if name.startswith("__main__:"):
                raise UsageError(
                    f"verifier {name!r}: workers cannot import the script that was started; "
                    "put the function in a module of its own"
                )
            return Verifier(name)
    raise UsageError(
        f"no verifier {name!r}; there are {', '.join(VERIFIERS)}, and your own as {_OWN!r}"
    )
