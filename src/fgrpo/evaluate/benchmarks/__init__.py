"""The benchmarks: one file each, and how a name finds one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fgrpo.errors import UsageError
from fgrpo.evaluate.benchmarks import reasoning_gym
from fgrpo.evaluate.benchmarks.aime24 import AIME24
from fgrpo.evaluate.benchmarks.aime25 import AIME25
from fgrpo.evaluate.benchmarks.amc23 import AMC23
from fgrpo.evaluate.benchmarks.gpqa_diamond import GPQA_DIAMOND
from fgrpo.evaluate.benchmarks.ifeval import IFEVAL
from fgrpo.evaluate.benchmarks.math500 import MATH500
from fgrpo.evaluate.benchmarks.mazes import MAZES
from fgrpo.evaluate.benchmarks.minerva import MINERVA
from fgrpo.evaluate.benchmarks.olympiadbench import OLYMPIADBENCH
from fgrpo.evaluate.benchmarks.own import OwnBenchmark, own
from fgrpo.evaluate.benchmarks.reasoning_gym import REASONING_GYM_IN, REASONING_GYM_OUT
from fgrpo.evaluate.benchmarks.synlogic import SYNLOGIC
from fgrpo.evaluate.rows import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fgrpo.evaluate.benchmark import Benchmark

__all__ = ["BENCHMARKS", "OwnBenchmark", "describe_benchmarks", "find"]

BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    benchmark.name: benchmark
    for benchmark in (
        MATH500,
        AIME24,
        AIME25,
        AMC23,
        MINERVA,
        OLYMPIADBENCH,
        IFEVAL,
        SYNLOGIC,
        GPQA_DIAMOND,
        REASONING_GYM_IN,
        REASONING_GYM_OUT,
        MAZES,
    )
}
"""Every registered benchmark by its name."""


def find(name: str) -> Benchmark:
    """Find a benchmark by what the user typed; loads no problems.

    Parameters
    ----------
    name
        A name of ``BENCHMARKS``; ``reasoning-gym:TASK``, perhaps with settings; or the path of a
        file (see `fgrpo.evaluate.benchmarks.own.own`), told from a name by its ending.

    Raises
    ------
    UsageError
        If there is none of that name, or a file has the name of a registered benchmark.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    if name.startswith(reasoning_gym.PREFIX):
        return reasoning_gym.single(name)
    path = Path(name)
    if path.suffix.lower() in FORMATS:
        if path.stem in BENCHMARKS:
            raise UsageError(
                f"{name}: {path.stem} is a benchmark by itself; rename the file, or use "
                f"--benchmark {path.stem} --data {path.stem}={name}"
            )
        return own(path)
    near = difflib.get_close_matches(name, BENCHMARKS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"no benchmark {name!r}; {hint}There are {', '.join(BENCHMARKS)}, "
        f"{reasoning_gym.PREFIX}TASK, and your own files ({', '.join(FORMATS)})"
    )


def describe_benchmarks() -> list[dict[str, str]]:
    """List the registered benchmarks.

    Returns
    -------
    list of dict
        ``name``, ``title``, ``problems``, ``verifier``, ``source``, ``licence``, ``note``.
    """
    return [
        {
            "name": benchmark.name,
            "title": benchmark.title,
            "problems": "?" if benchmark.size is None else str(benchmark.size),
            "verifier": benchmark.verifier,
            "source": benchmark.source,
            "licence": benchmark.licence,
            "note": benchmark.note,
        }
        for benchmark in BENCHMARKS.values()
    ]
