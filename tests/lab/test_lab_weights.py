from __future__ import annotations

import copy
import errno
import json
import os
import resource
from contextlib import contextmanager

import pytest
import torch

from fgrpo.errors import RunError
from fgrpo.lab.settings import TrainSettings
from fgrpo.lab.update import make_optimizer, policy_update
from fgrpo.lab.weights import CONFIG, WEIGHTS, load_model, load_state, save_model, save_state

LABEL = "arm seed 0"


@contextmanager
def no_file_longer_than(limit):
    """Make the system refuse to write past a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def equal_weights(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def one_line(error, path):
    """Check that an error is one line that names the file; return it."""
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


@pytest.fixture
def training(make_model, make_batch):
    """Make a policy after some updates, its optimiser, and a way to go on."""
    settings = TrainSettings(learning_rate=0.01, group_size=5, prompts_per_step=4, minibatches=2)

    class Training:
        def __init__(self, updates=0, seed=2, hidden=16):
            self.model = make_model(seed=seed, hidden=hidden)
            self.optimizer = make_optimizer(self.model, settings)
            self.batch = make_batch(make_model(seed=2))
            self.go_on(0, updates)

        def go_on(self, first, updates):
            for step in range(first, first + updates):
                policy_update(
                    self.model,
                    self.optimizer,
                    *self.batch,
                    settings,
                    step=step,
                    generator=torch.Generator().manual_seed(step),
                )

        def save(self, path, step=3, label=LABEL):
            save_state(path, self.model, self.optimizer, step, label)

        def load(self, path, label=LABEL):
            return load_state(path, self.model, self.optimizer, label)

    return Training


def test_model_round_trip(make_model, tmp_path):
    model = make_model(layers=3, heads=2, kv_heads=1, vocab=9, seed=4)
    save_model(tmp_path / "new" / "m", model, max_positions=64, bos=2, eos=1)
    loaded = load_model(tmp_path / "new" / "m")
    assert loaded.config == model.config
    assert loaded.vocab_size == 9
    assert equal_weights(loaded, model)
    assert sorted(p.name for p in (tmp_path / "new" / "m").iterdir()) == [CONFIG, WEIGHTS]


def test_saving_twice_gives_the_same_bytes(make_model, training, tmp_path):
    state = training(updates=1)
    for folder in ("a", "b"):
        save_model(tmp_path / folder, state.model, max_positions=64, bos=2, eos=1)
        state.save(tmp_path / folder / "state")
    for name in (CONFIG, WEIGHTS, "state"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_state_round_trip_continues_bit_for_bit(training, tmp_path):
    path = tmp_path / "state"
    whole = training(updates=3)
    whole.save(path)
    resumed = training(seed=9)
    assert not equal_weights(whole.model, resumed.model)
    assert resumed.load(path) == 3
    assert equal_weights(whole.model, resumed.model)
    whole.go_on(3, 2)
    resumed.go_on(3, 2)
    assert equal_weights(whole.model, resumed.model)

    # The moments were needed for that.
    forgetful = training(seed=9)
    forgetful.load(path)
    forgetful.optimizer.state.clear()
    forgetful.go_on(3, 2)
    assert not equal_weights(whole.model, forgetful.model)


def test_no_state_is_no_error(training, tmp_path):
    fresh = training()
    before = copy.deepcopy(fresh.model)
    assert fresh.load(tmp_path / "nothing") is None
    assert equal_weights(fresh.model, before)


DAMAGE = {
    "empty": lambda content: b"",
    "torn in the header": lambda content: content[:100],
    "torn in the data": lambda content: content[:-1],
    "garbage": lambda content: bytes(range(256)) * 20,
    "text": lambda content: b"not a state\n",
    "huge header": lambda content: b"\xff" * 8 + content[8:],
    "a byte too many": lambda content: content + b"\0",
    "renamed tensor": lambda content: content.replace(b'"model.', b'"molel.', 1),
    "missing moment": lambda content: content.replace(b"exp_avg_sq", b"exp_avg_sQ", 1),
    "no metadata": lambda content: content.replace(b"__metadata__", b"__metedata__", 1),
    "no step": lambda content: content.replace(b"step", b"stap", 1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_state_is_named_with_the_remedy(damage, training, tmp_path):
    path = tmp_path / "state"
    training(updates=1).save(path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    with pytest.raises(RunError) as error:
        training().load(path)
    assert "delete this file" in one_line(error, path)


def test_a_flipped_bit_in_the_header_never_ends_in_another_error(training, tmp_path):
    path = tmp_path / "state"
    saved = training(updates=1)
    saved.save(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    target, refusals, flips = training(), [], [*range(64), *range(64, 8 * header, 211)]
    for bit in flips:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            target.load(path)
        except RunError as error:
            refusals.append(str(error))
    assert all(text.startswith(f"{path}: ") and "\n" not in text for text in refusals)
    assert len(refusals) > 0.97 * len(flips)


def test_the_state_of_another_training_is_refused(training, tmp_path):
    path = tmp_path / "state"
    training(updates=1).save(path, label="other seed 1")
    with pytest.raises(RunError) as error:
        training().load(path)
    text = one_line(error, path)
    assert "'other seed 1'" in text
    assert f"{LABEL!r}" in text


def test_the_state_of_another_shape_is_refused(training, tmp_path):
    path = tmp_path / "state"
    training(updates=1).save(path)
    with pytest.raises(RunError) as error:
        training(hidden=32).load(path)
    one_line(error, path)


def test_what_an_interrupted_save_left_does_no_harm(training, tmp_path):
    path = tmp_path / "state"
    state = training(updates=1)
    state.save(path, step=1)
    (tmp_path / "state.tmp").write_bytes(b"half a fi")
    assert training().load(path) == 1
    state.save(path, step=2)
    assert training().load(path) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_failed_save_leaves_the_old_file(step, training, tmp_path, monkeypatch):
    path = tmp_path / "state"
    state = training(updates=1)
    state.save(path)
    before = path.read_bytes()
    state.go_on(1, 1)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        with no_file_longer_than(4096), pytest.raises(RunError) as error:
            state.save(path)
    else:
        target = (os, "fsync") if step == "fsync" else (type(path), "replace")
        monkeypatch.setattr(*target, full)
        with pytest.raises(RunError) as error:
            state.save(path)
    assert "could not be written" in one_line(error, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("place", ["missing folder", "folder in the way"])
def test_an_unwritable_state_is_an_error_with_its_name(place, training, tmp_path):
    path = tmp_path / "missing" / "state"
    if place == "folder in the way":
        path = tmp_path / "state"
        path.mkdir()
    with pytest.raises(RunError) as error:
        training(updates=1).save(path)
    assert "could not be written" in one_line(error, path)


def test_a_model_that_cannot_be_written(make_model, tmp_path):
    folder = tmp_path / "m"
    (folder / CONFIG).mkdir(parents=True)
    with pytest.raises(RunError) as error:
        save_model(folder, make_model(), max_positions=64, bos=2, eos=1)
    one_line(error, folder / CONFIG)
    assert not (folder / WEIGHTS).exists()


def test_a_model_folder_that_cannot_be_made(make_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError):
        save_model(tmp_path / "file" / "m", make_model(), max_positions=64, bos=2, eos=1)


def edited(**changes):
    return lambda text: json.dumps({**json.loads(text), **changes})


@pytest.mark.parametrize(
    "damage",
    [
        None,
        lambda text: text[:40],
        lambda text: "{}",
        edited(hidden_size=30),
        edited(hidden_size=32),
        edited(vocab_size=9),
        edited(num_hidden_layers=3),
    ],
    ids=[
        "missing",
        "torn",
        "empty",
        "indivisible",
        "other size",
        "other vocabulary",
        "more layers",
    ],
)
def test_a_damaged_configuration_is_an_error_of_one_line(damage, make_model, tmp_path):
    save_model(tmp_path, make_model(), max_positions=64, bos=2, eos=1)
    config = tmp_path / CONFIG
    if damage is None:
        config.unlink()
    else:
        config.write_text(damage(config.read_text()))
    with pytest.raises(RunError) as error:
        load_model(tmp_path)
    one_line(error, tmp_path)


@pytest.mark.parametrize("text", ["[]", '"text"', "null"])
def test_a_configuration_that_is_no_object(text, make_model, tmp_path):
    save_model(tmp_path, make_model(), max_positions=64, bos=2, eos=1)
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(RunError):
        load_model(tmp_path)


@pytest.mark.parametrize("damage", [None, *list(DAMAGE.values())[:7]])
def test_damaged_weights_are_an_error_of_one_line(damage, make_model, tmp_path):
    save_model(tmp_path, make_model(), max_positions=64, bos=2, eos=1)
    weights = tmp_path / WEIGHTS
    if damage is None:
        weights.unlink()
    else:
        weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(RunError) as error:
        load_model(tmp_path)
    one_line(error, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_theta": 1e4},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "rope_theta": None},
        {"rms_norm_eps": 1e-5},
        {"hidden_act": "gelu"},
        {"model_type": "llama"},
    ],
    ids=["rope_theta", "rope_parameters", "rms_norm_eps", "hidden_act", "model_type"],
)
def test_a_model_this_decoder_would_compute_otherwise_is_refused(changes, make_model, tmp_path):
    save_model(tmp_path, make_model(), max_positions=64, bos=2, eos=1)
    config = tmp_path / CONFIG
    config.write_text(edited(**changes)(config.read_text()))
    with pytest.raises(RunError):
        load_model(tmp_path)
