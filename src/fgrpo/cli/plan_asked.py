"""What ``fgrpo plan`` was asked for: its numbers, checked under the names of their options."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fgrpo.cli.plan_batch import BatchOptions
    from fgrpo.plan import Asked

_LEAST = 1e-9  # of a share or success rate
_LARGEST_GROUP = 1_000_000
_LARGEST_BUDGET = 1_000_000_000


def check_together(
    success: Sequence[float] | None,
    pilot: Path | None,
    batch: BatchOptions,
    planned: dict[str, Any],
    of_pilot: dict[str, Any],
) -> None:
    """Refuse options that do not go together."""
    if success and pilot:
        raise UsageError("--success and --pilot: give one of them; a pilot needs no guess")
    batch.validate()
    planning = bool(success or pilot)
    if not planning and batch.trainer is None:
        raise UsageError(
            "nothing to plan for: give success rates (--success 0.3), a pilot (--pilot PATH), or "
            "batch settings alone (--trainer)"
        )
    needless = {} if planning else planned
    if pilot is None:
        needless = {**needless, **of_pilot}
    for option, value in needless.items():
        if value is not None:
            needed = "--pilot" if option in of_pilot else "--success or --pilot"
            raise UsageError(f"{option} needs {needed}")
    if planned["--min-prompts"] is not None and planned["--budget"] is None:
        raise UsageError("--min-prompts needs --budget: they are prompts that a budget leaves")
    if not planning and batch.group_size is None:
        raise UsageError("--trainer needs --group-size where nothing recommends one")
    solutions = of_pilot["--solutions"]
    if solutions not in (None, "text", "answer"):
        raise UsageError(f"--solutions {solutions}: must be text or answer")


def asked_for(planned: dict[str, Any], success: Sequence[float] | None) -> Asked:
    """Check the numbers, under the names of their options."""
    from fgrpo.plan import Asked

    for rate in success or ():
        _between("--success", rate)
    if success and len(set(success)) < len(success):
        raise UsageError(f"--success {' '.join(map(repr, success))}: name each rate once")
    given: dict[str, Any] = {}
    if (shares := _shares(planned, success)) is not None:
        given["rare_shares"] = tuple(sorted(set(shares)))
    if (sizes := planned["--group-sizes"]) is not None:
        for size in sizes:
            _whole("--group-sizes", size, 2, _LARGEST_GROUP)
        given["group_sizes"] = tuple(sorted(set(sizes)))
    if (gammas := planned["--gammas"]) is not None:
        for gamma in gammas:
            if not (gamma >= 0 and math.isfinite(gamma)):
                raise UsageError(f"--gammas {gamma}: must be a number of at least 0")
        given["gammas"] = tuple(sorted(set(gammas)))
    for name in ("target", "level"):
        if (value := planned[f"--{name}"]) is not None:
            _between(f"--{name}", value)
            given[name] = value
    if (budget := planned["--budget"]) is not None:
        _whole("--budget", budget, 4, _LARGEST_BUDGET, " (groups of 4 are the smallest advised)")
        given["budget"] = budget
    if (least := planned["--min-prompts"]) is not None:
        _whole("--min-prompts", least, 1, budget // 4, f" (--budget {budget} in groups of 4)")
        given["min_prompts"] = least
    return Asked(**given)


def _shares(planned: dict[str, Any], success: Sequence[float] | None) -> list[float] | None:
    """Return the shares of the correct mass that are called rare, however they were given."""
    shares, masses = planned["--rare"], planned["--rare-mass"]
    if masses is None:
        for share in shares or ():
            _between("--rare", share)
        return cast("list[float] | None", shares)
    if shares is not None:
        raise UsageError("--rare and --rare-mass: give one of them")
    if not success or len(success) > 1:
        raise UsageError(
            "--rare-mass needs one --success, as a probability is another share of every success "
            "rate; use --rare"
        )
    for mass in masses:
        _between("--rare-mass", mass)
        if mass >= success[0]:
            raise UsageError(f"--rare-mass {mass}: must be below the success rate {success[0]}")
    return [mass / success[0] for mass in masses]


def _between(option: str, value: float) -> None:
    if not 0 < value < 1:
        raise UsageError(f"{option} {value}: must lie between 0 and 1, both excluded")
    if value < _LEAST:
        raise UsageError(f"{option} {value}: must be at least {_LEAST}")


def _whole(option: str, value: int, least: int, most: int, why: str = "") -> None:
    if value < least:
        raise UsageError(f"{option} {value}: must be at least {least}{why}")
    if value > most:
        raise UsageError(f"{option} {value}: must be at most {most:,}{why}")
