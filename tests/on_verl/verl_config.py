"""Configurations as verl composes them for a run."""

from functools import cache
from pathlib import Path

import verl
from hydra import compose, initialize_config_dir

_FOLDER = Path(verl.__file__).parent / "trainer" / "config"


@cache
def _composed(*overrides):
    with initialize_config_dir(str(_FOLDER), version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


def composed(*overrides):
    """Return what ``python -m verl.trainer.main_ppo`` makes of these overrides."""
    return _composed(*overrides).copy()
