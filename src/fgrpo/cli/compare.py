"""``fgrpo compare``: tell a difference between sets of records from noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLE = 80  # columns a table takes; on a narrower terminal lines break, and nothing is cut


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B [C …]",
            help="Record files or evaluation folders; A is the reference, say the base model.",
        ),
    ],
    more_a: Annotated[
        list[Path] | None,
        typer.Option("--also-a", help="Another training seed of A; repeat for more."),
    ] = None,
    more_b: Annotated[
        list[Path] | None,
        typer.Option("--also-b", help="Another training seed of B, with two arms."),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also", metavar="NAME=PATH", help="Another training seed of the arm of that name."
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="What to call the arms, once for each; default their files' names."
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", min=1, help="Which pass@k, one or several; default 1 and n."),
    ] = None,
    m: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Subsample size for the noise of the generations, with two arms of one run; "
            "default 256, at most n/2.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare the problems in common instead of refusing."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write report.html, comparison.md, comparison.json, CSV tables and figures.",
        ),
    ] = None,
) -> None:
    """Compare evaluations with the first, A: pass@k, differences, 95% intervals, p, verdicts.

    Problems are paired by name. Ids of the form benchmark/name are compared by benchmark and in
    the macro average, in which every benchmark counts the same, with p-values adjusted for the
    number of tests (Holm). Told as well: where the curves cross, which problems were lost and
    gained, and what was cut off or not judged.

    Two arms on one benchmark are compared in more detail. With one run a side, two noises are
    told apart: of the problems (other problems of this kind) and of the generations (the same
    models sampled again). With several training seeds the verdict is given problems and seeds
    together; then follow the two one by one.

    fgrpo compare runs/base runs/rl runs/focal --out comparison
    """
    try:
        paths = _paths(files, name or [], more_a, more_b, also)
        with stoppable(""):
            _compare(paths, name or [], k, m, seed, common, out)
    except ValueError as error:  # everything the comparison refuses was asked for here
        raise UsageError(str(error)) from error


def _paths(
    files: Sequence[Path],
    names: Sequence[str],
    more_a: Sequence[Path] | None,
    more_b: Sequence[Path] | None,
    also: Sequence[str] | None,
) -> list[list[Path]]:
    """Return the files of every arm's runs."""
    from fgrpo.diagnose.arms import labels, records_file

    if len(files) < 2:
        raise UsageError(f"one set of records given ({files[0]}); a comparison takes two or more")
    if more_b and len(files) > 2:
        raise UsageError(f"--also-b is for two arms; with {len(files)} use --also NAME=PATH")
    paths = [[path] for path in files]
    paths[0] += more_a or []
    paths[1] += more_b or []
    if also:
        known = list(names) or labels([records_file(path) for path in files])
        for text in also:
            fitting = [label for label in known if text.startswith(f"{label}=")]
            if not fitting:
                raise UsageError(
                    f"--also {text}: expected NAME=PATH with NAME one of {', '.join(known)}"
                )
            label = max(fitting, key=len)
            paths[known.index(label)].append(Path(text[len(label) + 1 :]))
    return paths


def _compare(
    paths: list[list[Path]],
    names: Sequence[str],
    k: list[int] | None,
    m: int | None,
    seed: int,
    common: bool,
    out: Path | None,
) -> None:
    """Read and check, with the files' names in errors; compare; write; only then print."""
    from rich.console import Console

    from fgrpo.cli.compare_many import blocks_of_many
    from fgrpo.cli.compare_two import blocks_of_two
    from fgrpo.diagnose.analysis import chosen_k, diagnose
    from fgrpo.diagnose.arms import check_distinct, printable, read_arms
    from fgrpo.diagnose.matching import match
    from fgrpo.diagnose.sentences import verdicts
    from fgrpo.diagnose.write import check_folder, write_comparison

    if out:
        check_folder(out)
    matched = match(read_arms(paths, names), common=common)
    wanted = chosen_k(matched, k or ())
    check_distinct(matched.arms)
    found = diagnose(matched, k=wanted, seed=seed)
    said = verdicts(found)
    if len(found.arms) == 2 and found.macro is None:
        blocks = blocks_of_two(found, m)
    else:
        blocks = blocks_of_many(found, said, m)
    if out:
        write_comparison(found, said, out)
        blocks.append(f"Written to {printable(str(out))}: report.html and the files it names.")
    else:
        blocks.append("--out DIR writes all of it as a page, Markdown, CSV and JSON.")
    console = Console(markup=False, highlight=False)
    console.width = max(console.width, _TABLE)
    for block in blocks:
        console.print(block, soft_wrap=isinstance(block, str))
