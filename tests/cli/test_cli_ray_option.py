"""``fgrpo run --ray [ADDRESS]``: an address is taken, a recipe is left."""

import pytest

from fgrpo.cli.ray_option import join_address
from fgrpo.errors import UsageError


@pytest.mark.parametrize(
    ("words", "recipe", "ray"),
    [
        ("", "maze-small", None),
        ("--ray", "maze-small", ""),
        ("maze-medium --ray", "maze-medium", ""),
        ("--ray maze-medium", "maze-medium", ""),
        ("--ray --workers 2 maze-medium", "maze-medium", ""),
        ("--ray auto maze-medium", "maze-medium", "auto"),
        ("--ray local maze-medium", "maze-medium", "local"),
        ("maze-medium --ray head:6379 --workers 2", "maze-medium", "head:6379"),
        ("--ray ray://10.0.0.1:10001 maze-medium", "maze-medium", "ray://10.0.0.1:10001"),
        ("--ray=head:6379 maze-medium", "maze-medium", "head:6379"),
        ("--ray=head maze-medium", "maze-medium", "head"),
    ],
)
def test_recipe_and_address_are_told_apart(words, recipe, ray, command_line, monkeypatch):
    pytest.importorskip("torch")
    seen = []

    def run_experiment(chosen, folder, **more):
        seen.append((chosen.name, more["ray"]))
        raise UsageError("enough")

    monkeypatch.setattr("fgrpo.lab.experiment.run_experiment", run_experiment)
    assert command_line("run", *words.split())[0] == 2
    assert seen == [(recipe, ray)]


def test_what_follows_two_dashes_is_left_alone():
    assert join_address(["--ray", "--", "--ray", "auto"]) == ["--ray=", "--", "--ray", "auto"]


def test_help_shows_that_the_address_may_be_left_out(command_line):
    code, out, _ = command_line("run", "--help")
    assert code == 0
    assert "--ray" in out
    assert "[ADDRESS]" in out


def test_a_gpu_is_looked_for_where_the_jobs_run(command_line, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    seen = []

    def run_experiment(*_, **more):
        seen.append(more["device"])
        raise UsageError("enough")

    monkeypatch.setattr("fgrpo.lab.experiment.run_experiment", run_experiment)
    assert "finds no CUDA device here" in command_line("run", "--device", "cuda")[2]
    assert "enough" in command_line("run", "--device", "cuda", "--ray")[2]
    assert seen == ["cuda"]


def test_without_ray_it_is_said_what_to_install(command_line, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    monkeypatch.setattr("fgrpo.lab.ray_jobs.find_spec", lambda name: None)
    code, _, errors = command_line("run", "--ray", "--out", tmp_path / "run")
    assert code == 2
    remedy = "pip install '.[ray]' in the folder of fgrpo's source"
    assert errors.strip() == f"fgrpo: --ray needs Ray: {remedy}"
    assert not (tmp_path / "run").exists()
