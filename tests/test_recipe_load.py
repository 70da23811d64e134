"""Recipes found, read and changed: what is refused, and on whom it is blamed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import pytest
import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from fgrpo.errors import UsageError
from fgrpo.recipes import load as module
from fgrpo.recipes import shipped
from fgrpo.recipes.load import load
from fgrpo.recipes.settings import (
    NAME_PATTERN,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Settings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Jar(Settings):
    """Two fields with a rule between them."""

    low: NonNegativeInt = 1
    high: PositiveInt = 8

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Fruit(Settings):
    """An item of a list."""

    name: Name
    weight: PositiveFloat = 1.0


class Kitchen(Settings):
    """A small recipe: a section, lists, and types that hold models in other ways."""

    name: Name = "kitchen"
    jar: Jar = Jar()
    fruits: Annotated[list[Fruit], Field(min_length=1)]
    seeds: list[NonNegativeInt] = Field(default=[0])
    spare: Jar | None = None
    shelf: dict[str, Fruit] = Field(default={})

    @model_validator(mode="after")
    def _as_many_seeds(self) -> Self:
        if len(self.seeds) > self.jar.high:
            raise ValueError(f"{len(self.seeds)} seeds do not fit into {self.jar.high}")
        return self


class Anything(BaseModel):
    """Whatever a file holds."""

    model_config = {"extra": "allow"}


PLAIN: dict[str, Any] = {"fruits": [{"name": "fig"}, {"name": "plum", "weight": 2}]}


class Read(Protocol):
    def __call__(self, content: dict[str, Any] | str, *overrides: str) -> Kitchen: ...


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


@pytest.fixture
def read(file: Path) -> Read:
    def read(content: dict[str, Any] | str, *overrides: str) -> Kitchen:
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return load(Kitchen, str(file), list(overrides))

    return read


def refusal(read: Read, content: dict[str, Any] | str, *overrides: str) -> list[str]:
    """Return the lines of a refusal."""
    with pytest.raises(UsageError) as error:
        read(content, *overrides)
    return str(error.value).splitlines()


def test_a_file_is_read_as_the_model_given(read: Read) -> None:
    recipe = read(PLAIN)
    assert type(recipe) is Kitchen
    assert [fruit.weight for fruit in recipe.fruits] == [1.0, 2.0]


def test_shipped_recipes_are_found_by_name_in_their_folder_only(tmp_path: Path) -> None:
    names = list(shipped("trl"))
    assert names
    for name in names:
        fields = load(Anything, name, folder="trl").model_dump()
        assert fields == yaml.safe_load(shipped("trl")[name].read_text(encoding="utf-8"))
    others = ", ".join(shipped())
    told = f"^no recipe '{names[0]}': neither a file nor one of those shipped \\({others}\\)$"
    with pytest.raises(UsageError, match=told):
        load(Anything, names[0])
    told = f"^no recipe 'maze-small': .* shipped \\({', '.join(names)}\\)$"
    with pytest.raises(UsageError, match=told):
        load(Anything, "maze-small", folder="trl")


def test_a_file_that_is_no_recipe(read: Read, file: Path) -> None:
    assert refusal(read, "- 1\n") == [f"{file}: a recipe is a mapping of fields, not list"]
    assert refusal(read, "") == [f"{file}: a recipe is a mapping of fields, not NoneType"]
    (line,) = refusal(read, "a: [\n")
    assert line.startswith(f"{file}: not valid YAML: ")
    with pytest.raises(UsageError, match="cannot be read"):
        load(Kitchen, str(file.parent))
    file.write_bytes(b"name: \xe9\n")
    with pytest.raises(UsageError, match=r"mine\.yaml: cannot be read"):
        load(Kitchen, str(file))


def test_changes_reach_every_place(read: Read) -> None:
    recipe = read(
        PLAIN,
        "jar.high=7",  # a section that the file does not have
        "jar.high=5",  # the last of two holds
        "fruits.0.weight=1e-3",
        "fruits.1={name: pear}",
        "seeds=[4, 5]",
        "seeds.1=6",
        "shelf.top.name=a.b",
        "name=other",
    )
    assert recipe == Kitchen(
        name="other",
        jar=Jar(low=1, high=5),
        fruits=[Fruit(name="fig", weight=0.001), Fruit(name="pear", weight=1.0)],
        seeds=[4, 6],
        shelf={"top": Fruit(name="a.b")},
    )


def test_the_value_begins_at_the_first_equals_sign(read: Read, file: Path) -> None:
    (line,) = refusal(read, PLAIN, "name=a=b")
    assert line.startswith("--set 'name=a=b': name: String should match pattern")
    assert line.endswith("(got 'a=b')")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("weight", "--set 'weight': write field=value"),
        ("=1", "--set '=1': write field=value"),
        ("jar.low=[1", "--set 'jar.low=[1': '[1' is not a YAML value"),
        ("fruits.2.weight=1", "--set 'fruits.2.weight=1': '2' must be a number from 0 to 1"),
        ("fruits.-1.weight=1", "--set 'fruits.-1.weight=1': '-1' must be a number from 0 to 1"),
        ("fruits.fig=1", "--set 'fruits.fig=1': 'fig' must be a number from 0 to 1"),
        ("fruits.².weight=1", "--set 'fruits.².weight=1': '²' must be a number from 0 to 1"),
        ("name.x=1", "--set 'name.x=1': name is a value and has no fields"),
        ("name.x.y=1", "--set 'name.x.y=1': nothing lies below a value ('x')"),
    ],
)
def test_a_change_that_leads_nowhere(override: str, told: str, read: Read) -> None:
    assert refusal(read, {"name": "kitchen", **PLAIN}, override) == [told]


def test_the_message_about_a_change_may_give_an_example(file: Path) -> None:
    file.write_text("{}")
    told = "^--set 'x': write field=value, for example jar.low=2$"
    with pytest.raises(UsageError, match=told):
        load(Kitchen, str(file), ["x"], example="jar.low=2")


FIELDS = "no such field; fields here are"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"lid": 1}, f"lid: {FIELDS} name, jar, fruits, seeds, spare, shelf"),
        ({"jar": {"lid": 1}}, f"jar.lid: {FIELDS} low, high"),
        ({"fruits": [{"name": "fig", "lid": 1}]}, f"fruits.0.lid: {FIELDS} name, weight"),
        ({"spare": {"lid": 1}}, f"spare.lid: {FIELDS} low, high"),
        ({"shelf": {"top": {"name": "a", "lid": 1}}}, f"shelf.top.lid: {FIELDS} name, weight"),
        ({"fruits": [{"weight": 1}]}, "fruits.0.name: Field required"),
        ({"jar": {"low": 9}}, "jar: low 9 is above high 8"),
        (
            {"jar": {"low": 0, "high": 1}, "seeds": [1, 2]},
            "recipe: 2 seeds do not fit into 1",
        ),
        (
            {"seeds": [0, -1]},
            "seeds.1: Input should be greater than or equal to 0 (got -1)",
        ),
    ],
)
def test_a_wrong_field_of_the_file(
    fields: dict[str, Any], told: str, read: Read, file: Path
) -> None:
    assert refusal(read, {**PLAIN, **fields}) == [f"{file}: {told}"]


def test_a_field_that_no_model_lists_is_refused_without_a_list() -> None:
    assert module._known_fields(Kitchen, ("name", "x")) == ""


@pytest.mark.parametrize(
    ("fields", "overrides", "blamed", "told"),
    [
        # The value itself, wherever in the file or not.
        ({}, ["jar.high=0"], 0, "jar.high: Input should be greater than or equal to 1 (got 0)"),
        ({}, ["jar={high: 0}"], 0, "jar.high: Input should be greater than or equal to 1 (got 0)"),
        ({"jar": {"high": 0}}, ["jar.high=-1"], 0, "jar.high: Input should be greater than"),
        ({}, ["fruits=[{weight: 1}]"], 0, "fruits.0.name: Field required"),
        # Of several, the one at fault.
        ({}, ["name=b", "jar.high=0", "seeds=[1]"], 1, "jar.high: Input should be greater"),
        ({}, ["jar.high=0", "jar.high=-1"], 1, "jar.high: Input should be greater than"),
        # A field there is not, at the place where the change made it.
        ({}, ["lid.low=1"], 0, f"lid: {FIELDS} name, "),
        ({}, ["jar.lid=1"], 0, f"jar.lid: {FIELDS} low, high"),
        # A rule between fields: the change that broke it.
        ({}, ["jar.low=9"], 0, "jar: low 9 is above high 8"),
        ({"jar": {"low": 9}}, ["jar.high=6"], 0, "jar: low 9 is above high 6"),
        ({"jar": {"low": 7}}, ["jar.high=6", "name=b"], 0, "jar: low 7 is above high 6"),
        ({}, ["jar.high=1", "seeds=[1, 2]"], 1, "recipe: 2 seeds do not fit into 1"),
        ({}, ["seeds=[1, 2]", "jar.high=1"], 1, "recipe: 2 seeds do not fit into 1"),
        # The file's own faults stay the file's.
        ({"jar": {"high": 0}}, ["name=b"], None, "jar.high: Input should be greater than"),
        ({"jar": {"low": 9}}, ["name=b", "seeds=[1]"], None, "jar: low 9 is above high 8"),
        # Even one that only shows once another is mended.
        (
            {"seeds": [1, 2], "jar": {"high": 1}, "name": "/"},
            ["name=b"],
            None,
            "recipe: 2 seeds do not fit into 1",
        ),
    ],
)
def test_an_error_is_blamed_on_the_change_that_made_it(
    fields: dict[str, Any],
    overrides: list[str],
    blamed: int | None,
    told: str,
    read: Read,
    file: Path,
) -> None:
    (line,) = refusal(read, {**PLAIN, **fields}, *overrides)
    place = file if blamed is None else f"--set {overrides[blamed]!r}"
    assert line.startswith(f"{place}: {told}")


def test_all_errors_are_told_at_once_each_with_its_place(read: Read, file: Path) -> None:
    lines = refusal(read, {**PLAIN, "jar": {"high": 0}}, "seeds=[-1]", "lid=1")
    starts = [
        f"{file}: jar.high: ",
        "--set 'seeds=[-1]': seeds.0: ",
        f"--set 'lid=1': lid: {FIELDS}",
    ]
    assert len(lines) == 3
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_the_caller_may_pick_the_errors_to_tell(file: Path) -> None:
    def first(items: list[ErrorDetails]) -> list[ErrorDetails]:
        assert [item["loc"] for item in items] == [("jar", "high"), ("fruits",)]
        return items[:1]

    file.write_text("jar: {high: 0}")
    with pytest.raises(UsageError, match=f"^{re.escape(str(file))}: jar.high: [^\n]*$"):
        load(Kitchen, str(file), to_tell=first)


@pytest.mark.parametrize(
    ("kind", "smallest", "refused"),
    [
        (PositiveInt, 1, [0, 1.5]),
        (NonNegativeInt, 0, [-1, 0.5]),
        (PositiveFloat, 5e-324, [0.0, float("inf"), float("nan")]),
        (NonNegativeFloat, 0.0, [-5e-324, float("inf"), float("nan")]),
        (Name, "a", ["", ".a", "-a", "a/b", "a b", "../a", "a\n"]),
        (Name, "7.B_c-d", ["é", "_a"]),
    ],
)
def test_ranges_of_numbers_and_names(kind: Any, smallest: Any, refused: list[Any]) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.validate_python(smallest) == smallest
    for value in refused:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
