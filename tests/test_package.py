"""The wheel holds what users need, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_wheel_contents(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
    subprocess.run([*map(str, build), str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("fgrpo-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    source = ROOT / "src"
    expected = {
        str(path.relative_to(source))
        for path in (source / "fgrpo").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packaged = {name for name in names if name.startswith("fgrpo/")}
    assert packaged == expected
    pages = {"fgrpo/presentation/page.css", "fgrpo/report/template.html"}
    assert {"fgrpo/py.typed", *pages} <= packaged
    assert "fgrpo/recipes/maze-small.yaml" in packaged
    assert {name.split("/")[0] for name in names - packaged} == {"fgrpo-0.1.0.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    core = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    needed = {line.split()[1].partition(">")[0] for line in core if "extra ==" not in line}
    assert needed == {
        "numpy",
        "packaging",
        "scipy",
        "pydantic",
        "pyyaml",
        "typer",
        "rich",
        "matplotlib",
        "jinja2",
    }
