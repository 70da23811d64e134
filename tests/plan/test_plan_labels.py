import hashlib
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fgrpo.errors import UsageError
from fgrpo.plan.labels import LabelledPilot, Solutions, solution_labels
from fgrpo.records import Record, RecordStore, read_records


def samples(problem: str, *given: tuple[bool, str | None]) -> list[Record]:
    return [Record(problem, i, correct, text) for i, (correct, text) in enumerate(given)]


def seen(pilot: LabelledPilot) -> dict[str, tuple[int, list[int]]]:
    return {one.problem: (one.n, one.multiplicities.tolist()) for one in pilot.solutions}


def test_texts_are_the_same_up_to_white_space() -> None:
    a = samples(
        "a",
        (True, "x = 1"),
        (False, "x = 2"),
        (True, "y: 1"),
        (True, " x\n=\t 1\u00a0"),
        (False, None),
        (True, "x = 1"),
        (True, "x =1"),
    )
    b = samples("b", (False, "x = 1"), (True, "x = 1"))
    c = samples("c", (False, "?"), (False, "?"))
    mixed = [a[0], c[0], b[0], *a[1:4], b[1], *a[4:], c[1]]
    pilot = solution_labels(mixed, "text")
    assert seen(pilot) == {"a": (7, [3, 1, 1]), "c": (2, []), "b": (2, [1])}
    assert list(seen(pilot)) == ["a", "c", "b"]
    assert (pilot.texts, pilot.unlabelled, pilot.left_out) == (10, 0, ())
    first = pilot.solutions[0]
    assert (first.c, first.singletons) == (5, 2)


def test_case_counts_and_an_empty_text_is_a_text() -> None:
    pilot = solution_labels(samples("a", (True, ""), (True, "X"), (True, "x"), (True, " ")), "text")
    assert seen(pilot) == {"a": (4, [2, 1, 1])}


def test_answers_are_what_the_last_box_holds() -> None:
    records = samples(
        "a",
        (True, r"First \boxed{7}, then \boxed{\frac{1}{2}}"),
        (True, r"At once: \boxed{ \frac{1}{2} }."),
        (True, r"\boxed{0.5}"),
        (False, r"\boxed{3}"),
        (True, r"$\boxed{1}$ and $\boxed{2}$"),
        (True, r"\boxed{4}"),
        (True, r"\boxed{1,2}"),
        (False, "no box, but wrong"),
    )
    pilot = solution_labels(records, "answer")
    assert seen(pilot) == {"a": (8, [2, 2, 1, 1])}
    assert seen(solution_labels(records, "text")) == {"a": (8, [1] * 6)}


@pytest.mark.parametrize("bare", ["no box", r"\boxed{never closed", r"\boxed{ }", None])
def test_a_problem_with_a_correct_sample_without_label_is_left_out(bare: str | None) -> None:
    labelled = (True, r"\boxed{1}")
    records = [
        *samples("before", labelled, (True, bare), labelled, (True, bare)),
        *samples("after", (True, bare)),
        *samples("wrong", labelled, (False, bare)),
    ]
    pilot = solution_labels(records, "answer")
    assert seen(pilot) == {"wrong": (2, [1])}
    assert (pilot.unlabelled, pilot.left_out) == (3, ("before", "after"))
    assert pilot.texts == (4 if bare is None else 7) - (bare is None)


def test_a_pilot_stored_without_texts_has_no_solutions() -> None:
    records = [*samples("a", (True, None), (False, None)), *samples("b", (False, None))]
    pilot = solution_labels(records, "text")
    assert (pilot.solutions, pilot.texts, pilot.unlabelled) == ((), 0, 1)
    assert pilot.left_out == ("a",)
    assert solution_labels([], "text").solutions == ()


def test_halves_of_surrogate_pairs_are_told_apart() -> None:
    pilot = solution_labels(samples("a", (True, "\ud800"), (True, "\ud801"), (True, "?")), "text")
    assert seen(pilot) == {"a": (3, [1, 1, 1])}


def test_unknown_kind_of_label() -> None:
    with pytest.raises(UsageError, match=r"by = 'code' .*\"text\" or \"answer\""):
        solution_labels([], "code")  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    path, size = tmp_path / "pilot.jsonl", 20_000
    with RecordStore.open(path) as store:
        for i in range(1500):
            word = hashlib.sha256(str(i).encode()).hexdigest()
            store.append(Record(f"p{i % 3}", i, True, f"{word * (size // 64)} \\boxed{{{word}}}"))
    for by in ("text", "answer"):
        tracemalloc.start()
        pilot = solution_labels(read_records(path), by)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seen(pilot) == {f"p{i}": (500, [1] * 500) for i in range(3)}
        assert path.stat().st_size > 29e6
        # Two of the texts at once, and at most 400 bytes for each distinct solution.
        assert peak < 1_500 * 400 + 20 * size


def test_import_brings_no_verifiers() -> None:
    code = "import sys, fgrpo.plan.labels; print('fgrpo.verify' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_solutions_are_kept_in_order_and_read_only() -> None:
    given = np.array([1, 4, 2], np.int32)
    one = Solutions("a", 9, given)
    assert one.multiplicities.tolist() == [4, 2, 1]
    assert one.multiplicities.dtype == np.int64
    assert (one.c, one.singletons) == (7, 1)
    with pytest.raises(ValueError, match="read-only"):
        one.multiplicities[0] = 1
    given[0] = 3
    assert one.c == 7
    none = Solutions("a", 1, [])  # type: ignore[arg-type]
    assert (none.c, none.singletons, none.multiplicities.dtype) == (0, 0, np.int64)


@pytest.mark.parametrize(
    ("n", "multiplicities", "error", "message"),
    [
        (0, [], ValueError, "problem 'a' has n = 0"),
        (3, [2, 0], ValueError, "'a' has a solution of multiplicity 0"),
        (3, [2, 2], ValueError, "'a' has 4 correct samples of n = 3"),
        (3, [1.0], TypeError, "'a' have dtype float64"),
        (3, [[1]], ValueError, r"'a' have shape \(1, 1\)"),
        (3, [True], TypeError, "'a' have dtype bool"),
    ],
)
def test_impossible_solutions(
    n: int, multiplicities: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Solutions("a", n, multiplicities)  # type: ignore[arg-type]
