"""The numbers of a sweep as files: CSV tables and ``summary.json``."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from fgrpo.presentation.tables import csv_of_rows
from fgrpo.simulation.rows import Spread, largest_deviation, least_kept
from fgrpo.simulation.sentences import sentences

if TYPE_CHECKING:
    from fgrpo.simulation.result import Sweep
    from fgrpo.simulation.rows import FinalRow


def csv_tables(sweep: Sweep) -> dict[str, str]:
    """Map file names to the contents of the tables; shares are in [0, 1], entropy in nats."""
    return {
        "final.csv": csv_of_rows([_flat(asdict(row)) for row in sweep.final_rows]),
        "tail_miss.csv": csv_of_rows([asdict(row) for row in sweep.tail_miss_rows]),
    }


def summary(sweep: Sweep) -> dict[str, Any]:
    """Return everything the page says as a dictionary ready for JSON."""
    rows, missed = sweep.final_rows, sweep.tail_miss_rows
    farthest = largest_deviation(missed)
    policy = sweep.policy
    return {
        "recipe": sweep.recipe.model_dump(mode="json"),
        "policy": {
            "actions": int(policy.sizes.sum()),
            "correct": int(policy.sizes[policy.correct].sum()),
            "tail": int(policy.sizes[policy.tail].sum()),
            "q_pos": policy.success_rate,
        },
        "sentences": [line for lines in sentences(sweep).values() for line in lines],
        "least_kept": [_nested(least_kept(rows, gamma)) for gamma in sorted(sweep.recipe.gammas)],
        "final": [_nested(row) for row in rows],
        "tail_miss": [asdict(row) for row in missed],
        "largest_deviation": {
            "group_size": farthest.group_size,
            "standard_errors": farthest.deviation,
        },
        "environment": list(sweep.starts),
    }


def _nested(row: FinalRow) -> dict[str, Any]:
    """Write a row with its spreads as dictionaries."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {
        name: value._asdict() if isinstance(value, Spread) else value
        for name, value in values.items()
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Give each number of a spread a column of its own."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, tuple):
            flat |= {
                f"{name}_{kind}": x for kind, x in zip(("mean", "min", "max"), value, strict=True)
            }
        else:
            flat[name] = value
    return flat
