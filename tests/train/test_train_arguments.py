"""What wins over what, and what is refused, on the command line and in recipes."""

import os

import pytest
from trl import GRPOConfig

from fgrpo.errors import UsageError
from fgrpo.train.arguments import batches_of, parse
from fgrpo.train.methods import METHODS
from fgrpo.train.recipe import recipe_path, shipped_recipes

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning")

BASE = "--model_name_or_path m --dataset_name d --use_cpu true --bf16 false --report_to none"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Parse words after those every run needs, with an optional recipe."""
    monkeypatch.chdir(tmp_path)

    def parsed(words="", recipe=None):
        line = [*BASE.split(), *(words.split() if isinstance(words, str) else words)]
        if recipe is not None:
            (tmp_path / "run.yaml").write_text(recipe, encoding="utf-8")
            line += ["--config", "run.yaml"]
        return parse(line)

    return parsed


PRESET = METHODS["dapo"]
# field, the preset's value or TRL's, the recipe's, the command line's
FIELDS = [
    ("loss_type", PRESET["loss_type"], "bnpo", "grpo"),
    ("epsilon", PRESET["epsilon"], 0.1, 0.15),
    ("epsilon_high", PRESET["epsilon_high"], 0.3, 0.4),
    ("beta", PRESET["beta"], 0.01, 0.02),
    ("learning_rate", None, 2e-5, 3e-5),
    ("temperature", None, 0.7, 0.8),
    ("num_generations", None, 4, 2),
    ("log_completions", None, True, False),
    ("focal_gamma", 0.5, 1.0, 2.0),
]


@pytest.mark.parametrize(("name", "preset", "recipe", "line"), FIELDS)
def test_the_command_line_wins_then_the_recipe_then_the_preset(run, name, preset, recipe, line):
    default = getattr(GRPOConfig(output_dir="o", use_cpu=True, bf16=False), name, None)
    lowest = default if preset is None else preset
    text = f"{name}: {str(recipe).lower()}\n"
    found = {
        (given, written): getattr(
            run(
                "--method dapo" + (f" --{name} {line}" if given else ""),
                text if written else None,
            )[1],
            name,
        )
        for given in (False, True)
        for written in (False, True)
    }
    assert len({str(lowest), str(recipe), str(line)}) == (2 if name == "log_completions" else 3)
    assert found == {
        (False, False): lowest,
        (False, True): recipe,
        (True, False): line,
        (True, True): line,
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_its_settings(run, method):
    for script, training, _ in (run(f"--method {method}"), run("", f"method: {method}\n")):
        assert script.method == method
        for name, value in METHODS[method].items():
            assert getattr(training, name) == value


def test_the_method_of_the_command_line_replaces_the_recipe_s(run):
    script, training, _ = run("--method=cispo", "method: dapo\n")
    assert (script.method, training.loss_type, training.epsilon_high) == ("cispo", "cispo", 6.0)
    # What the recipe says itself still comes before the preset.
    _, training, _ = run("--method cispo", "method: dapo\nepsilon_high: 3.0\n")
    assert training.epsilon_high == 3.0


def test_grpo_is_the_default(run):
    script, training, _ = run()
    assert script.method == "grpo"
    assert {name: getattr(training, name) for name in METHODS["grpo"]} == METHODS["grpo"]
    assert run("", "epsilon_high: null\n")[1].epsilon_high is None  # TRL: as epsilon


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--focal_gama 1", ["--focal_gama", "did you mean --focal_gamma"]),
        ("--focal_gama=1", ["--focal_gama:", "did you mean --focal_gamma"]),
        ("--learn 1", ["--learn"]),  # no abbreviations
        ("--num_generations eight", ["--num_generations", "'eight'"]),
        ("--num_generations 2.5", ["--num_generations", "'2.5'"]),
        ("--num_generations 3", ["num_generations=3", "take one of 2, 4, 8"]),
        ("--num_generations 1", ["num_generations=1", "at least 2"]),
        ("--bf16 maybe", ["--bf16", "maybe"]),
        ("--method ppo", ["--method", "'ppo'", "grpo", "dapo", "cispo"]),
        ("--method", ["--method", "expected one argument"]),
        ("--focal_gamma -1", ["focal_gamma=-1.0"]),
        ("--focal_gamma nan", ["focal_gamma=nan"]),
        ("--focal_tail_share 1", ["focal_tail_share=1.0"]),
        ("--max_prompt_tokens 0", ["max_prompt_tokens=0"]),
        ("--max_completion_length 0", ["max_completion_length=0"]),
        ("--max_steps 0", ["max_steps=0", "nothing to train"]),
        ("--num_train_epochs 0", ["num_train_epochs=0", "nothing to train"]),
        ("--steps_per_generation 0", ["steps_per_generation=0"]),
        ("--gradient_accumulation_steps 0", ["gradient_accumulation_steps=0"]),
        ("--generation_batch_size 12", ["12", "8"]),
        ("--generation_batch_size 16 --steps_per_generation 2", ["both"]),
        ("--config none.yaml", ["none.yaml", "--list"]),
        ("--config recipes/trl/quikstart.yaml", ["near: recipes/trl/quickstart.yaml"]),
        ("stray words", ["stray words"]),
        ("--dataset_name=", ["--dataset_name"]),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(run, words, told):
    with pytest.raises(UsageError) as refused:
        run(words)
    text = str(refused.value)
    assert "\n" not in text
    assert [part for part in told if part not in text] == []


def test_data_and_model_are_needed():
    with pytest.raises(UsageError, match="--dataset_name"):
        parse(["--model_name_or_path", "m", "--use_cpu", "true", "--bf16", "false"])
    with pytest.raises(UsageError, match="--model_name_or_path"):
        parse(["--dataset_name", "d", "--use_cpu", "true", "--bf16", "false"])


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("focal_gama: 1", ["run.yaml: focal_gama", "did you mean focal_gamma"]),
        ("learning-rate: 1", ["learning-rate", "did you mean learning_rate"]),
        ("config: other.yaml", ["config: no such field"]),
        ("help: true", ["help: no such field"]),
        ("1: true", ["run.yaml: 1: no such field"]),
        ("num_generations: eight", ["num_generations", "'eight'"]),
        ("num_generations: 4.5", ["num_generations", "'4.5'"]),
        ("num_generations: true", ["num_generations", "'True'"]),
        ("num_generations: [4]", ["num_generations is [4]"]),
        ("num_generations: {a: 4}", ["num_generations is {'a': 4}"]),
        ("num_generations:", ["num_generations is empty"]),
        ("focal_gamma:", ["focal_gamma is None"]),
        ("learning_rate: fast", ["learning_rate", "'fast'"]),
        ("reward_weights: [1, fast]", ["reward_weights", "'fast'"]),
        ("use_vllm: maybe", ["use_vllm", "maybe"]),
        ("method: ppo", ["method", "'ppo'"]),
        ("method: [cispo]", ["method is ['cispo']"]),
        ("method: 3", ["method", "'3'"]),
        ("env: 3", ["env is 3"]),
        ("- a", ["mapping", "list"]),
        ("", ["mapping", "NoneType"]),
        ("a: [", ["run.yaml", "not valid YAML"]),
    ],
)
def test_a_wrong_recipe_is_told_in_one_line(run, recipe, told):
    with pytest.raises(UsageError) as refused:
        run("", recipe)
    text = str(refused.value)
    assert "\n" not in text
    assert [part for part in told if part not in text] == []


def test_a_recipe_that_is_no_text(run, tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.yaml: cannot be read"):
        run("--config bytes.yaml")


def test_values_of_a_recipe_are_read_as_on_the_command_line(run):
    recipe = """
