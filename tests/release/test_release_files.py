"""The wheel and the sdist hold what they should and nothing else, the same bytes wherever made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from release_archives import LITTER, ROOT, Built, build, copy_tree

pytestmark = [pytest.mark.xdist_group("release"), pytest.mark.slow]

IN_WHEEL = {
    "fgrpo/py.typed",
    "fgrpo/diagnose/template.html",
    "fgrpo/plan/template.html",
    "fgrpo/presentation/page.css",
    "fgrpo/presentation/parts.html",
    "fgrpo/recipes/maze-small.yaml",
    "fgrpo/recipes/simulate/figure-2.yaml",
    "fgrpo/recipes/trl/quickstart.yaml",
    "fgrpo/recipes/verl/parts/method/clipped.yaml",
    "fgrpo/recipes/verl/parts/model/qwen2.5-7b.yaml",
    "fgrpo/recipes/verl/qwen2.5-7b-f-grpo.yaml",
    "fgrpo/report/template.html",
    "fgrpo/simulation/template.html",
}
IN_SDIST = {
    *(".ci/run", "CHANGELOG.md", "LICENSE", "Makefile", "PKG-INFO", "README.md", "SECURITY.md"),
    *("constraints-verl.txt", "constraints.txt", "pyproject.toml"),
    *("benchmarks/README.md", "docs/evaluate.md", "docs/images/pass_at_k.png"),
    *("src/fgrpo/py.typed", "tests/conftest.py", "tools/release_check.py"),
}


def test_wheel_holds_the_package_and_its_metadata(built: Built) -> None:
    source = ROOT / "src"
    expected = {
        str(path.relative_to(source))
        for path in (source / "fgrpo").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc")
    }
    packaged = {name for name in built.in_wheel if name.startswith("fgrpo/")}
    assert packaged == expected
    assert packaged >= IN_WHEEL
    folder = built.wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info/"
    metadata = {name.removeprefix(folder) for name in built.in_wheel - packaged}
    assert metadata == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_sdist_holds_what_git_tracks(built: Built) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git repository: nothing to compare with")
    tracked = _git("--cached")
    here = {name for name in tracked if (ROOT / name).exists()}
    assert here - built.in_sdist == set(), "name them in pyproject.toml, tool.hatch…sdist"
    known = here | _git("--others", "--exclude-standard")  # not committed yet
    assert built.in_sdist - known == {"PKG-INFO"}


def test_sdist_holds_what_a_developer_needs(built: Built) -> None:
    assert built.in_sdist >= IN_SDIST


def test_litter_stays_out(built: Built) -> None:
    litter = {*LITTER, *(name.removeprefix("src/") for name in LITTER)}
    assert (built.in_sdist | built.in_wheel) & litter == set()


def test_the_same_bytes_elsewhere(built: Built, tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "another folder", built.tree)
    for path in tree.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)  # as under umask 077
    # Straight from the tree, where the other wheel was made from the sdist.
    build(tree, tmp_path / "out", "--wheel", "--sdist")
    for archive in (built.wheel, built.sdist):
        assert (tmp_path / "out" / archive.name).read_bytes() == archive.read_bytes(), archive.name


def _git(*options: str) -> set[str]:
    done = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(filter(None, done.stdout.split("\0")))
