"""The command line, run in the test's own process."""

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
