"""Execute the example notebook; as a program, also store what its cells print and draw.

``python tests/examples/run_notebook.py`` renews the outputs after a change.
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

NOTEBOOK = Path(__file__).parents[2] / "examples" / "diagnose_a_run.ipynb"


def stored():
    """Return the notebook as it is committed."""
    return nbformat.read(NOTEBOOK, as_version=4)


def executed():
    """Return the notebook with new outputs; cells run in its own folder, as in Jupyter."""
    notebook = stored()
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    with tempfile.TemporaryDirectory() as folder:
        # Sockets in a folder: the kernel warns of ports, which other users of a machine can reach.
        sockets = Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})
        client = NotebookClient(
            notebook, config=sockets, timeout=120, resources=where, record_timing=False
        )
        # Where a backend is set, as in the tests, figures of pyplot would not be shown.
        client.execute(env={key: os.environ[key] for key in os.environ if key != "MPLBACKEND"})
    notebook.metadata["language_info"] = {"name": "python"}  # without this Python's version
    return notebook


def printed(cell):
    """Return what a cell printed."""
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


if __name__ == "__main__":
    nbformat.write(executed(), NOTEBOOK)
