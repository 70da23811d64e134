"""Options that take several values after one flag."""

from pathlib import Path
from typing import Annotated

import pytest
import typer

from fgrpo.cli.many_values import ManyNumbers, ManyValues
from fgrpo.errors import UsageError


def parsed(line, kind=ManyValues):
    """Return what a command is called with, without what is empty."""
    seen = {}
    app = typer.Typer()

    @app.command("run", cls=kind)
    def run(
        rest: Annotated[list[str] | None, typer.Argument()] = None,
        rare: Annotated[list[float] | None, typer.Option("--rare", "-r")] = None,
        sizes: Annotated[list[int] | None, typer.Option("--sizes")] = None,
        name: Annotated[list[str] | None, typer.Option("--name")] = None,
        out: Annotated[Path | None, typer.Option("--out")] = None,
        target: Annotated[float, typer.Option("--target", min=0)] = 0.5,
        quick: Annotated[bool, typer.Option("--quick/--slow", "-q")] = False,
        verbose: Annotated[int, typer.Option("--verbose", "-v", count=True)] = 0,
    ):
        seen.update({key: value for key, value in locals().items() if key != "seen"})

    app(line.split(), standalone_mode=False)
    return {key: value for key, value in seen.items() if value}


@pytest.mark.parametrize(
    "words",
    [
        "--rare 0.05 0.1 0.2",
        "--rare 0.05 --rare 0.1 --rare 0.2",
        "--rare=0.05 0.1 0.2",
        "--rare=0.05 --rare 0.1 0.2",
        "-r 0.05 0.1 --rare=0.2",
    ],
)
def test_all_ways_to_give_several_values_are_the_same(words):
    assert parsed(words) == {"rare": [0.05, 0.1, 0.2], "target": 0.5}


@pytest.mark.parametrize(
    ("words", "rare"),
    [
        ("--rare -1 -0.5 2", [-1, -0.5, 2]),
        ("--rare 1 -2e-3", [1, -0.002]),
        ("--rare 1 -.5", [1, -0.5]),
        ("--rare=-1 -inf", [-1, float("-inf")]),
    ],
)
def test_negative_numbers_are_values(words, rare):
    assert parsed(words)["rare"] == rare


def test_values_end_at_the_next_option():
    found = parsed("--rare 1 2 --sizes 3 4 --out x --name a b -q --rare 5 -vv")
    assert found == {
        "rare": [1, 2, 5],
        "sizes": [3, 4],
        "out": Path("x"),
        "name": ["a", "b"],
        "quick": True,
        "target": 0.5,
        "verbose": 2,
    }


def test_other_options_keep_their_one_value_and_flags_take_none():
    found = parsed("--out --rare --target 0.1 a --quick b --rare 1 -- 2 --sizes")
    assert found["out"] == Path("--rare")
    assert found["target"] == 0.1
    assert found["rare"] == [1]
    assert found["rest"] == ["a", "b", "2", "--sizes"]


@pytest.mark.parametrize("before", ["--target=0.2", "-q", "--quick", "-v", "--verbose"])
def test_what_takes_no_further_word_leaves_the_next_option_alone(before):
    assert parsed(f"{before} --rare 1 2")["rare"] == [1, 2]


def test_after_an_attached_value_comes_an_argument():
    found = parsed("--target=0.2 a --slow b -v c")
    assert (found["target"], found["rest"]) == (0.2, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--rare", "--rare is given without a value"),
        ("--rare --sizes 2", "--rare is given without a value"),
        ("--sizes 2 -r", "-r is given without a value"),
        ("--sizes 2 x", "--sizes 2 x: "),
        ("--sizes=2.5", "--sizes 2.5: "),
        ("--target=-1", "--target -1: "),
        ("--target x", "--target x: "),
        ("--out", "'--out' requires an argument"),
        ("--bogus", "--bogus"),
        ("--rare 1 --rares 2", "--rares"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(words, told):
    with pytest.raises(UsageError) as error:
        parsed(words)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_help_is_no_error(capsys):
    parsed("--help")
    assert "--sizes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ("A B --sizes 1 8 64", [1, 8, 64]),
        ("--sizes 1 8 64 A B", [1, 8, 64]),
        ("--sizes=1 8 A --sizes 64 B", [1, 8, 64]),
        ("A B --sizes 1 --sizes 8", [1, 8]),
        ("A --sizes -1 B", [-1]),
    ],
)
def test_arguments_may_follow_numbers(words, sizes):
    found = parsed(words, ManyNumbers)
    assert (found["rest"], found["sizes"]) == (["A", "B"], sizes)


def test_text_takes_one_value_where_only_numbers_may_be_many():
    found = parsed("--name x A --name y B", ManyNumbers)
    assert (found["name"], found["rest"]) == (["x", "y"], ["A", "B"])


def test_what_is_no_number_is_told_where_only_numbers_may_be_many():
    with pytest.raises(UsageError, match=r"^--sizes A: "):
        parsed("--sizes A B", ManyNumbers)
    with pytest.raises(UsageError, match=r"--sizes is given without a value"):
        parsed("A --sizes --name x", ManyNumbers)
