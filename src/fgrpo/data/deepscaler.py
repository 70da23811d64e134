r"""DeepScaleR made ready to train on, as in the paper.

The paper (F-GRPO, arXiv 2602.06717, section 5) leaves out prompts over 1,024 tokens, and
duplicates with conflicting answers: 39,202 problems remain. How it counted tokens, told duplicates
and compared their answers is not known to us. Here rows go in this order:

1. Rows without a problem or an answer.
2. Prompts that are too long: counted is, as by verl's ``data.filter_overlong_prompts``, all that
   the chat template makes of system prompt and problem, up to the opening of the answer. verl then
   drops none of the others.
3. Rows that ask what an earlier one asks (the same text in Unicode's normal form C, however its
   white space runs) and give the same answer; if any gives a different one, all that ask it.
   Answers are the same if written so, or if the verifier that rewards in training finds each right
   where the other is the reference.

Validation problems are chosen by a hash of seed and text, so that much the same ones are held out
whatever the tokenizer and the limits. verl does not start without a file of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrpo.data.clean import equal_answers, normalised, read_problems, without_duplicates
from fgrpo.data.tokens import check_template, count_tokens, fingerprint, open_tokenizer
from fgrpo.data.write import check_folder, put, tables, write_folder
from fgrpo.errors import UsageError
from fgrpo.evaluate.benchmark import Hub
from fgrpo.evaluate.prompts import SYSTEM, prompts_for
from fgrpo.evaluate.rows import hub_rows, read_rows
from fgrpo.provenance import provenance
from fgrpo.verify import VerifierPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.data.clean import Problem, Show

HUB = Hub("agentica-org/DeepScaleR-Preview-Dataset", "train")
SOURCE = "deepscaler"
"""What verl's table calls it: no name that verl has a reward of its own for."""

PACKAGES = ("transformers", "tokenizers", "datasets", "pyarrow", "math-verify")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a folder is made from.

    Parameters
    ----------
    tokenizer
        Name of the model on the hub, or its folder.
    file
        A table with the columns ``problem`` and ``answer``; None takes the hub's.
    revision
        Commit of the hub's table; None asks for the current one.
    max_prompt_tokens
        Longer prompts are left out.
    system_prompt
        None for none.
    validation
        Problems held out.
    seed
        Chooses them.
    """

    tokenizer: str
    file: str | None = None
    revision: str | None = None
    max_prompt_tokens: int = 1024
    system_prompt: str | None = SYSTEM
    validation: int = 256
    seed: int = 0


def prepare(
    settings: Settings, folder: Path, command: str, show: Show
) -> tuple[dict[str, Any], bool]:
    """Read the table, leave out what cannot be trained on, and write both trainers' tables.

    Parameters
    ----------
    settings
        What to make.
    folder
        Where to write; see `fgrpo.data.write`.
    command
        What the user typed, for the record.
    show
        Told of progress.

    Returns
    -------
    summary, written
        What ``summary.json`` holds, and whether anything was written: False if all of it was there
        already.

    Raises
    ------
    UsageError
        If the folder holds something else, the table lacks a column, or too little is left.
    RunError
        If the table or the tokenizer is not to be had.
    """
    check_folder(folder, asdict(settings))
    tokenizer = open_tokenizer(settings.tokenizer)
    check_template(settings.tokenizer, tokenizer)
    thinking = prompts_for(settings.tokenizer).thinking
    about: dict[str, Any] = {
        "settings": asdict(settings),
        "tokenizer": {"fingerprint": fingerprint(tokenizer), "enable_thinking": thinking},
    }
    found, read, about["source"] = _read(settings)
    switches = {} if thinking is None else {"enable_thinking": thinking}
    prompts = [put(problem, settings.system_prompt) for problem in found]
    lengths = count_tokens(tokenizer, prompts, switches, show)
    limit = settings.max_prompt_tokens
    short = [problem for problem, n in zip(found, lengths, strict=True) if n <= limit]

    def equal(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        with VerifierPool() as pool:
            return equal_answers(pairs, pool, show)

    unique = without_duplicates(short, equal)
    kept = unique.problems
    if len(kept) <= settings.validation:
        raise UsageError(
            f"{len(kept)} of {read:,} problems are left: with --validation {settings.validation} "
            "none would be left to train on"
        )
    train, validation = hold_out(kept, settings.validation, settings.seed)
    about["counts"] = {
        "read": read,
        "without_problem_or_answer": read - len(found),
        "too_long": len(found) - len(short),
        "repeated": unique.repeated,
        "conflicting": unique.conflicting,
        "conflicting_problems": unique.conflicting_problems,
        "kept": len(kept),
        "train": len(train),
        "validation": len(validation),
    }
    about["answers_written_differently"] = {"equal": unique.equal, "not_judged": unique.unjudged}
    about["made"] = provenance(command, None, PACKAGES)
    files = tables({"train": train, "validation": validation}, SOURCE, settings.system_prompt)
    return about, write_folder(folder, files, about)


def hold_out(
    problems: Sequence[Problem], number: int, seed: int
) -> tuple[list[Problem], list[Problem]]:
    """Part problems into those to train on and ``number`` others, each in their order."""

    def rank(problem: Problem) -> bytes:
        return hashlib.sha256(f"{seed}\n{normalised(problem.text)}".encode()).digest()

    chosen = {problem.index for problem in sorted(problems, key=rank)[:number]}
    return (
        [problem for problem in problems if problem.index not in chosen],
        [problem for problem in problems if problem.index in chosen],
    )


def _read(settings: Settings) -> tuple[list[Problem], int, dict[str, str | None]]:
    """Read the problems, how many rows there were, and where they come from."""
    if settings.file is None:
        rows, commit = hub_rows(HUB, settings.revision, "--from FILE")
        return *read_problems(rows, HUB.repo), {"name": HUB.repo, "commit": commit}
    path = Path(settings.file)
    found, read = read_problems(read_rows(path, HUB.split), settings.file)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return found, read, {"name": settings.file, "sha256": digest}
