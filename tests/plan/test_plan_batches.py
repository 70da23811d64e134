"""Verdicts on batches: by hand, against TRL's own configuration, and of everything suggested."""

import re
from dataclasses import astuple, fields, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trl import GRPOConfig

from fgrpo.errors import UsageError
from fgrpo.plan.batches import TrlBatch, VerlBatch, check, nearest

SIZES = st.integers(1, 40)
TRL = st.builds(
    TrlBatch,
    group_size=SIZES,
    per_device=SIZES,
    processes=st.integers(1, 12),
    accumulation=SIZES,
    steps_per_generation=st.none() | SIZES,
    iterations=st.integers(1, 3),
)
VERL = st.builds(
    VerlBatch,
    train_batch=st.integers(1, 80),
    group_size=st.integers(1, 20),
    mini_batch=st.integers(1, 80),
    gpus_per_node=st.integers(1, 9),
    nodes=st.integers(1, 3),
    micro_batch=st.none() | SIZES,
    log_prob_micro_batch=st.none() | SIZES,
    dynamic=st.booleans(),
    epochs=st.integers(1, 2),
)
# Settings that miss by little, where changing one of them helps.
NEARLY = st.builds(
    lambda mini, minis, more, *rest: VerlBatch(mini * minis + more, rest[0], mini, *rest[1:]),
    st.integers(1, 12),
    st.integers(1, 4),
    st.sampled_from([0, 0, 0, 1, 2]),
    st.integers(2, 9),
    st.integers(1, 4),
    st.just(1),
    st.integers(1, 3),
    st.integers(1, 9),
)
MICRO = "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu"
LOG_PROB = "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu"


def changes(batch):
    """What each suggestion changes, as {field: value}, in their order."""
    return [
        {
            field.name: getattr(other.batch, field.name)
            for field in fields(batch)
            if getattr(other.batch, field.name) != getattr(batch, field.name)
        }
        for other in check(batch).suggestions
    ]


# TRL


def test_a_valid_batch_of_trl():
    # 8 processes of 4, twice: 64 completions in groups of 16 are 4 prompts, one update.
    result = check(TrlBatch(16, per_device=4, processes=8, accumulation=2))
    assert (result.valid, result.problems, result.notes, result.suggestions) == (True, (), (), ())
    assert astuple(result.facts) == (16, 4, 64, 4, 64, 1, 0)


@pytest.mark.parametrize(
    ("batch", "facts"),
    [
        # 2 × 3 × 8 = 48 completions, 6 prompts; an update has 2 × 3 × 2 = 12, a group and a half;
        # 8 batches used twice, two to an update.
        (TrlBatch(8, 2, 3, 2, 8, 2), (8, 6, 48, 1.5, 12, 8, 0)),
        # An update of 3 generations of one group.
        (TrlBatch(4, 4, 1, 3, 1), (4, 1, 4, 3, 12, 1 / 3, 0)),
    ],
)
def test_steps_and_updates_of_trl(batch, facts):
    assert astuple(check(batch).facts) == facts
    assert check(batch).facts.updates_per_step == batch.updates_per_generation


def test_whole_facts_are_integers():
    facts = check(TrlBatch(16, per_device=4, processes=8, accumulation=2)).facts
    assert {type(value) for value in astuple(facts)} == {int}


def test_an_invalid_batch_of_trl():
    result = check(TrlBatch(7, per_device=4, processes=8, accumulation=2))
    assert not result.valid
    assert result.facts is None
    assert result.problems == (
        "num_generations=7 does not divide the 64 completions of a generation "
        "(4 per device × 8 processes × 2 steps per generation)",
    )
    assert [each.change for each in result.suggestions] == [
        "num_generations=8 instead of 7: still 64 rollouts a step",
        "num_generations=4 instead of 7: still 64 rollouts a step",
        "per_device_train_batch_size=7 instead of 4: 112 rollouts a step, not 64",
        "gradient_accumulation_steps=7 instead of 2: 224 rollouts a step, not 64",
    ]
    assert astuple(result.suggestions[1].facts) == (4, 16, 64, 16, 64, 1, 0)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (TrlBatch(16, 3), [{"group_size": 3}, {"per_device": 16}, {"accumulation": 16}]),
        # Below and above: of 35 completions, groups of 7 or all; 6 or 8 steps of 5 fill tens.
        (
            TrlBatch(10, 5, 1, 7),
            [{"group_size": 7}, {"group_size": 35}, {"accumulation": 6}, {"accumulation": 8}],
        ),
        # Steps that were given are what is changed, not what an update accumulates.
        (
            TrlBatch(8, 2, 3, 4, 3),
            [{"group_size": 9}, {"group_size": 6}, {"steps_per_generation": 4}, {"per_device": 8}],
        ),
        # A group of one has to grow, and one completion holds no group.
        (
            TrlBatch(1, 1),
            [{"group_size": 2, "accumulation": 2}, {"group_size": 2, "per_device": 2}],
        ),
        (
            TrlBatch(1, 7),
            [{"group_size": 7}],  # a group of 2 and another batch change more, for nothing
        ),
    ],
    ids=str,
)
def test_what_is_nearest_for_trl(batch, expected):
    assert changes(batch) == expected


