"""The server of the tests that train in processes of their own."""

import pytest
from trl_job import start_server


@pytest.fixture(scope="session")
def trl_jobs():
    with start_server() as server:
        yield server
