from __future__ import annotations

import inspect
import re

import pytest
import yaml

from fgrpo.cli.run import run
from fgrpo.errors import UsageError
from fgrpo.lab.model import Decoder
from fgrpo.lab.recipe import choose_arms, load_recipe
from fgrpo.lab.settings import Recipe
from fgrpo.maze import VOCAB_SIZE
from fgrpo.recipes import shipped

PLAIN = {"name": "plain", "arms": [{"name": "grpo"}, {"name": "focal", "gamma": 0.5}]}


@pytest.fixture
def load(tmp_path):
    """Load a recipe given as a mapping or as text."""

    def load(content, *overrides):
        path = tmp_path / "mine.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return load_recipe(str(path), list(overrides))

    return load


@pytest.fixture
def refusal(load, tmp_path):
    """Return the lines of a refusal, without the file they must all begin with."""

    def refusal(content, *overrides):
        with pytest.raises(UsageError) as error:
            load(content, *overrides)
        start = f"{tmp_path / 'mine.yaml'}: "
        found = str(error.value).splitlines()
        assert all(line.startswith(start) for line in found), found
        return [line.removeprefix(start) for line in found]

    return refusal


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_is_valid(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert any(recipe.reference_for(arm) for arm in recipe.arms)
    # The cap leaves room for the longest path, all cells but one, and for DONE and <eos>.
    cells = ((recipe.maze.size - 1) // 2) ** 2
    assert recipe.maze.response_cap >= 2 * (cells - 1) + 2


def sweep(recipe):
    return {arm.name: (arm.group_size, arm.gamma) for arm in recipe.arms}


def named(group_sizes):
    """Arms as they must be called: every group size with every γ of the paper."""
    gammas = {"grpo": 0, "f-grpo-0.5": 0.5, "f-grpo-1": 1}
    return {f"{arm}-n{n}": (n, gamma) for n in group_sizes for arm, gamma in gammas.items()}


def test_maze_paper_is_what_the_paper_says():
    recipe = load_recipe("maze-paper")
    assert (recipe.maze.size, recipe.maze.response_cap, recipe.maze.prompt_tokens) == (17, 180, 310)
    sft = recipe.sft
    assert (sft.steps, sft.batch_size, sft.learning_rate) == (1500, 32, 5e-4)
    for arm in recipe.arms:
        assert (arm.method, arm.aggregate, arm.temperature) == ("grpo", "token_mean", 1.0)
        assert (arm.prompts_per_step, arm.steps, arm.learning_rate) == (256, 20_000, 1e-4)
        assert (arm.schedule, arm.minibatches, arm.epochs) == ("constant", 1, 1)
    assert sweep(recipe) == named([4, 8, 16, 32, 64, 128])
    assert (recipe.evaluation.problems, recipe.evaluation.samples) == (256, 256)


def test_the_papers_model_has_3_9_million_parameters():
    model = Decoder(load_recipe("maze-paper").model, VOCAB_SIZE)
    assert VOCAB_SIZE == 32
    assert round(sum(one.numel() for one in model.parameters()) / 1e6, 1) == 3.9


def test_maze_medium_is_maze_small_with_more_groups_and_seeds_never_tuned_on():
    medium, small = load_recipe("maze-medium"), load_recipe("maze-small")
    assert sweep(medium) == named([4, 8, 16, 32])
    assert (medium.maze, medium.model) == (small.maze, small.model)
    assert medium.evaluation.every < small.evaluation.every
    assert len(medium.seeds) >= 5
    # docs/experiments.md: what settings were chosen on, and what maze-small reports.
    seen = {0, 1, 2, 3, 7, 8, *range(100, 106), *small.seeds, small.sft.seed, small.evaluation.seed}
    assert not seen & {*medium.seeds, medium.sft.seed, medium.evaluation.seed}


@pytest.mark.parametrize("name", ["maze-paper", "maze-medium"])
def test_every_weighted_arm_is_compared_with_the_plain_one_of_its_size(name):
    recipe = load_recipe(name)
    sizes = {arm.group_size for arm in recipe.arms}
    expected = {f"grpo-n{n}": None for n in sizes}
    expected |= {f"f-grpo-{g}-n{n}": f"grpo-n{n}" for n in sizes for g in ("0.5", "1")}
    assert references(recipe) == expected


def test_the_default_recipe_is_shipped():
    assert inspect.signature(run).parameters["recipe"].default in shipped()


def test_arms_inherit_what_train_says(load):
    recipe = load({**PLAIN, "train": {"learning_rate": 0.25, "gamma": 2.0, "method": "dapo"}})
    plain, focal = recipe.arms
    assert (plain.learning_rate, plain.gamma, plain.method) == (0.25, 2.0, "dapo")
    assert (focal.learning_rate, focal.gamma, focal.method) == (0.25, 0.5, "dapo")


@pytest.mark.parametrize(
    ("method", "bounds"), [("grpo", (0.2, 0.2)), ("dapo", (0.2, 0.28)), ("cispo", (1.0, 5.0))]
)
def test_clip_bounds_are_the_papers_unless_given(method, bounds, load):
    assert load(PLAIN, f"train.method={method}").arms[0].clip_bounds == bounds
    given = load(PLAIN, f"train.method={method}", "train.clip_low=0", "train.clip_high=0.5")
    assert given.arms[0].clip_bounds == (0.0, 0.5)


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [(0, 7, [7]), (3, 7, [3, 6, 7]), (3, 6, [3, 6]), (9, 7, [7]), (1, 2, [1, 2])],
)
def test_evaluation_steps(every, steps, expected, load):
    recipe = load(PLAIN, f"evaluation.every={every}", f"train.steps={steps}")
    assert recipe.evaluation_steps(recipe.arms[0]) == expected


def references(recipe):
    found = {arm.name: recipe.reference_for(arm) for arm in recipe.arms}
    return {name: None if arm is None else arm.name for name, arm in found.items()}


def test_the_reference_is_the_first_arm_without_weight_and_otherwise_equal(load):
    focal, plain, again = ({"name": "f", "gamma": 1}, {"name": "p"}, {"name": "q"})
    recipe = load({"name": "r", "arms": [focal, plain, again]})
    assert references(recipe) == {"f": "p", "p": None, "q": "p"}
    assert references(load({"name": "r", "arms": [focal]})) == {"f": None}


@pytest.mark.parametrize(
    "other", [{"method": "dapo"}, {"group_size": 16}, {"learning_rate": 0.5}, {"steps": 3}]
)
def test_arms_that_differ_in_more_than_the_weight_have_no_common_reference(other, load):
    arms = [{"name": "p"}, {"name": "f", "gamma": 1, **other}]
    assert references(load({"name": "r", "arms": arms})) == {"p": None, "f": None}
    own = {"name": "o", **other}
    found = references(load({"name": "r", "arms": [*arms, own]}))
    assert found == {"p": None, "f": "o", "o": None}


FIELDS_OF_MAZE = "fields here are size, max_response_tokens"
REFUSED = {
    "unknown field": (
        {"bogus": 1},
        "bogus: no such field; fields here are name, description, maze",
    ),
    "unknown in a section": ({"maze": {"sise": 9}}, f"maze.sise: no such field; {FIELDS_OF_MAZE}"),
    "unknown in train": (
        {"train": {"lr": 1}},
        "train.lr: no such field; fields here are learning_",
    ),
    "unknown in an arm": ({"arms": [{"name": "a", "lr": 1}]}, "arms.0.lr: no such field; fields"),
    "unknown choice": (
        {"train": {"method": "ppo"}},
        "train.method: Input should be 'grpo', 'dapo' or 'cispo' (got 'ppo')",
    ),
    "unknown scale": (
        {"train": {"scale": "var"}},
        "train.scale: Input should be 'std', 'population",
    ),
    "unknown precision": ({"precision": "fp8"}, "precision: Input should be 'fp32' or 'bf16' (got"),
    "text for a number": ({"sft": {"steps": "many"}}, "sft.steps: Input should be a valid integer"),
    "fraction": ({"sft": {"steps": 2.5}}, "sft.steps: Input should be a valid integer"),
    "list for a number": ({"sft": {"steps": [1]}}, "sft.steps: Input should be a valid integer"),
    "value for a section": ({"maze": 9}, "maze: Input should be a valid dictionary"),
    "section for a list": ({"arms": {"a": 1}}, "arms: Input should be a valid list"),
    "even size": ({"maze": {"size": 8}}, "maze.size: must be odd"),
    "small size": ({"maze": {"size": 3}}, "maze.size: Input should be greater than or equal to 5"),
    "large size": ({"maze": {"size": 67}}, "maze.size: Input should be less than or equal to 65"),
    "negative gamma": (
        {"train": {"gamma": -1}},
        "train.gamma: Input should be greater than or equ",
    ),
    "endless gamma": ({"train": {"gamma": float("inf")}}, "train.gamma: Input should be a finite"),
    "no learning": (
        {"train": {"learning_rate": 0}},
        "train.learning_rate: Input should be greater",
    ),
    "not a number": (
        {"train": {"learning_rate": float("nan")}},
        "train.learning_rate: Input should",
    ),
    "zero temperature": (
        {"train": {"temperature": 0}},
        "train.temperature: Input should be greater",
    ),
    "group of one": (
        {"train": {"group_size": 1}},
        "train.group_size: a group of 1 has no advantage",
    ),
    "group of none": (
        {"train": {"group_size": 0}},
        "train.group_size: Input should be greater than",
    ),
    "one group in an arm": (
        {"arms": [{"name": "a", "group_size": 1}]},
        "arms.0.group_size: a group of 1 has no advantage to learn from: use 2 or more, say 8",
    ),
    "more minibatches than groups": (
        {"train": {"minibatches": 64, "prompts_per_step": 32}},
        "train: minibatches 64 exceed prompts_per_step 32",
    ),
    "ratio below zero": (
        {"train": {"clip_low": 1.5}},
        "train.clip_low: Input should be less than or",
    ),
    "odd heads": (
        {"model": {"hidden_size": 20}},
        "model: hidden_size 20 must be a multiple of twice",
    ),
    "odd groups of heads": (
        {"model": {"num_key_value_heads": 3}},
        "model: num_attention_heads 4 must be a multiple of num_key_value_heads 3",
    ),
    "one sample": (
        {"evaluation": {"samples": 1}},
        "evaluation.samples: Input should be greater than",
    ),
    "one problem": (
        {"evaluation": {"problems": 1}},
        "evaluation.problems: Input should be greater",
    ),
    "path for a name": ({"name": "../up"}, "name: String should match pattern"),
    "number for a name": ({"arms": [{"name": 1}]}, "arms.0.name: Input should be a valid string"),
    "nameless arm": ({"arms": [{"gamma": 1}]}, "arms.0.name: Field required"),
    "no arms": ({"arms": []}, "arms: List should have at least 1 item"),
    "arm called base": ({"arms": [{"name": "base"}]}, "recipe: an arm may not be called 'base'"),
    "no seeds": ({"seeds": []}, "seeds: List should have at least 1 item"),
    "negative seed": ({"seeds": [0, -1]}, "seeds.1: Input should be greater than or equal to 0"),
    "equal seeds": ({"seeds": [3, 4, 3]}, "recipe: seeds must differ; given twice: 3"),
    "equal arms": (
        {"arms": [{"name": "a"}, {"name": "b"}, {"name": "a", "gamma": 1}]},
        "recipe: arm names must differ; given twice: a",
    ),
}


@pytest.mark.parametrize(("fields", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_field_is_named_once_with_what_is_allowed(fields, expected, refusal):
    (line,) = refusal({**PLAIN, **fields})
    assert line.startswith(expected)


def test_missing_fields_are_named(refusal):
    assert refusal({"name": "r"}) == ["arms: Field required"]
    assert refusal({"arms": [{"name": "a"}]}) == ["name: Field required"]


def test_all_wrong_fields_are_named_at_once(refusal):
    fields = {"train": {"steps": 0, "gama": 1}, "precision": "fp8", "maze": {"size": 4}}
    named = [line.split(":")[0] for line in refusal({**PLAIN, **fields})]
    assert sorted(named) == ["maze.size", "precision", "train.gama", "train.steps"]


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", "0.0001"])
def test_a_rate_without_a_dot_is_a_number(text, load):
    written = f"name: r\ntrain: {{learning_rate: {text}}}\narms: [{{name: a}}]\n"
    assert load(written).arms[0].learning_rate == 1e-4
    assert load(PLAIN, f"sft.learning_rate={text}").sft.learning_rate == 1e-4


def test_a_change_that_is_none_is_refused_with_an_example(load):
    told = "^--set 'gamma': write field=value, for example arms.0.gamma=0.5$"
    with pytest.raises(UsageError, match=told):
        load(PLAIN, "gamma")


def test_a_change_of_train_is_blamed_once_and_not_on_the_arms(load):
    told = r"^--set 'train.group_size=1': train\.group_size: a group of 1 has .* \(got 1\)$"
    with pytest.raises(UsageError, match=told):
        load(PLAIN, "train.group_size=1")


@pytest.mark.parametrize(
    ("maze", "problems", "told"),
    [
        ({"max_response_tokens": 4}, 9, "maze: max_response_tokens 4 cuts off right answers"),
        ({"max_response_tokens": 0}, 9, "maze: max_response_tokens 0 cuts off right answers"),
        ({"size": 5}, 4, "recipe: evaluation.problems 4 leaves none"),
        ({"size": 7}, 192, "recipe: evaluation.problems 192 leaves"),
    ],
)
def test_impossible_sizes_are_refused_before_any_work(maze, problems, told, refusal):
    (line,) = refusal({**PLAIN, "maze": maze, "evaluation": {"problems": problems}})
    assert line.startswith(told)


MATTERS = [
    "maze.size=11",
    "maze.max_response_tokens=50",
    "model.hidden_size=64",
    "model.num_hidden_layers=3",
    "sft.steps=601",
    "sft.learning_rate=1e-3",
    "sft.seed=1",
    "sft.weight_decay=0",
    "evaluation.problems=127",  # the held-out mazes are kept out of the base model's training
    "evaluation.seed=1",
    "precision=bf16",
]
IRRELEVANT = [
    "name=other",
    "description=other",
    "train.steps=3",
    "train.learning_rate=1e-3",
    "arms.0.gamma=2",
    "arms=[{name: z}]",
    "seeds=[7]",
    "evaluation.samples=3",
    "evaluation.every=5",
    "checkpoint_every=3",
    "sft.learning_rate=5e-4",  # the default, written out
]


def test_the_base_models_name_follows_from_what_makes_it(load):
    plain = load(PLAIN).sft_hash
    assert re.fullmatch("[0-9a-f]{12}", plain)
    hashes = [load(PLAIN, change).sft_hash for change in MATTERS]
    assert len({plain, *hashes}) == len(MATTERS) + 1
    assert {load(PLAIN, change).sft_hash for change in IRRELEVANT} == {plain}


def test_settings_do_not_change_once_made(load):
    recipe = load(PLAIN)
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.steps = 3


def test_a_recipe_survives_being_written_and_read(load):
    recipe = load(PLAIN, "train.clip_low=0.1", "precision=bf16")
    again = load(yaml.safe_dump(recipe.model_dump()))
    assert again == recipe
    assert isinstance(again, Recipe)


def test_arms_are_chosen_by_pattern_in_the_recipes_order():
    paper = load_recipe("maze-paper")
    assert choose_arms(paper, ["f-grpo-1-n8", "grpo-n8"]) == ["grpo-n8", "f-grpo-1-n8"]
    assert choose_arms(paper, ["*-n8"]) == ["grpo-n8", "f-grpo-0.5-n8", "f-grpo-1-n8"]
    assert choose_arms(paper, ["*"]) == [arm.name for arm in paper.arms]
    with pytest.raises(
        UsageError, match=r"^--arms '\*-n9' matches no arm of maze-paper: grpo-n4, "
    ):
        choose_arms(paper, ["*-n8", "*-n9"])
