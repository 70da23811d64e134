"""Tests of the verl integration, which are collected where verl is installed."""

import os
import uuid
from importlib.util import find_spec

import pytest

# Ray reads them when it is imported. Without a token it would leave one in the home folder.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", uuid.uuid4().hex)

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]


@pytest.fixture(autouse=True)
def _forgetful():
    """Let each test begin as a process does: nothing warned of, the version not yet looked at."""
    from fgrpo.integrations.verl import observe, version

    observe._told.clear()
    observe._health.cache_clear()
    version.check_version.cache_clear()
    yield
    version.check_version.cache_clear()


@pytest.fixture
def queue(monkeypatch):
    """verl's transfer queue, in memory."""
    from verl_queue import Queue

    return Queue(monkeypatch)