learning_rate: 1e-5
num_generations: "4"
bf16: no
system_prompt: -- 数学, kurz’ und gut
use_chat_template: false
dataset_config: 2024
focal_reward: 0
use_peft: true
lora_target_modules: [q_proj, v_proj]
chat_template_kwargs: {enable_thinking: false}
lr_scheduler_kwargs: {num_cycles: 2}
"""
    script, training, model = run("", recipe)
    assert training.learning_rate == 1e-5
    assert training.num_generations == 4
    assert training.bf16 is False
    assert script.system_prompt == "-- 数学, kurz’ und gut"
    assert script.use_chat_template is False
    assert script.dataset_config == "2024"
    assert training.focal_reward == "0"
    assert model.use_peft is True
    assert model.lora_target_modules == ["q_proj", "v_proj"]
    assert training.chat_template_kwargs == {"enable_thinking": False}
    assert training.lr_scheduler_kwargs == {"num_cycles": 2}


def test_a_list_of_the_command_line_replaces_the_recipe_s(run):
    model = run(
        "--use_peft true --lora_target_modules k_proj o_proj",
        "lora_target_modules: [q_proj, v_proj]\n",
    )[2]
    assert model.lora_target_modules == ["k_proj", "o_proj"]


def test_a_recipe_sets_the_environment(run, monkeypatch):
    monkeypatch.setenv("FGRPO_TEST_A", "before")
    monkeypatch.setenv("FGRPO_TEST_B", "before")
    run("", "env: {FGRPO_TEST_A: 1, FGRPO_TEST_B: two}\n")
    assert (os.environ["FGRPO_TEST_A"], os.environ["FGRPO_TEST_B"]) == ("1", "two")


def test_both_forms_of_config_and_of_names(run, tmp_path):
    (tmp_path / "a.yaml").write_text("focal_gamma: 1\n")
    for words in ("--config=a.yaml", "--config a.yaml"):
        training = run(f"{words} --learning-rate 1e-3 --per-device-train-batch-size=16")[1]
        assert training.focal_gamma == 1.0
        assert training.learning_rate == 1e-3
        assert training.per_device_train_batch_size == 16


@pytest.mark.parametrize(
    ("words", "value"),
    [("", False), ("--use_peft", True), ("--use_peft yes", True), ("--use_peft 0", False)],
)
def test_truth_values(run, words, value):
    assert run(words)[2].use_peft is value


def test_a_truth_value_that_is_usual_can_be_turned_off(run):
    assert run()[1].shuffle_dataset is True
    for words in ("--no_shuffle_dataset", "--no-shuffle-dataset", "--shuffle_dataset false"):
        assert run(words)[1].shuffle_dataset is False
    assert run("--no_shuffle_dataset", "shuffle_dataset: true\n")[1].shuffle_dataset is False


@pytest.mark.parametrize(
    ("words", "prompts", "steps"),
    [
        ("--generation_batch_size 32", 4, 4),
        ("--steps_per_generation 3", 3, 3),
        ("--gradient_accumulation_steps 2", 2, 2),
        ("--gradient_accumulation_steps 2 --generation_batch_size 8", 1, 1),
    ],
)
def test_the_batches_are_those_that_trl_completes(run, words, prompts, steps):
    training = run(f"--num_generations 8 {words}")[1]
    batches = batches_of(training)
    assert (batches.prompts, batches.steps_per_generation) == (prompts, steps)
    assert training.generation_batch_size == batches.completions
    assert training.steps_per_generation == batches.steps_per_generation


def test_shipped_recipes_are_found_by_their_name(run, tmp_path):
    for name, path in shipped_recipes().items():
        assert recipe_path(name) == path
    (own := tmp_path / "recipes" / "trl").mkdir(parents=True)
    (own / "quickstart.yaml").write_text("focal_gamma: 2\n")
    assert run("--config recipes/trl/quickstart.yaml")[1].focal_gamma == 2.0  # a file comes first
