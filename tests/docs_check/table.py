"""What ran and what did not, page by page."""

from .blocks import name_of
from .notes import Step
from .run import Ran


def table(ran: list[Ran], *, installed: bool) -> str:
    """Print a line for each page, and one for each command that did not run, with the reason."""
    head = f"{'page':<34}{'blocks':>7}{'run':>5}{'in part':>9}{'changed':>9}{'seconds':>9}"
    lines = [head]
    for one in ran:
        whole = [step for step in one.steps if not step.empty and not step.left_out]
        part = [step for step in one.steps if not step.empty and step.left_out]
        changed = sum(step.changed for step in one.steps)
        lines.append(
            f"{name_of(one.page):<34}{len(one.steps):>7}{len(whole):>5}{len(part):>9}"
            f"{changed:>9}{one.seconds:>9.0f}"
        )
        lines += [
            f"    not run, line {step.block.line}: {_first_line(command)}\n        {reason}"
            for step in one.steps
            for command, reason in step.left_out + _installation(step, installed)
        ]
    return "\n".join(lines)


def _installation(step: Step, installed: bool) -> list[tuple[str, str]]:
    if installed:
        return []
    return [(command, "installation: `make docs-check` runs it") for command in step.installs]


def _first_line(command: str) -> str:
    first, *more = command.splitlines()
    return f"{first[:70]} …" if more or len(first) > 70 else first
