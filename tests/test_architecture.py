"""Imports point downwards, and docs/architecture.md draws the folders that exist."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
PAGE = ROOT / "docs" / "architecture.md"

# Parts of the package from the bottom up: a module imports its own part and parts of lower rows.
# "fgrpo" is the package's own __init__.
LAYERS = (
    {"_validate", "cores", "errors", "groups", "maze", "presentation"},
    {"advantage", "files", "objective", "passk", "recipes", "records", "theory"},
    {"fgrpo", "compare", "integrations", "run_folder", "verify"},
    {"integrations.trl", "integrations.verl", "plan", "provenance"},
    {"doctor", "evaluate", "lab", "simulation"},
    {"data", "report"},
    {"diagnose", "train"},
    {"reproduce"},
    {"cli"},
    {"__main__"},
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# The weight must fit into a trainer without dragging anything along.
MATHEMATICS = {"_validate", "advantage", "errors", "groups", "objective", "passk", "theory"}
ONLY = {
    **{part: MATHEMATICS | {"fgrpo"} for part in ("fgrpo", *MATHEMATICS)},
    "integrations": MATHEMATICS,
    "integrations.trl": MATHEMATICS | {"integrations"},
    "integrations.verl": MATHEMATICS | {"integrations"},
}

# Packages that a plain install lacks and that importing a module of the part may need.
OPTIONAL = {
    "evaluate": {"httpx2", "safetensors", "tenacity", "torch", "transformers", "vllm"},
    "integrations.trl": {"transformers", "trl"},
    "integrations.verl": {"omegaconf", "torch", "verl"},
    "lab": {"safetensors", "torch"},
    "objective": {"torch"},
    "simulation": {"numba", "torch"},
    "train": {"transformers", "trl"},
}
# Imported by another name than the dependency that brings it.
BROUGHT = {"markupsafe": "jinja2", "yaml": "pyyaml"}


class Import(NamedTuple):
    module: str
    target: str
    line: int
    at_once: bool  # when the module is imported, not when a function is called or a type checked

    def __str__(self):
        return f"{self.module} (line {self.line}) imports {self.target}"


def imports_of(module, text, modules):
    """List what a module imports, wherever in it; of a package's modules, the module itself."""
    found = []

    def walk(node, at_once):
        targets = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}, line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = dict.fromkeys(name if name in modules else node.module for name in names)
        found.extend(Import(module, target, node.lineno, at_once) for target in targets)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_once = False
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            at_once = False
        for child in ast.iter_child_nodes(node):
            walk(child, at_once)

    walk(ast.parse(text), True)
    return found


@cache
def modules():
    """Map the dotted names of the package's modules to their files."""
    paths = {path.relative_to(SOURCE).with_suffix(""): path for path in SOURCE.rglob("*.py")}
    return {".".join(path.parts).removesuffix(".__init__"): file for path, file in paths.items()}


@cache
def all_imports():
    return [
        one
        for module, path in modules().items()
        for one in imports_of(module, path.read_text(encoding="utf-8"), modules())
    ]


def part_of(module):
    """Name the part that a module belongs to: the first name of two that the layers know."""
    names = module.split(".")[1:3]
    return next((part for part in (".".join(names), *names[:1]) if part in LEVEL), "fgrpo")


def inner_imports():
    """List the imports from one part of the package in another."""
    return [
        one
        for one in all_imports()
        if one.target.split(".")[0] == "fgrpo" and part_of(one.module) != part_of(one.target)
    ]


