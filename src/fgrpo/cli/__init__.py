"""The command line: one file per subcommand, heavy imports inside the commands."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import typer
from typer.core import TyperGroup

from fgrpo import __version__
from fgrpo.cli import (
    compare,
    data,
    doctor,
    evaluate,
    import_records,
    plan,
    rare_nll,
    reproduce,
    run,
    simulate,
    train,
)
from fgrpo.cli.many_values import ManyNumbers, ManyValues
from fgrpo.cli.ray_option import WithRay
from fgrpo.errors import RunError, UsageError

_FIRST_RANK_SECONDS = 5.0  # for rank 0 to say what all ranks met, and for its launcher to end them


class Commands(TyperGroup):
    """The commands; what they raise reaches `main`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except EOFError as error:  # which would pass for the end of what a user types: "Aborted."
            raise RunError(
                f"a file is empty or ends too early ({error}); run again with --debug to see which"
            ) from error


app = typer.Typer(
    name="fgrpo",
    cls=Commands,
    help="Keep the rare right answers when training with verifiable rewards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # so that paragraphs of help flow
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_print_version
    ),
    debug: bool = typer.Option(False, "--debug", help="On failure print the traceback."),
) -> None:
    """Keep the rare right answers when training with verifiable rewards."""


app.command("run", cls=WithRay)(run.run)
app.command("train", context_settings=train.SETTINGS)(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare", cls=ManyNumbers)(compare.compare)
app.command("rare-nll")(rare_nll.rare_nll)
app.add_typer(data.app, name="data")
app.command("import")(import_records.import_records)
app.command("plan", cls=ManyValues)(plan.plan)
app.command("simulate", cls=ManyValues)(simulate.simulate)
app.command("reproduce", cls=ManyValues)(reproduce.reproduce)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line: exit code 2 for bad usage, 1 for failed work."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"])
    except Exception as error:
        if debug:
            raise
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(_FIRST_RANK_SECONDS)
        print(f"fgrpo: {_one_line(error)}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def _one_line(error: Exception) -> str:
    """Say what went wrong; programming errors also say how to see where."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    if isinstance(error, (ValueError, RuntimeError)):
        return text
    return f"{type(error).__name__}: {text} (run again with --debug for the traceback)"
