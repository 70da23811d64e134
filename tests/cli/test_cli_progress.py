"""What progress looks like, on a terminal and where there is none."""

import io
import re
from types import SimpleNamespace

from rich.console import Console

from fgrpo.cli import progress
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


def test_on_a_terminal_resumed_work_is_not_taken_for_speed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console = Console(file=io.StringIO(), force_terminal=True, width=120)

    def left():
        """Return the time left of every bar, by the last picture."""
        display._bars.refresh()
        # Back to where the last picture began, and to its colours.
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\r", "\n", console.file.getvalue())
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        return dict(re.findall(r"^(2 jobs|a|b) .* left (\S+)", text, re.MULTILINE))

    with ProgressDisplay(console) as display:
        display.announce({"a": 100, "b": 100})
        display.show("a", 50)
        display.show("b", 90)
        assert left() == {"2 jobs": "-:--:--", "a": "-:--:--", "b": "-:--:--"}
        now[0] = 10
        display.show("a", 55)
        # 5 in 10 s: 45 of its own are left, and 55 in all.
        assert left() == {"2 jobs": "0:01:50", "a": "0:01:30", "b": "-:--:--"}
        now[0] = 12
        assert left() == {"2 jobs": "0:01:48", "a": "0:01:28", "b": "-:--:--"}
        display.show("b", 95)
        # 10 in 12 s, and b alone 5 in 12 s.
        assert left() == {"2 jobs": "0:01:00", "a": "0:01:28", "b": "0:00:12"}
        display.show("b", 100)
        display.show("a", 100)
        assert left()["2 jobs"] == "0:00:00"


def test_stages_one_after_another():
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with ProgressDisplay(console) as display:
        for what, total in (("base", 2), ("base", 3), ("trained", 3)):
            for done in range(1, total + 1):
                display.stage(what, done, total)
    assert console.file.getvalue().splitlines() == ["base: 2/2", "base: 3/3", "trained: 3/3"]