@pytest.mark.parametrize(
    ("line", "target", "at_once"),
    [
        ("import fgrpo.lab.train", "fgrpo.lab.train", True),
        ("import fgrpo.lab.train as t", "fgrpo.lab.train", True),
        ("from fgrpo.lab.train import train_arm", "fgrpo.lab.train", True),
        ("from fgrpo.lab import train", "fgrpo.lab.train", True),
        ("from fgrpo import cli", "fgrpo.cli", True),
        ("from fgrpo import __version__", "fgrpo", True),
        ("def f():\n    import fgrpo.cli", "fgrpo.cli", False),
        ("async def f():\n    from fgrpo import cli", "fgrpo.cli", False),
        ("class A:\n    def f(self):\n        from fgrpo import cli", "fgrpo.cli", False),
        ("class A:\n    import fgrpo.cli", "fgrpo.cli", True),
        ("try:\n    import fgrpo.cli\nexcept ImportError: pass", "fgrpo.cli", True),
        ("if TYPE_CHECKING:\n    from fgrpo import cli", "fgrpo.cli", False),
        ("from torch import Tensor", "torch", True),
    ],
)
def test_every_form_of_import_is_seen(line, target, at_once):
    (found,) = imports_of("fgrpo.x", line, modules())
    assert (found.target, found.at_once) == (target, at_once)


def test_every_part_has_one_layer():
    parts = {part_of(module) for module in modules()}
    firsts = {name.split(".")[1] for name in modules() if "." in name}
    assert parts | firsts == set(LEVEL), "give a new part its row in LAYERS"
    assert len(LEVEL) == sum(len(parts) for parts in LAYERS)


def test_imports_point_downwards():
    imports = inner_imports()
    assert len(imports) > 300  # all of them are seen
    upwards = [
        str(one) for one in imports if LEVEL[part_of(one.target)] >= LEVEL[part_of(one.module)]
    ]
    assert not upwards, "\n".join(upwards)


def test_the_weight_and_its_integrations_import_mathematics_only():
    astray = [
        str(one)
        for one in inner_imports()
        if part_of(one.target) not in ONLY.get(part_of(one.module), LEVEL)
    ]
    assert not astray, "\n".join(astray)


def test_only_declared_parts_need_more_than_a_plain_install_to_be_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plain = {re.match(r"[\w-]+", line)[0].lower() for line in project["dependencies"]}
    plain |= {"fgrpo", *sys.stdlib_module_names}
    seen = {}
    for one in all_imports():
        package = one.target.split(".")[0]
        if one.at_once and BROUGHT.get(package, package) not in plain:
            seen.setdefault(part_of(one.module), set()).add(package)
    assert seen == OPTIONAL


TREE = re.compile(r"```text\n(\S+/\n(?:  .*\n)+)```")


def test_the_page_shows_these_layers():
    (block,) = re.findall(
        r"```text\n(__main__\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert [set(row.split()) for row in reversed(block.splitlines())] == list(LAYERS)


def drawn():
    """Yield the paths of the page's trees; a name that ends in / is a folder."""
    for tree in TREE.findall(PAGE.read_text(encoding="utf-8")):
        above = []
        for line in tree.splitlines():
            name = line.split()[0]
            depth = (len(line) - len(line.lstrip())) // 2
            above[depth:] = [name]
            yield "".join(above)


def folders(top):
    """List the folders below ``top`` that hold files."""
    return {
        path.relative_to(ROOT).as_posix() + "/"
        for path in top.rglob("[!_.]*")
        if path.is_dir() and any(child.suffix for child in path.iterdir())
    }


def test_the_page_draws_the_folders_there_are():
    paths = list(drawn())
    assert len(paths) == len(set(paths))
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing, f"drawn in docs/architecture.md and not there: {missing}"
    there = folders(SOURCE) | {
        path.relative_to(ROOT).as_posix() for path in (SOURCE / "fgrpo").glob("*.py")
    }
    assert not there - set(paths), "there, and not drawn in docs/architecture.md"


def test_the_page_draws_the_folders_of_tests_that_mirror_no_part():
    parts = {path.name for path in (SOURCE / "fgrpo").iterdir() if path.is_dir()}
    tests = {path.relative_to(ROOT).parts[1] for path in (ROOT / "tests").glob("*/**/*.py")}
    assert {f"tests/{name}/" for name in tests - parts} == {
        path for path in drawn() if path.startswith("tests/") and path != "tests/"
    }
