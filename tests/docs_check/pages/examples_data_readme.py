"""examples/data/README.md."""

NOT_RUN = {r"^fgrpo run maze-medium": "an hour; docs/maze.md runs it small"}


def check(names, printed):
    from pathlib import Path

    assert len(list(Path("records").rglob("*.jsonl"))) == 16
