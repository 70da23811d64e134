"""The focal weight's settings: ranges, which reward means "correct", where they come from."""

import math
from types import SimpleNamespace

import pytest
from trl import TrlParser
from trl_runs import RENAMED

from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalGRPOConfig
from fgrpo.integrations.trl.settings import FocalSettings

pytestmark = RENAMED

OFF_RANGE = [
    ("gamma", -0.1),
    ("gamma", math.inf),
    ("gamma", math.nan),
    ("gamma", True),
    ("threshold", math.inf),
    ("threshold", -math.inf),
    ("threshold", math.nan),
    ("threshold", False),
    ("tail_share", 0),
    ("tail_share", 1),
    ("tail_share", -0.1),
    ("tail_share", math.nan),
    ("reward", 1.0),
    ("reward", True),
    ("reward", []),
    ("reward", ["correct", None]),
    ("reward", [True]),
]


@pytest.mark.parametrize(("name", "value"), OFF_RANGE)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(UsageError, match=f"focal_{name}"):
        FocalSettings(**{name: value})


@pytest.mark.parametrize("value", ["0.5", None])
@pytest.mark.parametrize("name", ["gamma", "threshold", "tail_share"])
def test_a_value_that_is_no_number_is_named(name, value):
    with pytest.raises(UsageError, match=f"focal_{name}"):
        FocalSettings(**{name: value})


def test_the_ends_of_the_ranges_are_allowed():
    settings = FocalSettings(gamma=0, threshold=-1, tail_share=1e-9)
    assert (settings.gamma, settings.threshold, settings.tail_share) == (0, -1, 1e-9)


@pytest.mark.parametrize(
    ("reward", "names", "column"),
    [
        (None, ["correct"], 0),
        ("correct", ["format", "correct"], 1),
        ("format", ["format", "correct"], 0),
        (1, ["format", "correct"], 1),
        ("1", ["format", "correct"], 1),
        (0, ["same", "same"], 0),
        ("1", ["same", "same"], 1),
        ("0", ["1", "0"], 1),  # a name comes before an index
        (2, ["a", "b", "c"], 2),
    ],
)
def test_the_reward_function_is_found(reward, names, column):
    assert FocalSettings(reward=reward).columns(names) == [column]


@pytest.mark.parametrize(
    ("reward", "names", "parts"),
    [
        (None, ["format", "correct"], ["2 reward functions", "0 (format)", "1 (correct)"]),
        (None, [], ["0 reward functions", "none"]),
        ("same", ["same", "same"], ["0 (same)", "1 (same)", "index"]),
        ("Correct", ["format", "correct"], ["'Correct'", "0 (format)", "1 (correct)"]),
        (2, ["format", "correct"], ["=2 ", "1 (correct)"]),
        ("2", ["format", "correct"], ["'2'", "1 (correct)"]),
        (-1, ["format", "correct"], ["=-1 ", "0 (format)"]),
        ("-1", ["format", "correct"], ["'-1'", "0 (format)"]),
    ],
)
def test_no_reward_function_is_guessed(reward, names, parts):
    with pytest.raises(UsageError) as refused:
        FocalSettings(reward=reward).columns(names)
    assert [part for part in parts if part not in str(refused.value)] == []


def test_the_first_source_that_has_a_setting_decides():
    first = SimpleNamespace(focal_gamma=1.0, focal_reward=None)
    second = SimpleNamespace(focal_gamma=2.0, focal_reward="b", focal_threshold=0.0)
    settings = FocalSettings.of(first, second)
    # None in the first is its choice, not an absence.
    assert settings == FocalSettings(gamma=1.0, reward=None, threshold=0.0, tail_share=0.1)


def test_sources_are_checked():
    with pytest.raises(UsageError, match="focal_gamma=-1"):
        FocalSettings.of(SimpleNamespace(focal_gamma=-1))


def config(folder, **changes):
    return FocalGRPOConfig(output_dir=str(folder), use_cpu=True, bf16=False, **changes)


@pytest.mark.parametrize(
    ("name", "value"), [("gamma", -1.0), ("threshold", math.nan), ("tail_share", 1.5)]
)
def test_the_configuration_refuses_bad_values(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"focal_{name}={value}"):
        config(tmp_path, **{f"focal_{name}": value})


def test_the_configuration_has_the_defaults_of_the_settings(tmp_path):
    assert FocalSettings.of(config(tmp_path)) == FocalSettings()


COMMON = ["--use_cpu", "true", "--bf16", "false", "--report_to", "none"]


def parsed(folder, *words):
    parser = TrlParser(FocalGRPOConfig)
    (args,) = parser.parse_args_and_config(["--output_dir", str(folder), *COMMON, *words])
    return FocalSettings.of(args)


def test_the_command_line_sets_every_field(tmp_path):
    words = "--focal_gamma 1 --focal_reward 1 --focal_threshold -0.5 --focal_tail_share 0.2"
    settings = parsed(tmp_path, *words.split())
    assert settings == FocalSettings(gamma=1.0, reward="1", threshold=-0.5, tail_share=0.2)
    assert settings.columns(["format", "correct"]) == [1]


@pytest.mark.parametrize(("text", "column"), [("correct", 1), ("0", 0), ("'1'", 1)])
def test_a_yaml_file_sets_every_field(tmp_path, text, column):
    path = tmp_path / "run.yaml"
    path.write_text(
        f"focal_gamma: 2\nfocal_reward: {text}\nfocal_threshold: 1.0\nfocal_tail_share: 0.5\n"
    )
    settings = parsed(tmp_path, "--config", str(path))
    assert (settings.gamma, settings.threshold, settings.tail_share) == (2.0, 1.0, 0.5)
    assert settings.columns(["format", "correct"]) == [column]


def test_the_command_line_overrides_the_yaml_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("focal_gamma: 2\nfocal_threshold: 1.0\n")
    settings = parsed(tmp_path, "--config", str(path), "--focal_gamma", "0.25")
    assert settings == FocalSettings(gamma=0.25, threshold=1.0)


def test_the_command_line_refuses_bad_values(tmp_path):
    with pytest.raises(UsageError, match="focal_gamma=-1"):
        parsed(tmp_path, "--focal_gamma", "-1")


def test_an_integer_is_an_index_even_where_a_function_has_that_name():
    assert FocalSettings(reward=0).columns(["1", "0"]) == [0]
    assert FocalSettings(reward="0").columns(["1", "0"]) == [1]


@pytest.mark.parametrize("reward", ["b, 0", ["b", 0], ("b", "a")])
def test_several_functions_may_tell_a_correct_completion(reward):
    assert FocalSettings(reward=reward).columns(["a", "b", "format"]) == [1, 0]
    with pytest.raises(UsageError, match="'b'"):
        FocalSettings(reward=reward).columns(["a"])
