"""docs/maze.md, with mazes of 2 × 2 cells."""

from pathlib import Path

REPLACED = [
    (r"^(fgrpo run maze-medium *)(?=#|$)", r"\1 {mazes} --arms '*-n4' "),
    (r"^(fgrpo run maze-medium --workers 4)", r"\1 {mazes} --out runs/four "),
    (r"^(fgrpo run maze-medium --arms .*)", r"\1 {mazes} --out runs/chosen"),
    (r"^(fgrpo run maze-paper) --device cuda (.*)", r"\1 --device cpu \2 {mazes}"),
]
NOT_RUN = {
    r"maze_paper_gpu.sh": "tests/test_maze_paper_slice.py runs it, many times over",
    r"--ray ": "a Ray cluster: tests/lab/test_lab_ray.py makes one",
}


def prepare():
    from docs_check import small

    return {"mazes": small.MAZES}


def check(names, printed):
    assert Path("runs/maze-medium/report.html").exists()
    assert len(list(Path("runs/four/arms").iterdir())) == 12
    chosen = {path.name for path in Path("runs/chosen/arms").iterdir()}
    assert chosen == {f"grpo-n{n}" for n in (4, 8, 16, 32)} | {"f-grpo-0.5-n8", "f-grpo-1-n8"}
    assert Path("runs/maze-paper/report.html").exists()
