"""Run folders: whose they are, what is noted of every start, and how one is started over."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import Field

from fgrpo.errors import RunError, UsageError
from fgrpo.files import locked
from fgrpo.recipes.settings import PositiveInt, Settings
from fgrpo.run_folder import check_run_folder, claim, clear, differences, note_start, opened

if TYPE_CHECKING:
    from pathlib import Path


class Part(Settings):
    """A section."""

    size: PositiveInt = 3
    rate: float = 0.5


class Small(Settings):
    """A recipe."""

    name: str = "small"
    note: str = ""
    seeds: list[int] = Field(default=[0, 1])
    part: Part = Part()


class Larger(Small):
    """Another kind of recipe, with a field that `Small` lacks."""

    extra: int = 1


SMALL = Small(note="γ")
NOTE = {"note"}


def test_the_first_recipe_to_come_is_written_whole(tmp_path: Path) -> None:
    claim(tmp_path, SMALL, NOTE)
    text = (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {
        "name": "small",
        "note": "γ",
        "seeds": [0, 1],
        "part": {"size": 3, "rate": 0.5},
    }
    assert text.startswith("name: small\nnote: γ\nseeds:\n")  # in the model's order


def test_the_same_recipe_may_come_back(tmp_path: Path) -> None:
    claim(tmp_path, SMALL, NOTE)
    claim(tmp_path, Small(note="γ"), NOTE)
    claim(tmp_path, SMALL, set())


def test_another_recipe_is_refused_with_all_differences(tmp_path: Path) -> None:
    claim(tmp_path, SMALL, NOTE)
    before = (tmp_path / "recipe.yaml").read_bytes()
    other = Small(name="other", part=Part(size=4), seeds=[0, 2])
    with pytest.raises(UsageError) as error:
        claim(tmp_path, other, NOTE)
    assert str(error.value) == (
        f"{tmp_path} was made by another recipe: name is 'small' there, 'other' here; "
        "seeds.1 is 1 there, 2 here; part.size is 3 there, 4 here. "
        "Choose another folder with --out, or start over with --fresh"
    )
    assert (tmp_path / "recipe.yaml").read_bytes() == before


def test_only_what_changes_no_result_may_differ(tmp_path: Path) -> None:
    claim(tmp_path, SMALL, NOTE)
    told = Small(note="better")
    claim(tmp_path, told, NOTE)
    with pytest.raises(UsageError, match="note is 'γ' there, 'better' here"):
        claim(tmp_path, told, {"name"})


def test_a_folder_from_before_a_field_existed_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("part: {rate: 0.5}\n")
    claim(tmp_path, Small(), set())
    with pytest.raises(UsageError, match=r"part\.size is 3 there, 4 here"):
        claim(tmp_path, Small(part=Part(size=4)), set())


@pytest.mark.parametrize("content", [b"a: [", b"- 1", b"", b"gone: 1", b"part: 3", b"name: \xe9"])
def test_what_this_version_cannot_read_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=r"recipe\.yaml: of another command or version; choose"):
        claim(tmp_path, SMALL, NOTE)
    assert (tmp_path / "recipe.yaml").read_bytes() == content


def test_a_folder_belongs_to_one_kind_of_recipe(tmp_path: Path) -> None:
    claim(tmp_path, Larger(note="γ"), NOTE)
    claim(tmp_path, Larger(note="γ"), NOTE)
    with pytest.raises(UsageError, match="of another command or version"):
        claim(tmp_path, SMALL, NOTE)


@pytest.mark.parametrize(
    ("there", "here", "lines"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 2]}}, []),
        ({"a": 1}, {"a": "1"}, ["a is 1 there, '1' here"]),
        ({"b": {"c": [1, 2]}}, {"b": {"c": [1, 3]}}, ["b.c.1 is 2 there, 3 here"]),
        ({"b": [1, 2]}, {"b": [1]}, ["b is [1, 2] there, [1] here"]),
        ({"b": [{"c": 1}]}, {"b": [{"c": 2}]}, ["b.0.c is 1 there, 2 here"]),
        ({"b": {"c": 1}}, {"b": None}, ["b is {'c': 1} there, None here"]),
        ({"a": 1}, {"d": 2}, ["a is 1 there, None here", "d is None there, 2 here"]),
    ],
)
def test_differences_are_named_by_field(
    there: dict[str, Any], here: dict[str, Any], lines: list[str]
) -> None:
    assert differences(there, here) == lines


def test_every_start_is_noted_in_order(tmp_path: Path) -> None:
    starts = [{"device": "cpu", "command": name} for name in ("first", "second", "third")]
    for start in starts:
        note_start(tmp_path, start)
    assert json.loads((tmp_path / "environment.json").read_text()) == starts


def test_another_device_is_refused(tmp_path: Path) -> None:
    note_start(tmp_path, {"device": "cuda"})
    with pytest.raises(UsageError) as error:
        note_start(tmp_path, {"device": "cpu"})
    assert str(error.value) == (
        f"{tmp_path} was begun on cuda: go on with --device cuda, or start over with --fresh"
    )
    assert json.loads((tmp_path / "environment.json").read_text()) == [{"device": "cuda"}]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[{"device": ', "not JSON"),
        (b"\xe9", "not JSON"),
        (b'"text"', "not a list of the run's starts"),
        (b'{"device": "cpu"}', "not a list of the run's starts"),
        (b"{}", "not a list of the run's starts"),
        (b"[1]", "not a list of the run's starts"),
    ],
)
def test_damaged_notes_are_one_line(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=rf"environment\.json: {told}.*; delete it to go on$"):
        note_start(tmp_path, {"device": "cpu"})
    assert path.read_bytes() == content


def test_only_a_run_folder_may_be_deleted(tmp_path: Path) -> None:
    check_run_folder(tmp_path / "missing")
    check_run_folder(tmp_path)
    (tmp_path / "lock").touch()  # all that a start leaves that was killed at once
    check_run_folder(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"not a run folder \(it has no recipe\.yaml\); not del"):
        check_run_folder(tmp_path)
    (tmp_path / "recipe.yaml").touch()
    check_run_folder(tmp_path)


def test_clearing_leaves_the_lock_alone(tmp_path: Path) -> None:
    claim(tmp_path, SMALL, NOTE)
    note_start(tmp_path, {"device": "cpu"})
    (tmp_path / "arms" / "a").mkdir(parents=True)
    (tmp_path / "arms" / "a" / "metrics.jsonl").touch()
    with locked(tmp_path / "lock"):
        clear(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        with pytest.raises(RunError, match="another process"), locked(tmp_path / "lock"):
            pass


def test_clearing_cut_short_leaves_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path, SMALL, NOTE)
    (tmp_path / "zebra").mkdir()  # after the recipe by name

    def fail(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", fail)
    with pytest.raises(KeyboardInterrupt):
        clear(tmp_path)
    check_run_folder(tmp_path)
    claim(tmp_path, SMALL, NOTE)
    assert (tmp_path / "zebra").exists()


def test_a_folder_is_made_claimed_and_held_until_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "new"
    for _ in range(2):
        with opened(folder, SMALL, NOTE):
            assert (folder / "recipe.yaml").exists()
            with pytest.raises(RunError, match="another process"), opened(folder, SMALL, NOTE):
                pass
    with (
        pytest.raises(UsageError, match="made by another recipe: name is 'small' there"),
        opened(folder, Small(name="other"), NOTE),
    ):
        pass
    with opened(folder, Small(note="else"), NOTE):  # released after the refusal
        pass


def test_opened_afresh_it_is_emptied_and_another_recipe_may_come(tmp_path: Path) -> None:
    with opened(tmp_path, SMALL, NOTE):
        (tmp_path / "result").touch()
    with opened(tmp_path, Small(name="other"), NOTE, fresh=True):
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "recipe.yaml"}
    thesis = tmp_path / "elsewhere" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.touch()
    with (
        pytest.raises(UsageError, match="not a run folder"),
        opened(thesis.parent, SMALL, NOTE, fresh=True),
    ):
        pass
    assert [path.name for path in thesis.parent.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with (
            pytest.raises(UsageError, match=r"file.*cannot be written \(.*with --out$"),
            opened(folder, SMALL, NOTE, fresh=fresh),
        ):
            pass


def test_fresh_spares_another_kind_of_run(tmp_path: Path) -> None:
    claim(tmp_path, Larger(note="γ"), NOTE)
    (tmp_path / "weights").write_text("hours of work")
    with (
        pytest.raises(UsageError, match="of another command or version"),
        opened(tmp_path, SMALL, NOTE, fresh=True),
    ):
        raise AssertionError("opened")
    assert (tmp_path / "weights").exists()


def test_another_commands_page_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("a plan")
    with (
        pytest.raises(UsageError, match=r"holds another command's report\.html"),
        opened(tmp_path, SMALL, NOTE),
    ):
        raise AssertionError("opened")


def test_a_long_difference_is_named_and_not_quoted():
    many = [{"name": "x" * 50} for _ in range(10)]
    assert differences({"arms": many, "steps": 1}, {"arms": many[:1], "steps": 2}) == [
        "arms differs",
        "steps is 1 there, 2 here",
    ]
