"""examples/README.md."""

REPLACED = [(r"--model FOLDER", "--model tiny-model")]
NOT_RUN = {
    r"trl_quickstart.py$": "a model of the hub, and a GPU; the line below it runs",
    r"run_notebook.py": "tests/examples/test_examples_notebook.py executes the notebook",
}


def prepare():
    from docs_check import small

    small.model("tiny-model")


def check(names, printed):
    from docs_check.small import require_outputs

    require_outputs("examples/README.md", printed)
