"""Mistakes in the use of the pool, and verifiers that cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.verify import Outcome, Verdict, VerifierPool
from fgrpo.verify.registry import VERIFIERS, Verifier

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SAME = "pool_verifiers:same"
CORRECT = Verdict(Outcome.CORRECT)


@pytest.mark.parametrize("name", ["math", "", "a.b", "a:b:c", "1:a", "a-b:c", 7, None])
def test_unknown_verifier(pool: VerifierPool, name: object) -> None:
    with pytest.raises(UsageError, match="there are maths, exact, multiple-choice"):
        pool.submit(name, "", "")  # type: ignore[arg-type]


def test_verifier_of_the_script_itself(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="a module of its own"):
        pool.submit("__main__:verify", "", "")


@pytest.mark.parametrize(
    ("reference", "said"),
    [({1, 2}, "set"), (b"a", "bytes"), (float("nan"), "[Oo]ut of range"), (10**5000, "digits")],
    ids=["set", "bytes", "nan", "long"],
)
def test_reference_that_is_not_json(pool: VerifierPool, reference: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"must be of JSON's types: .*{said}"):
        pool.submit(SAME, "", reference)


def test_reference_without_end(pool: VerifierPool) -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="JSON"):
        pool.submit(SAME, "", endless)


def test_text_that_is_none(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="must be a string, got bytes"):
        pool.submit(SAME, b"a", "")  # type: ignore[arg-type]


def test_unequal_numbers_of_texts_and_references(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="2 texts but 1 references"):
        pool.verify(SAME, ["a", "b"], ["a"])
    with pytest.raises(UsageError, match="texts must be a sequence, got one string"):
        pool.verify(SAME, "ab", ["a", "b"])
    with pytest.raises(UsageError, match="references must be a sequence, got one string"):
        pool.verify(SAME, ["a", "b"], "ab")


@pytest.mark.parametrize(
    "settings",
    [{"workers": 0}, {"batch": 0}, {"seconds": 0}, {"seconds": float("nan")}, {"memory": 1000}],
)
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be"):
        VerifierPool(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:verify", "No module named 'no_such_module'"),
        ("pool_verifiers:no_such_function", "no_such_function"),
        ("pool_verifiers:HELD", "not a function"),
    ],
)
def test_verifier_that_cannot_be_imported(pool: VerifierPool, name: str, said: str) -> None:
    good = pool.submit(SAME, "a", "a")
    with pytest.raises(UsageError, match=f"'{name}' cannot be imported: .*{said}"):
        pool.submit(name, "", "").result()
    assert good.result() == CORRECT


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_much.py").write_text("import not_installed_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VERIFIERS, "maths", Verifier("needs_much:verify", "verify"))
    expected = r"'maths' needs not_installed_here: pip install '\.\[verify\]'"
    with VerifierPool(1) as pool, pytest.raises(UsageError, match=expected):
        pool.submit("maths", "", "").result()


def test_verifier_that_ends_the_keeper_when_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_all.py").write_text("import os; os._exit(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with VerifierPool(1) as pool:
        with pytest.raises(RunError, match="ended while importing it"):
            pool.submit("ends_all:verify", "", "").result()
        assert pool.submit(SAME, "a", "a").result() == CORRECT


def test_import_that_something_outside_ends_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killed.py").write_text(
        "import os, pathlib\n"
        f"tries = pathlib.Path({str(tmp_path / 'tries')!r})\n"
        "tries.touch()\n"
        "tries.write_text(tries.read_text() + 'x')\n"
        "if len(tries.read_text()) < 4: os.kill(os.getpid(), 9)\n"
        "def check(text, reference): return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with VerifierPool(1) as pool:
        assert pool.submit("killed:check", "", None).result() == CORRECT
        assert pool.statistics.keepers_lost == 3
