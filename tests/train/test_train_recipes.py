"""The shipped recipes say what the paper did: each value of the table is the paper's."""

import re
from pathlib import Path

import pytest
from transformers.trainer_utils import SchedulerType

import fgrpo
from fgrpo.evaluate.prompts import SYSTEM, prompts_for
from fgrpo.train.arguments import batches_of, parse
from fgrpo.train.data import load_prompts
from fgrpo.train.methods import ratio_bounds
from fgrpo.train.recipe import shipped_recipes
from paper_models import MODELS

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning")

HERE = ["--use_cpu", "true", "--bf16", "false", "--use_vllm", "false", "--report_to", "none"]
# Section 3 and appendices B, L.2: the ratios a token's gradient is kept for.
BOUNDS = {"grpo": (0.8, 1.2), "dapo": (0.8, 1.28), "cispo": (0.0, 6.0)}
# Appendix L, table 5.
EVERYWHERE = {
    "learning_rate": 1e-6,
    "lr_scheduler_type": SchedulerType.CONSTANT_WITH_WARMUP,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "beta": 0.0,
    "num_train_epochs": 10,
    "max_steps": -1,
    "num_generations": 8,
    "num_iterations": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "scale_rewards": "group",
    "importance_sampling_level": "token",
    "mask_truncated_completions": False,
    "vllm_importance_sampling_correction": False,
}
DATA = {
    "dataset_name": "agentica-org/DeepScaleR-Preview-Dataset",
    "prompt_column": "problem",
    "answer_column": "answer",
    "max_prompt_tokens": 1024,
    "verifier": "maths",
    "system_prompt": None,  # fgrpo evaluate's own
}
PROMPTS, UPDATE, WARMUP = 256, 64, 15  # a generation, an update; generations of warm-up
PAPER = [
    (f"{model}-f-{method}", name, length, method, gamma)
    for model, (name, length, gammas) in MODELS.items()
    for method, gamma in gammas.items()
]
recipes = pytest.mark.parametrize(
    ("recipe", "name", "length", "method", "gamma"), PAPER, ids=[row[0] for row in PAPER]
)


def read(recipe, *words):
    return parse(["--config", f"recipes/trl/{recipe}.yaml", *HERE, *words])


def test_there_is_a_recipe_for_each_model_and_method():
    assert len(PAPER) == 9
    expected = {f"recipes/trl/{recipe}.yaml" for recipe, *_ in PAPER}
    assert set(shipped_recipes()) == expected | {"recipes/trl/quickstart.yaml"}
    # The wheel's test compares what is packed with this folder.
    folder = Path(fgrpo.__file__).parent / "recipes" / "trl"
    assert all(path.parent == folder for path in shipped_recipes().values())


@recipes
def test_every_value_is_the_paper_s(recipe, name, length, method, gamma):
    script, training, model = read(recipe)
    assert model.model_name_or_path == name
    assert model.use_peft is False
    assert {field: getattr(script, field) for field in DATA} == DATA
    assert {field: getattr(training, field) for field in EVERYWHERE} == EVERYWHERE
    assert training.max_completion_length == length
    assert script.method == method
    assert training.focal_gamma == gamma
    bounds = ratio_bounds(training.loss_type, training.epsilon, training.epsilon_high)
    assert bounds == pytest.approx(BOUNDS[method], abs=1e-12)
    assert training.loss_type in ("dapo", "cispo")  # TRL's two that take the mean over tokens
    assert training.output_dir == f"runs/{recipe}"
    settings = prompts_for(name)
    assert (settings.system, settings.chat) == (SYSTEM, True)


@recipes
@pytest.mark.parametrize("processes", [16, 8])
def test_batches_are_the_paper_s(recipe, name, length, method, gamma, processes, monkeypatch):
    training = read(recipe)[1]
    training.steps_per_generation = None  # as it is before TRL completes it for this one process
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    training.gradient_accumulation_steps *= 16 // processes  # as the recipe's head says
    batches = batches_of(training)
    assert batches.prompts == PROMPTS
    assert batches.completions_per_update == UPDATE * batches.group_size
    assert batches.updates_per_generation == PROMPTS / UPDATE
    assert training.warmup_steps == WARMUP * batches.updates_per_generation


@recipes
def test_the_head_s_commands_name_the_recipe_and_the_unweighted_method(
    recipe, name, length, method, gamma
):
    text = shipped_recipes()[f"recipes/trl/{recipe}.yaml"].read_text(encoding="utf-8")
    head = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert f"recipes/trl/{recipe}.yaml" in head.replace("\\ ", "")
    assert f"F-{method.upper()} on {name.rpartition('/')[2]}" in head
    (unweighted,) = re.findall(r"Unweighted \w+: (.*)$", text, flags=re.MULTILINE)
    training = read(recipe, *unweighted.split())[1]
    assert training.focal_gamma == 0
    assert training.output_dir == f"runs/{recipe}".replace("-f-", "-")
    assert "use_vllm: true" in text
    assert "bf16: true" in text


def test_the_quickstart():
    script, training, model = read("quickstart")
    assert script.dataset_name.startswith("reasoning-gym:")
    assert training.focal_gamma == 0.5
    batches = batches_of(training)
    assert (batches.prompts, batches.updates_per_generation) == (32, 1)
    prompts = load_prompts(script.dataset_name).prompts
    # Its updates take no prompt twice.
    assert training.max_steps * batches.prompts <= len(prompts)
    assert training.max_steps % training.save_steps == 0
    assert model.model_name_or_path == "Qwen/Qwen2.5-0.5B-Instruct"


def test_the_held_out_problems_of_the_documentation_are_not_trained_on():
    page = (Path(__file__).parents[2] / "docs" / "trl.md").read_text(encoding="utf-8")
    (name,) = set(re.findall(r"--benchmark (reasoning-gym:\S+)", page))
    seen = {one.prompt for one in load_prompts(read("quickstart")[0].dataset_name).prompts}
    assert not seen & {one.prompt for one in load_prompts(name).prompts}


@recipes
def test_vllm_has_room_for_prompt_and_answer(recipe, name, length, method, gamma):
    script, training, _ = read(recipe)
    assert training.vllm_max_model_length == script.max_prompt_tokens + length
