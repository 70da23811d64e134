"""Environments for ``fgrpo doctor`` to look at."""

import pytest
from doctor_environment import Environment


@pytest.fixture
def bare(tmp_path):
    """The core, and nothing else."""
    return Environment(tmp_path)


@pytest.fixture
def lab(bare):
    bare.add_part("lab")
    return bare