def test_fewer_suggestions_are_the_first_ones():
    batch = TrlBatch(7, per_device=4, processes=8, accumulation=2)
    assert nearest(batch, 2) == check(batch).suggestions[:2]


def accepted(monkeypatch, batch):
    """Whether TRL's configuration accepts it, on so many processes."""
    monkeypatch.setattr(GRPOConfig, "world_size", property(lambda _: batch.processes))
    try:
        config = GRPOConfig(
            output_dir="unused",
            report_to="none",
            use_cpu=True,
            bf16=False,
            num_generations=batch.group_size,
            per_device_train_batch_size=batch.per_device,
            gradient_accumulation_steps=batch.accumulation,
            steps_per_generation=batch.steps_per_generation,
            num_iterations=batch.iterations,
        )
    except ValueError as error:
        if "num_generations" in str(error) or "2 generations" in str(error):
            return False
        raise
    assert config.generation_batch_size == batch.completions
    assert config.steps_per_generation == batch.steps
    return True


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning")
def test_the_verdict_is_that_of_trl(monkeypatch):
    verdicts = []
    for size, device, processes, accumulation, steps in product(
        (1, 2, 3, 4, 6, 7), (1, 2, 3), (1, 2, 3), (1, 2), (None, 1, 3, 4)
    ):
        batch = TrlBatch(size, device, processes, accumulation, steps)
        assert check(batch).valid == accepted(monkeypatch, batch), batch
        verdicts.append(check(batch).valid)
        # Everything suggested as well, so that TRL has the last word on it.
        for other in check(batch).suggestions[: 2 if size == 7 else 0]:
            assert accepted(monkeypatch, other.batch), other
    assert 100 < sum(verdicts) < len(verdicts) - 100


# verl


def test_a_valid_batch_of_verl():
    # The paper's: 256 prompts × 8 rollouts, updates of 64 prompts.
    result = check(VerlBatch(256, 8, 64, gpus_per_node=8, nodes=2, dynamic=True))
    assert (result.valid, result.problems, result.notes, result.suggestions) == (True, (), (), ())
    assert astuple(result.facts) == (8, 256, 2048, 64, 512, 4, 0)


def test_an_epoch_more_doubles_the_updates():
    assert check(VerlBatch(256, 8, 64, dynamic=True, epochs=2)).facts.updates_per_step == 8


def test_padding_is_told():
    # 2 updates of 64 × 8 = 512 have room for 1,024.
    result = check(VerlBatch(100, 8, 64, dynamic=True))
    assert result.valid
    assert result.facts.padding == 224
    assert result.facts.updates_per_step == 2
    (note,) = result.notes
    assert "adds 224 empty rollouts to the 800 of a step" in note


