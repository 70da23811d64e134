"""The two ways a command can end badly, told apart by exit code."""


class UsageError(ValueError):
    """What was asked for cannot be done as asked: bad option, recipe or input (exit code 2)."""


class RunError(RuntimeError):
    """The work was well specified but failed on the way: corrupt file, full disk (exit code 1)."""
