"""Tasks of reasoning-gym: two suites with fixed seeds and sizes, and any task by itself.

The library (Apache-2.0) makes problems offline. Which problems a seed gives may change between
its versions, so the version counts as the revision. Only tasks whose scorer merely compares text
are used (`fgrpo.verify.reasoning_gym.SAFE_TASKS`).

Most tasks make problem i of seed s from s + i, so seed 2 gives the problems of seed 1 but the
first. The seed used here is far from the small ones that training data tend to have; seeds of
one's own should be further apart than there are problems.

The suites leave out tasks that ask yes or no, or for one of a few words, as k guesses solve
those: their pass@k says little about what a model can do.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any, Final

from fgrpo.errors import UsageError, to_install
from fgrpo.evaluate.benchmark import GeneratedBenchmark
from fgrpo.evaluate.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "reasoning-gym:"
_PER_TASK: Final = 20
_SEED: Final = 20_260_206
_ALONE: Final = {"size": 100, "seed": _SEED}
_LICENCE: Final = "Apache-2.0"

# Close to what mathematical training data asks for.
_IN: Final = (
    "gcd",
    "lcm",
    "chain_sum",
    "basic_arithmetic",
    "products",
    "prime_factorization",
    "simple_equations",
    "gsm_symbolic",
    "number_sequence",
    "leg_counting",
)
# Far from it: words, logic, grids, rules to be found from examples.
_OUT: Final = (
    "caesar_cipher",
    "word_sequence_reversal",
    "sentence_reordering",
    "group_anagrams",
    "string_manipulation",
    "rotate_matrix",
    "knights_knaves",
    "mini_sudoku",
    "arc_1d",
    "list_functions",
)


def single(name: str) -> GeneratedBenchmark:
    """Describe one task as a benchmark.

    Parameters
    ----------
    name
        ``reasoning-gym:TASK`` or ``reasoning-gym:TASK:setting=value:…``. The settings ``size``
        (100) and ``seed`` go for all tasks; the others are the task's own, as in
        ``reasoning-gym:chain_sum:max_terms=3:max_digits=2``. Values are numbers, true or false.

    Raises
    ------
    UsageError
        If the task or a setting is unknown; once the problems are made, also if the task's
        scorer is not safe.
    """
    task, *pairs = name.removeprefix(PREFIX).split(":")
    settings: dict[str, Any] = dict(_ALONE)
    for pair in pairs:
        key, equals, text = pair.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not (key and equals) or not isinstance(value, int | float):
            raise UsageError(
                f"{name}: {pair!r} is not setting=value with a number, true or false, "
                f"as in {PREFIX}gcd:size=200:seed=7"
            )
        settings[key] = value
    size, seed = settings["size"], settings["seed"]
    if type(size) is not int or type(seed) is not int or size < 1:
        raise UsageError(
            f"{name}: size is {size!r} and seed {seed!r}; give integers, size at least 1"
        )
    return GeneratedBenchmark(
        name=name,
        title=f"reasoning-gym's {task}",
        source="made by reasoning-gym",
        licence=_LICENCE,
        verifier="reasoning-gym",
        size=size,
        generate=lambda: _of_task(task, settings, f"{name}/"),
        version=_version,
    )


def _suite(name: str, title: str, tasks: Sequence[str]) -> GeneratedBenchmark:
    settings = {"size": _PER_TASK, "seed": _SEED}
    return GeneratedBenchmark(
        name=name,
        title=title,
        source="made by reasoning-gym, fixed seed",
        licence=_LICENCE,
        verifier="reasoning-gym",
        size=_PER_TASK * len(tasks),
        generate=lambda: [
            problem for task in tasks for problem in _of_task(task, settings, f"{name}/{task}-")
        ],
        version=_version,
    )


def _of_task(task: str, settings: Mapping[str, Any], prefix: str) -> list[Problem]:
    """Make the problems of one task, with ids ``prefix0000`` and on."""
    from fgrpo.verify.reasoning_gym import SAFE_TASKS, to_reference, why_refused

    dataset = _dataset(task, settings)
    if refused := why_refused(task):
        raise UsageError(
            f"{PREFIX}{task}: {refused}; its answers cannot be verified. "
            f"There are {', '.join(sorted(SAFE_TASKS))}"
        )
    return [
        Problem(
            id=f"{prefix}{number:04d}",
            prompt=f"{entry['question'].strip()}\n\nPut only your final answer inside \\boxed{{}}.",
            verifier="reasoning-gym",
            reference=to_reference(task, entry),
        )
        for number, entry in enumerate(dataset)
    ]


def _dataset(task: str, settings: Mapping[str, Any]) -> Any:
    gym = _library()
    known = gym.factory.DATASETS
    if task not in known:
        raise UsageError(
            f"{PREFIX}{task}: reasoning-gym has no such task; it has {', '.join(sorted(known))}"
        )
    fields = {field.name for field in dataclasses.fields(known[task][1])}
    unknown = sorted(settings.keys() - fields)
    if unknown:
        raise UsageError(
            f"{PREFIX}{task}: unknown setting {unknown[0]!r}; it has {', '.join(sorted(fields))}"
        )
    try:
        return gym.create_dataset(task, **settings)
    except (AssertionError, TypeError, ValueError) as error:
        raise UsageError(f"{PREFIX}{task}: reasoning-gym refuses its settings ({error})") from None


def _library() -> Any:
    try:
        import reasoning_gym
    except ImportError:
        raise UsageError(
            f"reasoning-gym's tasks need its package: {to_install('evaluate')}"
        ) from None
    return reasoning_gym


@functools.cache
def _version() -> str:
    from importlib.metadata import version

    _library()
    return f"reasoning-gym {version('reasoning-gym')}"


REASONING_GYM_IN = _suite(
    "reasoning-gym-in", "Arithmetic, algebra and number tasks of reasoning-gym", _IN
)
REASONING_GYM_OUT = _suite(
    "reasoning-gym-out", "Word, logic, grid and induction tasks of reasoning-gym", _OUT
)
