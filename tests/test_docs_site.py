"""The documentation site, as far as it can be checked without building it.

`make docs` builds it, strictly: a link or an anchor that leads nowhere fails there.
"""

import ast
import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fgrpo.cli import app
from fgrpo.verify.registry import VERIFIERS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# ::: module, perhaps with the names shown of it
DIRECTIVE = re.compile(r"^::: ([\w.]+)$(?:\n    options:\n      members: \[(.*)\])?", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
FETCHED = re.compile(
    r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)=["']?(?:https?:)?//|"""
    r"""!\[[^\]]*\]\((?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
)


class Tolerant(yaml.SafeLoader):
    """Reads the configuration though it names a Python function."""


Tolerant.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def config():
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Tolerant)


def hook(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "_hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(nav):
    if isinstance(nav, str):
        return [nav]
    return [
        leaf for one in (nav.values() if isinstance(nav, dict) else nav) for leaf in leaves(one)
    ]


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page(config):
    assert sorted(leaves(config["nav"])) == sorted(
        page.relative_to(DOCS).as_posix() for page in PAGES
    )


def exported():
    """Each module with an ``__all__``, and the names in it."""
    for path in sorted((ROOT / "src/fgrpo").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "\n__all__" in text else ():
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                parts = path.relative_to(ROOT / "src").with_suffix("").parts
                yield ".".join(parts).removesuffix(".__init__"), set(ast.literal_eval(node.value))


def shown():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return {
        module: set(members.split(", ")) if members else None
        for module, members in DIRECTIVE.findall(text)
    }


def test_every_public_name_is_in_the_reference():
    reference, public = shown(), dict(exported())
    assert {"fgrpo", "fgrpo.theory", "fgrpo.compare"} <= set(public)
    for module, names in public.items():
        assert module in reference, f"docs/reference shows nothing of {module}"
        members = reference[module]
        assert members is None or names <= members, f"{module}: {names - members} not shown"


def test_the_reference_names_modules_and_members_that_exist():
    for module, members in shown().items():
        path = ROOT / "src" / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        body = ast.parse(file.read_text(encoding="utf-8")).body
        defined = {getattr(node, "name", None) for node in body}
        assert (members or set()) <= defined, f"{module}: {members - defined}"


def test_docstrings_are_free_of_roles_that_the_reference_would_show_raw():
    for path in (ROOT / "src").rglob("*.py"):
        found = re.search(r":\w+:`.*", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found[0]}: write formulas in Unicode, names in backticks"


def test_readers_fetch_nothing_from_another_host(config):
    assert config["theme"]["font"] is False
    # Without a stand-in of ours of that name, the plugin offline adds one from another host.
    assert any("iframe-worker" in script for script in config["extra"]["polyfills"])
    own = [*config["extra"]["polyfills"], *config["extra_css"], *config.get("extra_javascript", [])]
    assert [name for name in own if not (DOCS / name).is_file()] == []
    assert "analytics" not in config["extra"]
    for path in DOCS.rglob("*"):
        if path.suffix in {".md", ".css", ".js", ".html"}:
            found = FETCHED.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.name}: {found[0]}"


@pytest.mark.parametrize(
    "text", ["<script src='https://a.b/c'>", "![](//a.b/c.png)", "@import 'x'"]
)
def test_what_would_be_fetched_is_recognised(text):
    assert FETCHED.search(text)


def test_links_of_pages_stay_in_the_documentation_and_lead_somewhere():
    for page in (*PAGES, *ROOT.glob("*.md")):
        home = DOCS if page.is_relative_to(DOCS) else ROOT
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in LINK.findall(prose):
            if not target.startswith(("http:", "https:")):
                path = (page.parent / target).resolve()
                assert path.is_relative_to(home), f"{page.name}: {target} is not on the site"
                assert path.exists(), f"{page.name}: {target}"


def test_the_page_of_the_command_line_has_every_command_and_option():
    command_line = hook("command_line")
    page = (DOCS / command_line.PAGE).read_text(encoding="utf-8")
    assert command_line.MARK in page
    text = "\n".join(command_line.command_lines(command_line.typer.main.get_command(app), "fgrpo"))
    sections = dict(re.findall(r"^## fgrpo (.*)\n((?:.|\n(?!## ))*)", text, re.MULTILINE))
    commands = re.findall(
        r"^│ ([a-z][a-z-]*) ", CliRunner().invoke(app, ["--help"]).output, re.MULTILINE
    )
    assert {"run", "evaluate", "compare", "plan", "data"} <= set(commands)
    assert {name.split()[0] for name in sections} == set(commands)
    for name, section in sections.items():
        help_text = (
            CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "250"}).output
        )
        options = set(re.findall(r"^│ +(--[\w-]+)", help_text, re.MULTILINE)) - {"--help"}
        assert options, name
        assert all(re.search(rf"`[^`]*{option}\b", section) for option in options), name


def test_the_page_of_recipes_has_every_field_of_the_shipped_ones():
    recipe_fields = hook("recipe_fields")
    page = (DOCS / recipe_fields.PAGE).read_text(encoding="utf-8")
    for (mark, model), folder in zip(recipe_fields.MODELS.items(), ("", "simulate"), strict=True):
        assert mark in page
        table = recipe_fields.fields(model.model_json_schema())
        for path in (ROOT / "src/fgrpo/recipes" / folder).glob("*.yaml"):
            recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
            inner = [part for part in recipe.values() if isinstance(part, dict)]
            inner += recipe.get("arms", [])
            for field in {*recipe, *(key for part in inner for key in part)}:
                assert f"`{field}`" in table, f"{path.name}: {field}"
    rows = recipe_fields.fields(recipe_fields.Recipe.model_json_schema()).splitlines()
    assert "| `size` | integer ≥ 5 and ≤ 65 | `9` | Rows and columns, odd. |" in rows
    assert "| `name` | text | required |  |" in rows


@pytest.mark.parametrize("page", ["evaluate", "security"])
def test_the_tables_of_verifiers_have_them_all(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| verifier \|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    told = [name for row in table.splitlines() for name in re.findall("`(.*?)`", row.split("|")[1])]
    assert sorted(told) == sorted([*VERIFIERS, "package.module:function"])


def test_docstrings_become_markdown():
    griffe = pytest.importorskip("griffe", reason="comes with fgrpo[docs]")
    text = '''"""As `f` and `unknown`::

    code

==== =====
``a`` one
     more
==== =====
"""
__all__ = ["f", "kept", "Kind"]
from enum import Enum

kept = 2


def f(kept, other=1):
    """Like `Kind`, not `kept`.

    Parameters
    ----------
    kept, other
        Both.
    """


class Kind(Enum):
    """Kinds."""

    A = 1
'''
    with griffe.temporary_visited_package(
        "fgrpo",
        {"__init__.py": text},
        extensions=griffe.Extensions(hook("docstrings").Docstrings()),
    ) as package:
        link = '<autoref identifier="fgrpo.{0}" optional><code>{0}</code></autoref>'
        assert package.docstring.value == (
            f"As {link.format('f')} and `unknown`:\n\n    code\n\n"
            "| | |\n|---|---|\n| ``a`` | one more |\n"
        ).strip("\n")
        assert package["Kind"].docstring.value == "Kinds.\n\nMembers: ``A = 1``."
        said, parameters = package["f"].docstring.parse("numpy")
        assert said.value == f"Like {link.format('Kind')}, not `kept`."
        assert [(one.name, one.default) for one in parameters.value] == [
            ("kept", None),
            ("other", "1"),
        ]
