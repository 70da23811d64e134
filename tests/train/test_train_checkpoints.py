"""A checkpoint that cannot be gone on from is refused by name."""

import re

import pytest

from fgrpo.errors import RunError
from fgrpo.train.checkpoints import checkpoint_for


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / "trainer_state.json").write_text('{"global_step": 3}')
    for name in ("optimizer.pt", "scheduler.pt", "model.safetensors"):
        (folder / name).write_bytes(b"something")
    (folder / "merges.txt").write_bytes(b"")  # some tokenizers have none
    return tmp_path


def test_a_whole_checkpoint_is_taken(output):
    last = str(output / "checkpoint-3")
    assert checkpoint_for("true", output) == last
    assert checkpoint_for(last, output) == last


@pytest.mark.parametrize("name", ["optimizer.pt", "model.safetensors"])
def test_a_checkpoint_with_an_empty_file_is_refused(output, name):
    last = output / "checkpoint-3"
    (last / name).write_bytes(b"")
    for asked in ("true", str(last)):
        with pytest.raises(RunError, match=rf"^{re.escape(str(last / name))}: empty"):
            checkpoint_for(asked, output)
