"""CONTRIBUTING.md."""

NOT_RUN = {
    r"^make setup": "the environment this may run in",
    r"^make test": "CI runs it beside this",
}
