"""The arithmetic of batches, against trainings that TRL really makes."""

import pytest
from datasets import Dataset

from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from fgrpo.plan.batches.trl import TrlBatch
from fgrpo.train.arguments import batches_of
from fgrpo.train.batches import require_whole_groups
from tiny_llm import byte_tokenizer, tiny_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning"),
]


def checked(*args, **kwargs):
    return require_whole_groups(TrlBatch(*args, **kwargs))


class Seen:
    """A reward function that keeps what it is called with."""

    def __init__(self):
        self.calls = []
        self.__name__ = "seen"

    def __call__(self, prompts, completions, **_):
        self.calls.append(list(prompts))
        return [0.0] * len(completions)


def trained(folder, n_prompts, **settings):
    """Train a tiny model; return the settings as given, the trainer and what its reward saw."""
    given = FocalGRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        max_completion_length=2,
        **settings,
    )
    batches = batches_of(given)
    reward = Seen()
    trainer = FocalGRPOTrainer(
        model=tiny_model(hidden=16),
        reward_funcs=reward,
        args=given,
        train_dataset=Dataset.from_dict({"prompt": [f"{i}?" for i in range(n_prompts)]}),
        processing_class=byte_tokenizer(),
    )
    trainer.train()
    return batches, trainer, reward


B, A, S, G = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "steps_per_generation",
    "generation_batch_size",
)
N, J, E = "num_generations", "num_iterations", "num_train_epochs"
RUNS = [
    (8, {B: 4, A: 1, N: 4, E: 1}),
    (7, {B: 4, A: 2, N: 4, E: 1}),  # a prompt left over
    (7, {B: 4, A: 2, N: 2, E: 2}),
    (6, {B: 2, A: 2, S: 4, N: 4, E: 1}),  # two updates a generation
    (6, {B: 4, A: 1, N: 4, J: 3, E: 1}),
    (5, {B: 4, A: 3, S: 1, N: 4, E: 1}),  # an update of several generations, the last incomplete
    (5, {B: 4, A: 3, S: 2, N: 4, E: 2}),
    (7, {B: 2, A: 2, G: 8, N: 4, J: 2, E: 1.5}),
    (5, {B: 4, A: 1, N: 4, E: 0.5}),
    (7, {B: 4, A: 2, S: 3, N: 6, E: 0.3}),
    (9, {B: 3, A: 5, G: 6, N: 3, J: 2, E: 1.1}),
]


@pytest.mark.parametrize(("n_prompts", "settings"), RUNS, ids=str)
def test_updates_and_prompts_are_those_of_a_training(tmp_path, n_prompts, settings):
    batches, trainer, reward = trained(tmp_path, n_prompts, **settings)
    assert trainer.state.global_step == trainer.state.max_steps
    assert batches.updates(n_prompts, settings[E]) == trainer.state.global_step
    for call in reward.calls:
        assert len(call) == batches.completions
        assert len(set(call)) == batches.prompts
        assert all(call.count(prompt) == batches.group_size for prompt in call)
    assert batches.completions_per_update == settings[B] * settings[A]


def test_updates_for_each_generation(tmp_path):
    batches, trainer, reward = trained(tmp_path, 8, **{B: 2, A: 2, S: 4, N: 4, J: 2, E: 1})
    assert batches.updates_per_generation == trainer.state.global_step / len(reward.calls) == 4
    batches, trainer, reward = trained(tmp_path, 8, **{B: 4, A: 2, S: 1, N: 4, E: 1})
    assert batches.updates_per_generation == trainer.state.global_step / len(reward.calls) == 0.5


def test_group_sizes_that_fit_are_named_and_fit():
    with pytest.raises(UsageError) as refused:
        checked(group_size=5, per_device=4, processes=3, steps_per_generation=1)
    text = str(refused.value)
    assert "num_generations=5" in text
    assert "4 per device × 3 processes × 1 step per generation" in text
    named = text.split("take one of ")[1].split(", or ")[0]
    fitting = [int(size) for size in named.split(", ")]
    for size in range(2, 15):
        if size in fitting:
            assert checked(size, 4, 3, 1, 1).prompts * size == 12
        else:
            with pytest.raises(UsageError):
                checked(size, 4, 3, 1, 1)


def test_no_group_fits_one_completion():
    with pytest.raises(UsageError, match="change per_device_train_batch_size") as refused:
        checked(group_size=2, per_device=1)
    assert "take one of" not in str(refused.value)


@pytest.mark.parametrize("size", [1, 0, -1])
def test_a_group_is_at_least_two(size):
    with pytest.raises(UsageError, match=f"num_generations={size}: .*at least 2"):
        checked(group_size=size, per_device=4)


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("per_device", B),
        ("accumulation", A),
        ("steps_per_generation", S),
        ("iterations", J),
    ],
)
def test_every_factor_is_at_least_one(field, option):
    with pytest.raises(UsageError, match=f"{option}=0: take at least 1"):
        checked(**{"group_size": 2, "per_device": 2, field: 0})


def test_too_few_prompts_are_refused():
    batches = checked(group_size=4, per_device=8, steps_per_generation=3)
    assert batches.prompts == 6
    assert batches.updates(6, 1) > 0
    with pytest.raises(UsageError, match="5 prompts do not fill one generation of 6"):
        batches.updates(5, 1)


def test_processes_come_from_the_launcher(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    config = FocalGRPOConfig.__new__(FocalGRPOConfig)  # TRL would look for the other processes
    for name, value in {
        B: 2,
        A: 3,
        S: None,
        G: 48,
        N: 8,
        J: 1,
    }.items():
        setattr(config, name, value)
    batches = batches_of(config)
    assert (batches.processes, batches.steps_per_generation, batches.prompts) == (4, 6, 6)