@pytest.mark.parametrize(
    ("batch", "problems"),
    [
        (VerlBatch(6, 2, 4, 8, dynamic=True), ()),  # 12 rollouts, filled up to 16
        (
            VerlBatch(6, 2, 4, 8, micro_batch=1, log_prob_micro_batch=1),
            ("the 12 rollouts of a step .* do not divide among 8 GPUs",),
        ),
        (
            VerlBatch(256, 8, 64, 3, 2, dynamic=True),
            (r"the 512 rollouts of an update .* among 6 GPUs \(2 nodes × 3\)",),
        ),
        (
            VerlBatch(32, 8, 64, 8, micro_batch=4, log_prob_micro_batch=8),
            ("ppo_mini_batch_size=64 is more than data.train_batch_size=32",),
        ),
        (VerlBatch(32, 8, 64, 8, dynamic=True), ()),
        (VerlBatch(256, 1, 64, dynamic=True), ("rollout.n=1: a group needs at least 2",)),
        (VerlBatch(256, 8, 64), (f"{MICRO} is not set", f"{LOG_PROB} is not set")),
        (VerlBatch(256, 8, 64, micro_batch=64, log_prob_micro_batch=256), ()),
        (
            VerlBatch(256, 8, 64, micro_batch=128, log_prob_micro_batch=512),
            (
                f"{MICRO}=128 does not divide the 64 rollouts of an update",
                f"{LOG_PROB}=512 does not divide the 256 rollouts of a step",
            ),
        ),
        # What a GPU takes the log-probabilities of is padded: 128 rollouts, not 100.
        (VerlBatch(100, 8, 64, micro_batch=64, log_prob_micro_batch=128), ()),
        (
            VerlBatch(100, 8, 64, micro_batch=64, log_prob_micro_batch=100),
            (f"{LOG_PROB}=100 does not divide the 128",),
        ),
        (VerlBatch(256, 8, 64, micro_batch=3, log_prob_micro_batch=7, dynamic=True), ()),
    ],
    ids=str,
)
def test_problems_of_verl(batch, problems):
    found = check(batch).problems
    assert len(found) == len(problems)
    for text, pattern in zip(found, problems, strict=True):
        assert re.search(pattern, text)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (
            VerlBatch(256, 8, 64, 6, dynamic=True),
            [
                {"train_batch": 252, "mini_batch": 63},
                {"train_batch": 264, "mini_batch": 66},
                {"group_size": 9},
                {"group_size": 6},
            ],
        ),
        (
            VerlBatch(32, 8, 64, 8, micro_batch=4, log_prob_micro_batch=8),
            [{"mini_batch": 32}, {"train_batch": 64}],
        ),
        # From 8 GPUs to 16, with what fitted the 32 rollouts of each: now it is 16.
        (
            VerlBatch(128, 4, 64, 8, 2, micro_batch=32, log_prob_micro_batch=32),
            [{"micro_batch": 16}, {"mini_batch": 128}, {"group_size": 8}],
        ),
        (
            VerlBatch(256, 8, 64),
            [{"dynamic": True}, {"micro_batch": 1, "log_prob_micro_batch": 1}],
        ),
        # Two at once.
        (
            VerlBatch(4, 2, 5, 16, micro_batch=1, log_prob_micro_batch=1),
            [{"train_batch": 8, "mini_batch": 8}],
        ),
        (VerlBatch(256, 1, 64, dynamic=True), [{"group_size": 2}]),
    ],
    ids=str,
)
def test_what_is_nearest_for_verl(batch, expected):
    assert changes(batch) == expected


def test_one_large_change_comes_before_two_small_ones():
    # 28 rollouts of an update on a GPU, 56 of a step with padding; none of them in fifteens.
    batch = VerlBatch(45, 8, 28, 8, micro_batch=15, log_prob_micro_batch=15)
    assert changes(batch)[:3] == [
        {"mini_batch": 15},
        {"mini_batch": 45},
        {"micro_batch": 14, "log_prob_micro_batch": 14},
    ]


def test_changes_are_said_in_verls_names():
    said = check(VerlBatch(256, 8, 64)).suggestions
    assert [each.change for each in said] == [
        "actor_rollout_ref.actor.use_dynamic_bsz=true: still 2048 rollouts a step",
        f"{MICRO}=1 (was not set) and {LOG_PROB}=1 (was not set): still 2048 rollouts a step",
    ]
    said = check(VerlBatch(256, 8, 64, 6, dynamic=True)).suggestions
    assert said[0].change == (
        "data.train_batch_size=252 instead of 256 and "
        "actor_rollout_ref.actor.ppo_mini_batch_size=63 instead of 64: "
        "2016 rollouts a step, not 2048"
    )


@pytest.mark.parametrize(
    ("batch", "padding"),
    [
        # It pads already, and only a micro batch is wrong: that alone is changed.
        (VerlBatch(100, 8, 64, micro_batch=4, log_prob_micro_batch=3), 224),
        # A batch smaller than one update is no reason to pad.
        (VerlBatch(30, 8, 64, 8, micro_batch=4, log_prob_micro_batch=8), 0),
    ],
)
def test_padding_that_was_asked_for_is_kept(batch, padding):
    first, *_ = check(batch).suggestions
    assert first.facts.padding == padding
    assert first.facts.rollouts_per_step == batch.rollouts


# Both


