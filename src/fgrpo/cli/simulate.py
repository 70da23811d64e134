"""``fgrpo simulate``: the paper's mechanism in a policy without a network."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrpo.cli import simulate_options as option
from fgrpo.cli.run_options import (
    Fresh,
    RecipeName,
    RunFolder,
    ShowList,
    check_device,
    print_recipes,
)
from fgrpo.cli.stopping import stoppable
from fgrpo.cores import cores
from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from fgrpo.simulation.result import Sweep
    from fgrpo.simulation.settings import SimulationRecipe

# The recipe's field that each option changes.
FIELDS = {
    "actions": "policy.actions",
    "correct": "policy.correct",
    "anchor_logit": "policy.anchor_logit",
    "correct_logit": "policy.correct_logit",
    "wrong_logit": "policy.wrong_logit",
    "logits": "policy.logits",
    "reward_correct": "update.reward_correct",
    "reward_wrong": "update.reward_wrong",
    "learning_rate": "update.learning_rate",
    "optimizer": "update.optimizer",
    "scale": "update.scale",
    "surrogate": "update.surrogate",
    "group_sizes": "group_sizes",
    "gammas": "gammas",
    "seeds": "seeds",
    "steps": "steps",
}


def simulate(
    recipe: RecipeName = "figure-2",
    show_list: ShowList = False,
    changes: option.Changes = None,
    out: RunFolder = None,
    fresh: Fresh = False,
    workers: option.Workers = None,
    device: option.Device = "cpu",
    group_sizes: option.GroupSizes = None,
    gammas: option.Gammas = None,
    seeds: option.Seeds = None,
    steps: option.Steps = None,
    actions: option.Actions = None,
    correct: option.Correct = None,
    anchor_logit: option.AnchorLogit = None,
    correct_logit: option.CorrectLogit = None,
    wrong_logit: option.WrongLogit = None,
    logits: option.Logits = None,
    reward_correct: option.RewardCorrect = None,
    reward_wrong: option.RewardWrong = None,
    learning_rate: option.LearningRate = None,
    optimizer: option.Optimizer = None,
    scale: option.Scale = None,
    surrogate: option.Surrogate = None,
) -> None:
    """Simulate group-relative training of a softmax policy over many actions (figure 2).

    Which group sizes forget the rare correct actions, and what the focal weight changes. Several
    values may follow a flag: --group-sizes 8 32 --gammas 0 0.5 1. Interrupted at any moment, the
    same command goes on where it was.
    """
    from fgrpo.recipes import shipped
    from fgrpo.recipes.load import load
    from fgrpo.simulation.settings import SimulationRecipe

    if show_list:
        found = {
            name: load(SimulationRecipe, name, folder="simulate") for name in shipped("simulate")
        }
        print_recipes({name: one.description for name, one in found.items()})
        return
    given = {name: value for name, value in locals().items() if name in FIELDS}
    overrides, options = _overrides(given)
    chosen = load(
        SimulationRecipe,
        recipe,
        [*(changes or []), *overrides],
        "simulate",
        example="update.learning_rate=0.02",
        options=options,
    )
    check_installed(device)
    sweep_and_report(
        chosen,
        out or Path("runs") / chosen.name,
        device=device,
        workers=workers or cores(),
        fresh=fresh,
    )


def sweep_and_report(recipe: SimulationRecipe, folder: Path, **how: Any) -> Sweep:
    """Make the runs with a bar, then write the report and print what came out."""
    from fgrpo.cli.progress import ProgressDisplay
    from fgrpo.files import locked
    from fgrpo.run_folder import LOCK_FILE
    from fgrpo.simulation.sentences import final_lines
    from fgrpo.simulation.sweep import run_sweep
    from fgrpo.simulation.write import write_sweep

    with stoppable():
        with ProgressDisplay() as display:
            run_sweep(
                recipe,
                folder,
                command=shlex.join(["fgrpo", *sys.argv[1:]]),
                announce=lambda steps: display.announce({"steps": steps}),
                show=lambda steps, text: display.show("steps", steps, text),
                **how,
            )
        with locked(folder / LOCK_FILE):
            sweep = write_sweep(folder)
    for line in final_lines(sweep):
        print(line)
    print(f"\nReport: {folder / 'report.html'}")
    return sweep


def _overrides(given: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Write the options as changes of the recipe's fields, and how each was typed."""
    if given["logits"] is not None:
        for name in ("actions", "correct", "anchor_logit", "correct_logit", "wrong_logit"):
            if given[name] is not None:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} and --logits exclude each other: the file says it all")
    overrides, options = [], {}
    for name, value in given.items():
        if value is None or value == []:
            continue
        flag = f"--{name.replace('_', '-')}"
        text = json.dumps(str(value)) if isinstance(value, Path) else value
        overrides.append(f"{FIELDS[name]}={text}")
        shown = " ".join(map(str, value)) if isinstance(value, list) else value
        options[FIELDS[name]] = f"{flag} {shown}"
    return overrides, options


def check_installed(device: str) -> None:
    """Refuse what is not there before anything is written."""
    check_device(device)
    if find_spec("numba") is None:
        raise UsageError(f"fgrpo simulate needs numba: {to_install('simulate')}")
