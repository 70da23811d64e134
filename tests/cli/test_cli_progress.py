"""What progress looks like where there is no terminal."""

import io

from rich.console import Console

from fgrpo.cli.progress import ProgressDisplay


def test_plain_lines_without_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with ProgressDisplay(console) as display:
        display.announce({"a": 4, "b": 4})
        display.show("a", 1, "reward 0.10")  # too soon for a line of its own
        display.show("a", 4, "reward 0.50")
        display.show("b", 4, "")
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "2 jobs: a, b"
    assert lines[1].startswith("a: 4/4 reward 0.50 (4/8 in all, about ")
    assert lines[2].startswith("b: 4/4")
    assert len(lines) == 3
    assert "\x1b" not in console.file.getvalue()


def test_stages_one_after_another():
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with ProgressDisplay(console) as display:
        for what, total in (("base", 2), ("base", 3), ("trained", 3)):
            for done in range(1, total + 1):
                display.stage(what, done, total)
    assert console.file.getvalue().splitlines() == ["base: 2/2", "base: 3/3", "trained: 3/3"]