@settings(max_examples=400, deadline=None)
@given(TRL | VERL)
def test_suggestions_are_valid_few_and_ordered(batch):
    result = check(batch)
    assert result.valid == (result.problems == ()) == (result.facts is not None)
    if result.valid:
        assert result.suggestions == nearest(batch) == ()
        return
    assert 1 <= len(result.suggestions) <= 4
    assert len({each.batch for each in result.suggestions}) == len(result.suggestions)
    distances = []
    for each in result.suggestions:
        verdict = check(each.batch)
        assert verdict.valid
        assert verdict.facts == each.facts
        distances.append(abs(each.facts.rollouts_per_step - batch.rollouts))
    assert distances == sorted(distances)
    for each in changes(batch):
        assert each
        # The machines, and how often rollouts are used, are not ours to change.
        assert not each.keys() & {"processes", "iterations", "nodes", "gpus_per_node", "epochs"}


@settings(max_examples=300, deadline=None)
@given(VERL)
def test_no_suggestion_begins_to_pad(batch):
    if batch.train_batch % batch.mini_batch == 0 or batch.train_batch < batch.mini_batch:
        assert all(each.facts.padding == 0 for each in check(batch).suggestions)


@settings(max_examples=300, deadline=None)
@given(TRL)
def test_no_group_size_of_trl_is_nearer(batch):
    """Search all of them: what fits between the asked size and a suggested one?"""
    for change in changes(batch):
        if list(change) == ["group_size"]:
            low, high = sorted((batch.group_size, change["group_size"]))
            for size in range(max(low + 1, 2), high):
                assert not check(replace(batch, group_size=size)).valid


@pytest.mark.slow
@settings(max_examples=800, deadline=None)
@given(NEARLY | VERL, st.sampled_from(["group_size", "train_batch", "mini_batch"]))
def test_the_nearest_single_changes_are_found_for_verl(batch, field):
    """Search one setting up to twice its value, and see that the nearest valid ones are found."""
    pads = batch.padding > 0 and batch.train_batch > batch.mini_batch
    if check(batch).valid or (pads and field != "group_size"):
        return  # what pads already may do so in more ways than are suggested
    asked = getattr(batch, field)
    valid = []
    for size in range(1, 2 * asked + 1):
        other = replace(batch, **{field: size})
        if check(other).valid and (pads or other.padding == 0):
            valid.append(size)
    ours = [
        getattr(each.batch, field)
        for each in nearest(batch, most=10**6)
        if each.batch == replace(batch, **{field: getattr(each.batch, field)})
    ]
    assert {*[size for size in valid if size < asked][-1:]} <= set(ours)
    assert {*[size for size in valid if size > asked][:1]} <= set(ours)


@pytest.mark.parametrize("value", [0, -3, 2.5, 2.0, "4", True, None])
@pytest.mark.parametrize(
    ("kind", "field", "option"),
    [
        (TrlBatch, "group_size", "num_generations"),
        (TrlBatch, "per_device", "per_device_train_batch_size"),
        (TrlBatch, "processes", "processes"),
        (TrlBatch, "accumulation", "gradient_accumulation_steps"),
        (TrlBatch, "steps_per_generation", "steps_per_generation"),
        (TrlBatch, "iterations", "num_iterations"),
        (VerlBatch, "train_batch", "data.train_batch_size"),
        (VerlBatch, "group_size", "actor_rollout_ref.rollout.n"),
        (VerlBatch, "mini_batch", "actor_rollout_ref.actor.ppo_mini_batch_size"),
        (VerlBatch, "gpus_per_node", "trainer.n_gpus_per_node"),
        (VerlBatch, "nodes", "trainer.nnodes"),
        (VerlBatch, "micro_batch", MICRO),
        (VerlBatch, "log_prob_micro_batch", LOG_PROB),
        (VerlBatch, "epochs", "actor_rollout_ref.actor.ppo_epochs"),
    ],
)
def test_what_is_no_count_is_refused(kind, field, option, value):
    least = {TrlBatch: {"group_size": 4, "per_device": 4}, VerlBatch: {}}[kind]
    if kind is VerlBatch:
        least = {"train_batch": 8, "group_size": 8, "mini_batch": 8, "dynamic": True}
    if value is None and field in ("steps_per_generation", "micro_batch", "log_prob_micro_batch"):
        assert check(kind(**{**least, field: None})).valid
        return
    with pytest.raises(UsageError, match=rf"^{option}={value}: .*at least [12]"):
        kind(**{**least, field: value})


def test_dynamic_is_a_switch():
    with pytest.raises(UsageError, match="use_dynamic_bsz=1: take true or false"):
        VerlBatch(8, 8, 8, dynamic=1)
