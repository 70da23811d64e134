"""The versions of verl this integration was tested with, and the refusal of any other."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from fgrpo.errors import UsageError

SUPPORTED_VERL = ("0.9.1",)
"""Versions of verl that were tested."""


@cache
def check_version() -> None:
    """Refuse a verl that was not tested.

    Raises
    ------
    UsageError
        Naming the version that is there and those that are supported.
    """
    try:
        found = version("verl")
    except PackageNotFoundError:
        found = "without a version"
    if found not in SUPPORTED_VERL:
        supported = " or ".join(SUPPORTED_VERL)
        raise UsageError(
            f"verl {found} is installed; fgrpo was tested with verl {supported} and nothing else: "
            f"pip install verl=={SUPPORTED_VERL[-1]}, or multiply the advantages by "
            "fgrpo.focal_weight in a trainer of your own"
        )
