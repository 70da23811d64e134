from __future__ import annotations

import json

import pytest
import torch

from fgrpo.errors import RunError
from fgrpo.lab.metrics import rollout_metrics
from fgrpo.lab.metrics_log import MetricsLog, read_metrics
from fgrpo.lab.sampling import Rollouts


def made_rollouts():
    """Five groups of four rollouts of up to three tokens, with numbers easy to add up."""
    lengths = torch.tensor([[1, 2, 3, 3], [2, 2, 2, 2], [3, 3, 3, 3], [1, 1, 1, 1], [3, 1, 2, 1]])
    entropies = torch.zeros(5, 4, 3)
    steps = torch.arange(3)
    # 0.5 nats at first tokens, 0.25 at second, 0.75 at third.
    entropies += torch.tensor([0.5, 0.25, 0.75]) * (steps < lengths[..., None])
    truncated = torch.zeros(5, 4, dtype=torch.bool)
    truncated[2] = True
    truncated[0, 3] = True
    return Rollouts(
        torch.zeros(5, 6, dtype=torch.long),
        torch.zeros(5, 4, 3, dtype=torch.long),
        torch.zeros(5, 4, 3),
        entropies,
        lengths,
        truncated,
    )


REWARDS = torch.tensor(
    [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1]], dtype=torch.float32
)


@pytest.mark.parametrize(
    ("gamma", "weight"),
    # Rates 1/4, 1, 0, 3/4, 1: weights (3/4)^γ, 0, 1, (1/4)^γ, 0; all 1 without focal weight.
    [(0.0, 1.0), (1.0, 2.0 / 5), (2.0, (9 / 16 + 1 + 1 / 16) / 5), (0.5, (0.75**0.5 + 1.5) / 5)],
)
def test_figures_by_hand(gamma, weight):
    figures = rollout_metrics(made_rollouts(), REWARDS, gamma)
    assert figures.pop("success_histogram") == [1, 1, 0, 1, 2]
    assert figures == pytest.approx(
        {
            "reward": 12 / 20,
            "groups_solved_all": 2 / 5,
            "groups_solved_none": 1 / 5,
            "groups_mixed": 2 / 5,
            "focal_weight": weight,
            # 20 first tokens, 13 second (3 + 4 + 4 + 0 + 2), 7 third (2 + 0 + 4 + 0 + 1).
            "entropy": (20 * 0.5 + 13 * 0.25 + 7 * 0.75) / 40,
            "length": 2.0,
            "length_max": 3,
            "truncated": 5 / 20,
        }
    )


def test_figures_can_be_written_and_read_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    figures = {"step": 0, **rollout_metrics(made_rollouts(), REWARDS, 0.5)}
    with MetricsLog(path, keep_below=0) as log:
        log.write(figures)
    assert read_metrics(path) == [figures]


@pytest.mark.parametrize("size", [3, 6, 7, 48, 49, 100])
def test_histogram_of_group_sizes_whose_rates_are_not_exact(size):
    right = torch.arange(size + 1)
    rewards = (torch.arange(size) < right[:, None]).float()
    zeros = torch.zeros(size + 1, size)
    rollouts = Rollouts(zeros, zeros, zeros, zeros, zeros + 1, zeros)
    figures = rollout_metrics(rollouts, rewards, 0.0)
    assert figures["success_histogram"] == [1] * (size + 1)


def lines(*steps):
    return "".join(json.dumps({"step": step, "loss": step / 2}) + "\n" for step in steps)


def test_no_file_has_no_lines(tmp_path):
    assert read_metrics(tmp_path / "none") == []


def test_a_resumed_log_drops_what_it_repeats_and_what_is_torn(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(0, 1, 2, 3, 4) + '{"step": 5, "lo')
    assert [line["step"] for line in read_metrics(path)] == [0, 1, 2, 3, 4]
    with MetricsLog(path, keep_below=3) as log:
        assert path.read_text() == lines(0, 1, 2)  # at once, not only at the end
        log.write({"step": 3, "loss": 9.0})
        assert [line["step"] for line in read_metrics(path)] == [0, 1, 2, 3]  # flushed
    assert path.read_text() == lines(0, 1, 2) + '{"step": 3, "loss": 9.0}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_whole_last_line_without_newline_is_torn_too(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(0, 1)[:-1])
    assert [line["step"] for line in read_metrics(path)] == [0]


def test_a_new_training_starts_an_empty_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(0, 1))
    with MetricsLog(path, keep_below=0):
        assert path.read_text() == ""


@pytest.mark.parametrize("bad", ["{broken", "", "7", '{"loss": 1}'])
def test_a_malformed_line_in_the_middle_is_an_error_naming_file_and_line(bad, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(0) + bad + "\n" + lines(2))
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: "):
        MetricsLog(path, keep_below=3)
    assert path.read_text() == lines(0) + bad + "\n" + lines(2)  # nothing lost


def test_a_log_that_cannot_be_written(tmp_path):
    path = tmp_path / "missing" / "metrics.jsonl"
    with pytest.raises(RunError, match=r"metrics\.jsonl: could not be written"):
        MetricsLog(path, keep_below=0)
