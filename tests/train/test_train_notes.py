"""The note of how a model was made."""

import json

import pytest

from fgrpo.errors import UsageError
from fgrpo.train.notes import check_same, masked, note


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("fgrpo train --hub_token hf_x --seed 1", "fgrpo train --hub_token *** --seed 1"),
        ("fgrpo train --hub-token=hf_x", "fgrpo train --hub-token=***"),
        ("fgrpo train --max_prompt_tokens 5", "fgrpo train --max_prompt_tokens 5"),
    ],
)
def test_tokens_are_not_written_down(command, kept):
    assert masked(command) == kept


def test_every_start_is_kept_and_the_last_is_compared(tmp_path):
    check_same(tmp_path, {"focal_gamma": 1.0})
    note(tmp_path, {"settings": {"focal_gamma": 0.0, "max_steps": 1}})
    note(tmp_path, {"settings": {"focal_gamma": 1.0, "max_steps": 1}})
    check_same(tmp_path, {"focal_gamma": 1.0, "max_steps": 2})
    with pytest.raises(UsageError, match=r"focal_gamma 1.0, now 0.5"):
        check_same(tmp_path, {"focal_gamma": 0.5})
    starts = json.loads((tmp_path / "train.json").read_text())
    assert [start["settings"]["focal_gamma"] for start in starts] == [0.0, 1.0]


def test_a_damaged_note_is_set_aside(tmp_path):
    (tmp_path / "train.json").write_text('{"a": 1}')
    note(tmp_path, {"settings": {}})
    assert json.loads((tmp_path / "train.json").read_text()) == [{"settings": {}}]
    assert (tmp_path / "train.damaged.json").read_text() == '{"a": 1}'
