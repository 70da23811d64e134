"""Questions of reasoning-gym as plain prompts, and what an answer to them is worth.

Its own scorers are not used: they may evaluate what a model wrote. An answer is right if the
first line of the completion is the reference, white space aside; training and evaluation judge
by the same function.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fgrpo.errors import RunError
from fgrpo.files import make_folder, write_text
from fgrpo.verify.exact import verify
from llm.settings import Settings

TASKS: dict[str, dict[str, int]] = {
    "gcd": {},
    "chain_sum": {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2},
}
# reasoning-gym makes question i of seed s from s + i, so seeds lie further apart than questions.
_APART = 1_000_000
_HELD_OUT = 900 * _APART
_SHOTS = 950 * _APART
_TRIES = 4  # questions made for one that is kept


def exact_reward(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """Reward 1 if the first line is the answer, else 0; as TRL calls it."""
    return [
        float(verify(completion.partition("\n")[0], right))
        for completion, right in zip(completions, answer, strict=True)
    ]


def held_out_file(folder: Path, settings: Settings) -> Path:
    """Where the held-out questions lie, as `fgrpo evaluate` reads its users' own."""
    return folder / "items" / f"{settings.task}.jsonl"


def training_rows(folder: Path, seed: int) -> list[dict[str, str]]:
    text = (folder / "items" / f"train-seed-{seed}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def write_items(folder: Path, settings: Settings) -> None:
    """Write questions for every training seed, and held-out ones that are not among them."""
    done = folder / "items" / "about.json"
    if done.exists():
        return
    make_folder(done.parent)
    shots = _questions(settings.task, settings.shots, _SHOTS)
    count = settings.steps * settings.prompts
    if count > _APART:
        raise RunError(f"{count} training questions are more than the {_APART} of one seed")
    seen = {question for question, _ in shots}
    for seed in settings.seeds:
        train = _questions(settings.task, count, seed * _APART)
        seen.update(question for question, _ in train)
        rows = [{"prompt": prompt(shots, question), "answer": answer} for question, answer in train]
        write_text(done.with_name(f"train-seed-{seed}.jsonl"), _lines(rows))
    made = _questions(settings.task, settings.items * _TRIES, _HELD_OUT)
    held_out, dropped = choose_held_out(made, seen, settings.items)
    rows = [
        {"id": str(i), "problem": prompt(shots, question), "answer": answer, "verifier": "exact"}
        for i, (question, answer) in enumerate(held_out)
    ]
    write_text(held_out_file(folder, settings), _lines(rows))
    about = {"reasoning-gym": version("reasoning-gym"), "task": TASKS[settings.task]}
    write_text(done, json.dumps({**about, "dropped": dropped}, indent=2) + "\n")


def choose_held_out(
    made: list[tuple[str, str]], seen: set[str], wanted: int
) -> tuple[list[tuple[str, str]], int]:
    """Take the first questions that differ from each other and from those seen.

    Returns them, and how many were dropped on the way.
    """
    seen = set(seen)
    kept: list[tuple[str, str]] = []
    for number, (question, answer) in enumerate(made):
        if len(kept) == wanted:
            return kept, number - wanted
        if question not in seen:
            seen.add(question)
            kept.append((question, answer))
    if len(kept) < wanted:
        raise RunError(
            f"only {len(kept)} of {len(made)} held-out questions are new; {wanted} are wanted: "
            "use fewer --items, or a task with more questions"
        )
    return kept, len(made) - wanted


def prompt(shots: list[tuple[str, str]], question: str) -> str:
    """Put a question after solved ones; an answer ends with its line."""
    solved = "".join(f"Question: {asked}\nAnswer: {answer}\n" for asked, answer in shots)
    return f"{solved}Question: {question}\nAnswer:"


def _questions(task: str, count: int, seed: int) -> list[tuple[str, str]]:
    import reasoning_gym

    if not count:
        return []
    made = reasoning_gym.create_dataset(task, size=count, seed=seed, **TASKS[task])
    return [(entry["question"].strip(), entry["answer"]) for entry in made]


def _lines(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
