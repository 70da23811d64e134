"""The package runs no code that it was not shipped with: what docs/security.md promises."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# Modules that run code, or run code when they read.
MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "runpy", "shelve"}
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
    *("torch.load", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
}
# Arguments that may have this value alone, if they are given.
ARGUMENTS = {
    "allow_pickle": False,
    "autoescape": True,
    "shell": False,
    "trust_remote_code": False,
    "use_safetensors": True,
    "verify": True,  # of an HTTP client: certificates
    "weights_only": True,
}
ALLOWED = {
    ("fgrpo/data/tokens.py", "trust_remote_code=trust"): "False unless the user passes TRL's "
    "--trust_remote_code to fgrpo train",
    ("fgrpo/train/run.py", "trust_remote_code=model.trust_remote_code"): "the same",
}


def unsafe(text: str) -> Iterator[str]:
    """Find what is forbidden in a source, aliases of modules included."""
    tree = ast.parse(text)
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            full |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    yield from (name for name in full.values() if name.split(".")[0] in MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            if (name := _dotted(node, full).removeprefix("builtins.")) in CALLS:
                yield name
        elif isinstance(node, ast.Call):
            for argument in node.keywords:
                yield from _unless_safe(argument.arg, argument.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                yield from _unless_safe(getattr(key, "value", None), value)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                key = getattr(target, "slice", None)
                yield from _unless_safe(getattr(key, "value", None), node.value)


def _dotted(node: ast.expr, full: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, full)}.{node.attr}"
    return full.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _unless_safe(name: object, value: ast.expr) -> Iterator[str]:
    if name in ARGUMENTS and getattr(value, "value", None) is not ARGUMENTS[name]:
        yield f"{name}={ast.unparse(value)}"


def test_no_source_runs_code_it_was_not_shipped_with() -> None:
    found = {
        (str(path.relative_to(SOURCE)), what)
        for path in SOURCE.rglob("*.py")
        for what in unsafe(path.read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)  # so that the list names nothing that is gone


def test_no_recipe_trusts_remote_code_and_no_template_trusts_text() -> None:
    recipes = list(SOURCE.rglob("*.yaml"))
    templates = list(SOURCE.rglob("*.html"))
    trusting = re.compile(r"\|\s*safe\b|autoescape")
    assert recipes
    assert templates
    assert not [path for path in recipes if "trust_remote_code" in path.read_text("utf-8")]
    assert not [path for path in templates if trusting.search(path.read_text("utf-8"))]


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "run = exec",
        "import builtins\nbuiltins.eval('1')",
        "import yaml as y\ny.load(text)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "from torch import load as read\nread(path)",
        "import os\nos.system('true')",
        "subprocess.run('true', shell=True)",
        "open_model(trust_remote_code=asked)",
        "options = {'trust_remote_code': True}",
        "options['weights_only'] = False",
    ],
)
def test_each_of_them_would_be_found(text: str) -> None:
    assert list(unsafe(text))


@pytest.mark.parametrize(
    "text",
    [
        "network.eval()",
        "import re\nre.compile('x')",
        "import yaml\nyaml.safe_load(text)",
        "open_model(trust_remote_code=False, use_safetensors=True)",
        "here['use_safetensors'] = True",
    ],
)
def test_what_looks_like_it_is_not(text: str) -> None:
    assert not list(unsafe(text))
