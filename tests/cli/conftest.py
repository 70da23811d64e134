"""The command line, run in the test's own process."""

from pathlib import Path

import pytest

from fgrpo.cli import main


@pytest.fixture
def command_line(monkeypatch, capsys):
    """Run it; return exit code, standard output and error."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["fgrpo", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


class Written:
    """Stands in for the writer, which draws figures for a second or two."""

    def __init__(self):
        self.plan = self.batch = self.made_by = self.folder = None

    def __call__(self, plan, folder, *, made_by, batch):
        self.plan, self.folder, self.made_by, self.batch = plan, folder, made_by, batch
        return Path(folder) / "report.html"


@pytest.fixture
def written(monkeypatch):
    """Keep what ``fgrpo plan`` would write."""
    found = Written()
    monkeypatch.setattr("fgrpo.plan.write.write_plan", found)
    return found


@pytest.fixture
def planned(command_line, written, monkeypatch):
    """Run ``fgrpo plan``; return what it said, lines and columns kept."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        code, out, err = command_line("plan", *arguments)
        assert code == 0, err
        assert err == ""
        return out

    return run
