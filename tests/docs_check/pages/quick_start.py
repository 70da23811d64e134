"""docs/quick-start.md, but for the sizes of its mazes as it stands."""

from pathlib import Path

REPLACED = [
    (r"^(fgrpo run maze-small$)", r"\1 {mazes}"),
    (r"^(fgrpo run maze-small --set train.group_size=16 .*)", r"\1 {mazes}"),
]


def prepare():
    from docs_check import small

    return {"mazes": small.MAZES}


def check(names, printed):
    from docs_check.small import require_outputs

    require_outputs("docs/quick-start.md", printed, without={2})  # some columns of a table
    assert Path("comparison/report.html").exists()
    assert Path("runs/n16/report.html").exists()
