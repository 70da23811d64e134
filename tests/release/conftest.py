"""The wheel and the sdist, built once for all tests from a copy of the tree with litter in it."""

import tarfile
import zipfile

import pytest
from release_archives import LITTER, Built, build, copy_tree


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the sdist, and the wheel from it."""
    clean = copy_tree(tmp_path_factory.mktemp("release") / "clean")
    tree = copy_tree(clean.with_name("worked in"), clean)
    for name in LITTER:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("litter\n")
    out = tree.with_name("out")
    build(tree, out)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = frozenset(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = frozenset(name.partition("/")[2] for name in archive.getnames())
    return Built(clean, wheel, sdist, in_wheel, in_sdist)
