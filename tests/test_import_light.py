"""Importing the package, or asking it for help, costs next to nothing."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("torch", "scipy.stats", "matplotlib", "pydantic", "rich", "transformers")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("module", "but"), [("fgrpo", []), ("fgrpo.diagnose", ["pydantic"])])
def test_import_loads_nothing_heavy(module: str, but: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert python(code).strip() == str(but)


def test_import_takes_little_more_than_numpy() -> None:
    code = (
        "import time; import numpy; began = time.perf_counter(); import fgrpo; "
        "print(time.perf_counter() - began)"
    )
    # The best of several: a busy machine can slow one, not make one fast.
    assert min(float(python(code)) for _ in range(5)) < 0.3


@pytest.mark.parametrize("name", ["run_folder", "recipes.load", "recipes.settings"])
def test_what_experiments_share_is_light_and_needs_no_lab(name: str) -> None:
    code = (
        f"import sys, fgrpo.{name}\n"
        "heavy = ('torch', 'scipy', 'matplotlib', 'rich', 'transformers', 'fgrpo.lab')\n"
        "print([n for n in heavy if n in sys.modules])"
    )
    assert python(code).strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["run", "--list"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, contextlib, io\n"
        "from fgrpo.cli import main\n"
        f"sys.argv = ['fgrpo', *{arguments!r}]\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main()\n"
        "print([n for n in ('torch', 'scipy', 'matplotlib') if n in sys.modules])"
    )
    assert python(code).strip() == "[]"


def test_lab_without_torch_says_what_to_install() -> None:
    code = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "from fgrpo.cli import main\n"
        "sys.argv = ['fgrpo', 'run']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install '.[lab]' in the folder of fgrpo's source")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "missing", "said"),
    [
        ("fgrpo.objective", "torch", "fgrpo.objective needs PyTorch: pip install '.[lab]'"),
        ("fgrpo.integrations.trl", "transformers", "needs TRL, and transformers is not there: pip"),
        ("fgrpo.integrations.trl", "numpy", "No module named 'numpy'"),
    ],
)
def test_without_its_extra_a_module_says_what_to_install(
    module: str, missing: str, said: str
) -> None:
    code = (
        "import sys\n"
        "class Away:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {missing!r}:\n"
        '            raise ModuleNotFoundError(f"No module named {name!r}", name=name)\n'
        "sys.meta_path.insert(0, Away())\n"
        "try:\n"
        f"    import {module}\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name, error)"
    )
    told = python(code)
    assert told.startswith(f"{missing} ")
    assert said in told
