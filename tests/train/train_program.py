"""`fgrpo train` and `fgrpo evaluate` as programs of their own, without waiting for their imports.

Runs that must be started as users do use `subprocess`.
"""

import os
from pathlib import Path

import forks

HERE = Path(__file__).parent
NOISE = ("Warning", "warnings.warn", "%|", "it/s", "[transformers]")
PATHS = filter(None, [str(HERE), os.environ.get("PYTHONPATH")])
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(PATHS),  # workers find the test's verifiers
    "PYTHONWARNINGS": "ignore",
    "HF_HUB_OFFLINE": "1",
}


def start_server():
    """Return a server of `fgrpo`, to be used in a ``with`` statement."""
    return forks.fgrpo_server(
        *("datasets", "peft", "reasoning_gym", "torch._dynamo"),
        *("fgrpo.evaluate.samplers.transformers", "fgrpo.train.run"),
        environment=ENVIRONMENT,
    )


def own_lines(text):
    """Lines without the libraries' warnings and bars; one that stands behind a bar is kept."""
    text = text.replace("\x1b[A", "")  # a bar's cursor goes up
    lines = (line.rpartition("]")[2] if "%|" in line else line for line in text.splitlines())
    return [line for line in lines if line.strip() and not any(noise in line for noise in NOISE)]
