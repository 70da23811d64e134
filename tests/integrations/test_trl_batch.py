"""The weights and metrics of a generation batch, the warnings, and the histogram."""

import itertools
import logging
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trl_runs import RENAMED, Seen, focal, fractions, questions, train, weights_of

from fgrpo.integrations.health import Health, Names
from fgrpo.integrations.trl import FocalGRPOTrainer
from fgrpo.integrations.trl.batch import FocalBatch
from fgrpo.integrations.trl.histogram import log_histogram
from fgrpo.integrations.trl.settings import FocalSettings

pytestmark = RENAMED
NAN = float("nan")
NAMES = Names("max_completion_length", "num_generations", "focal_reward")
FIVE_GROUPS = [
    *(1, 0, 0, 0),
    *(1, 1, 1, 1),
    *(0, 0, 0, 0),
    *(NAN, 1, 0, 1),
    *(NAN, NAN, NAN, NAN),
]


def weighed(rewards, size, **changes):
    chosen = FocalSettings(**changes)
    table = torch.tensor(rewards, dtype=torch.float32)
    batch = FocalBatch.of(table if table.ndim == 2 else table[:, None], size, chosen)
    return batch, batch.metrics()


def miss(rate, share, size):
    """Lemma 3.1 by going through every possible group, in exact arithmetic."""
    tail = rate * share
    chances = {"tail": tail, "other right": rate - tail, "wrong": 1 - rate}
    total = Fraction(0)
    for group in itertools.product(chances, repeat=size):
        if "tail" not in group and {"other right", "wrong"} <= set(group):
            total += np.prod([chances[kind] for kind in group])
    return total


def test_the_weights_of_five_groups():
    batch, _ = weighed(FIVE_GROUPS, 4, gamma=1.0)
    third = float(np.float32(1 / 3))
    groups = [0.75, 0.0, 1.0, pytest.approx(third, rel=1e-6), 1.0]
    assert batch.weights.tolist() == [weight for weight in groups for _ in range(4)]
    assert batch.success_rates == pytest.approx([1 / 4, 1, 0, 2 / 3], rel=1e-6)
    assert batch.group_size == 4


def test_the_metrics_of_five_groups_leave_out_the_one_without_a_score():
    share = Fraction(1, 8)
    _, metrics = weighed(FIVE_GROUPS, 4, gamma=1.0, tail_share=float(share))
    rates = [Fraction(1, 4), Fraction(1), Fraction(0), Fraction(2, 3)]
    assert metrics == pytest.approx(
        {
            "focal/groups_unscored": 0.2,
            "focal/weight_mean": float(Fraction(25, 48)),
            "focal/groups_solved_all": 0.25,
            "focal/groups_solved_none": 0.25,
            "focal/groups_mixed": 0.5,
            "focal/success_rate_mean": float(Fraction(23, 48)),
            "focal/tail_miss_risk": float(sum(miss(rate, share, 4) for rate in rates) / 4),
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("share", [Fraction(1, 10), Fraction(1, 2)])
def test_the_tail_miss_risk_is_that_of_every_possible_group(size, share):
    rewards = [1.0] + [0.0] * (size - 1)
    _, metrics = weighed(rewards, size, tail_share=float(share))
    exact = float(miss(Fraction(1, size), share, size))
    assert metrics["focal/tail_miss_risk"] == pytest.approx(exact, rel=1e-6)


def test_the_square_root_of_the_failure_rate():
    batch, metrics = weighed([1, 1, 1, 0], 4, gamma=0.5)
    assert batch.weights.tolist() == [0.5] * 4
    assert metrics["focal/weight_mean"] == 0.5


def test_gamma_0_weighs_a_solved_group_1():
    assert weighed(FIVE_GROUPS, 4, gamma=0.0)[0].weights.tolist() == [1.0] * 20


def test_a_batch_without_a_score_logs_that_alone_and_weighs_1():
    batch, metrics = weighed([NAN] * 6, 3, gamma=2.0)
    assert metrics == {"focal/groups_unscored": 1.0}
    assert batch.weights.tolist() == [1.0] * 6
    assert len(batch.success_rates) == 0


@pytest.mark.parametrize(
    ("threshold", "rate"), [(0.0, 2 / 4), (0.5, 2 / 4), (0.50001, 1 / 4), (-1.0, 1.0), (1.5, 0.0)]
)
def test_the_threshold_itself_is_correct(threshold, rate):
    batch, _ = weighed([1.0, -1.0, 0.5, -0.5], 4, gamma=1.0, threshold=threshold)
    assert batch.weights.tolist() == [1 - rate] * 4


def test_an_infinite_reward_is_right_or_wrong_like_any_other():
    rewards = [np.inf, -np.inf, 3e38, -3e38, 0.5, np.nan]
    assert weighed(rewards, 6, gamma=1.0)[0].weights.tolist() == pytest.approx([2 / 5] * 6)


def test_the_threshold_is_rounded_as_the_rewards_are():
    assert weighed([0.7, 0.0], 2, gamma=1.0, threshold=0.7)[0].weights.tolist() == [0.5, 0.5]


def test_groups_of_one_reward_are_told_from_others():
    rewards = [*[0.2] * 4, *[0.1, 0.2, 0.2, 0.2], *[NAN, 1, 1, NAN], *[NAN] * 4, *[np.inf] * 4]
    batch, _ = weighed(rewards, 4)
    assert batch.equal.tolist() == [True, False, True, True]


def test_a_completion_is_judged_by_the_first_function_that_judges_it():
    rewards = [[1, 0], [NAN, 0], [NAN, 1], [NAN, NAN], *[[0, 1]] * 4]
    batch, metrics = weighed(rewards, 4, gamma=1.0)
    third = float(np.float32(1 / 3))
    assert batch.weights.tolist() == pytest.approx([third] * 4 + [1.0] * 4, rel=1e-6)
    assert metrics["focal/groups_unscored"] == 0


@given(
    st.integers(1, 6).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.lists(
                st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=size, max_size=size),
                min_size=1,
                max_size=6,
            ),
        )
    ),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)
def test_weights_and_shares_of_any_batch_are_those_counted(groups, gamma):
    size, rewards = groups[0], [reward for group in groups[1] for reward in group]
    batch, metrics = weighed(rewards, size, gamma=gamma)
    assert batch.weights.tolist() == pytest.approx(weights_of(rewards, size, gamma), abs=1e-6)
    rates = [rate for rate in fractions(rewards, size) if rate is not None]
    if not rates:
        return
    shares = [metrics[f"focal/groups_{kind}"] for kind in ("solved_all", "solved_none", "mixed")]
    counts = [rates.count(1), rates.count(0), sum(0 < rate < 1 for rate in rates)]
    assert shares == pytest.approx([count / len(rates) for count in counts])
    assert sum(shares) == pytest.approx(1)
    assert metrics["focal/success_rate_mean"] == pytest.approx(float(sum(rates)) / len(rates))


def groups_of(*rates, equal=True, **changes):
    weights = torch.ones(4 * len(rates))
    settings = FocalSettings(**changes)
    return FocalBatch(
        settings, np.array(rates, dtype=float), np.full(len(rates), equal), 4, weights
    )


FINE = groups_of(0.5, 0.25)


def told(caplog):
    """Return the warnings of the package since the last call."""
    texts = [r.getMessage() for r in caplog.records if r.name.startswith("fgrpo.")]
    caplog.clear()
    return texts


def test_cut_completions_are_told_once_after_ten_batches(caplog):
    health = Health(NAMES, 100)
    for _ in range(9):
        health.add(FINE, 0.8)
    assert told(caplog) == []
    health.add(FINE, 0.8)
    (text,) = told(caplog)
    assert "80%" in text
    assert "max_completion_length=100" in text
    for _ in range(20):
        health.add(FINE, 1.0)
    assert told(caplog) == []


@pytest.mark.parametrize(("shares", "warnings"), [([0.25, 0.75], 0), ([0.25, 0.77], 1)])
def test_half_of_the_completions_may_be_cut(caplog, shares, warnings):
    health = Health(NAMES, 100)
    for share in shares * 5:
        health.add(FINE, share)
    assert len(told(caplog)) == warnings


def test_only_the_last_ten_batches_count(caplog):
    health = Health(NAMES, 100)
    for share in [1.0] * 5 + [0.0] * 10 + [1.0] * 5:
        health.add(FINE, share)
    assert told(caplog) == []
    health.add(FINE, 0.3)  # 53% of ten, 48% of eleven
    assert len(told(caplog)) == 1


def test_an_unknown_share_of_cut_completions_is_not_counted(caplog):
    health = Health(NAMES, None)
    for _ in range(20):
        health.add(FINE, None)
    for _ in range(9):
        health.add(FINE, 1.0)
    assert told(caplog) == []


@pytest.mark.parametrize(("mixed", "warnings"), [(2, 1), (3, 1), (4, 0)])
def test_groups_without_signal_are_told_from_95_percent_of_64(caplog, mixed, warnings):
    health = Health(NAMES, 100)
    for rate in [0.0] * 50 + [1.0] * (14 - mixed) + [0.5] * mixed:
        assert told(caplog) == []
        health.add(groups_of(rate), 0.0)
    texts = told(caplog)
    assert len(texts) == warnings
    health.add(groups_of(*[0.0] * 64), 0.0)
    assert len(told(caplog)) == 1 - warnings  # once


def test_only_the_last_64_groups_count(caplog):
    Health(NAMES, 100).add(groups_of(*[0.5] * 61, *[0.0] * 3, *[1.0] * 60, 0.5), 0.0)
    assert "94% are all right and 5% all wrong" in told(caplog)[0]


@pytest.mark.parametrize(("solved", "remedy"), [(60, "too easy"), (8, "check the reward")])
def test_the_remedy_is_for_the_trouble(caplog, solved, remedy):
    Health(NAMES, 100).add(groups_of(*[1.0] * solved, *[0.0] * (64 - solved)), 0.0)
    (text,) = told(caplog)
    assert remedy in text
    assert f"{solved / 64:.0%} are all right and {1 - solved / 64:.0%} all wrong" in text


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_groups_equal_by_the_threshold_alone_are_told_as_such(caplog, rate):
    Health(NAMES, 100).add(groups_of(*[rate] * 64, threshold=0.4, equal=False), 0.0)
    (text,) = told(caplog)
    assert "focal_threshold=0.4, though their rewards differ" in text


def test_a_run_without_scores_is_not_judged_by_its_groups(caplog):
    health = Health(NAMES, 100)
    for _ in range(12):
        health.add(groups_of(), 0.1)
    assert told(caplog) == []


def test_a_fine_run_is_left_alone(caplog):
    health = Health(NAMES, 100)
    for _ in range(30):
        health.add(groups_of(0.5, 0.25, 0.0, 1.0), 0.1)
    assert told(caplog) == []


def never(completion_ids, **_):
    return [0.0] * len(completion_ids)


@pytest.mark.slow
def test_a_real_run_that_cannot_learn_is_told_both_troubles(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="fgrpo"):
        args = focal(tmp_path, max_steps=9, eval_strategy="steps", eval_steps=3)
        train(FocalGRPOTrainer, args, rewards=never, eval_dataset=questions(32))
        assert told(caplog) == []  # 9 batches of 4 groups; evaluation does not count
        train(FocalGRPOTrainer, focal(tmp_path, max_steps=18), rewards=never)
    cut, dead = told(caplog)
    assert "max_completion_length=5" in cut
    assert "of the last 64 groups 0% are all right and 100% all wrong: they tell nothing" in dead


def test_tensorboard_has_the_scalars_and_the_histograms(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    args = focal(
        tmp_path,
        report_to=["tensorboard"],
        max_steps=4,
        logging_steps=2,
        eval_strategy="steps",
        eval_steps=4,
        per_device_eval_batch_size=8,
    )
    run = train(Seen, args, eval_dataset=questions(4))
    events = EventAccumulator(str(tmp_path / "events"), {"scalars": 0, "histograms": 0}).Reload()
    # One tag cannot be both a scalar and a histogram, hence the mean's name.
    assert set(events.Tags()["histograms"]) == {
        "train/focal/success_rate",
        "eval/focal/success_rate",
    }
    for mode, steps in (("train", [2, 4]), ("eval", [4])):
        batches = [
            [float(rate) for rate in fractions([row[0] for row in batch.rewards], 4)]
            for batch in run.trainer.batches
            if batch.mode == mode
        ]
        half = len(batches) // len(steps)
        scalars = events.Scalars(f"{mode}/focal/success_rate_mean")
        histograms = events.Histograms(f"{mode}/focal/success_rate")
        assert [event.step for event in scalars] == steps
        assert [event.step for event in histograms] == steps
        for i, (scalar, histogram) in enumerate(zip(scalars, histograms, strict=True)):
            rates = np.concatenate(batches[i * half : (i + 1) * half])
            assert scalar.value == pytest.approx(rates.mean())
            assert histogram.histogram_value.num == len(rates)
            assert histogram.histogram_value.sum == pytest.approx(rates.sum())
    assert len(events.Scalars("train/focal/weight_mean")) == 2
    assert len(events.Scalars("train/focal/update_scale")) == 2


def nobody(completion_ids, **_):
    return [None] * len(completion_ids)


def test_a_window_without_a_score_has_no_histogram_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    args = focal(tmp_path, report_to=["tensorboard"], max_steps=2, logging_steps=1)
    train(FocalGRPOTrainer, args, rewards=nobody)
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert events.Tags()["histograms"] == []
    assert [one.value for one in events.Scalars("train/focal/groups_unscored")] == [1.0, 1.0]


def logger(**more):
    """Stand in for wandb or trackio: knows histograms, keeps what is logged."""
    kept = []
    return SimpleNamespace(
        Histogram=lambda values: list(values), log=kept.append, kept=kept, **more
    )


@pytest.mark.parametrize("run", [{"run": object()}, {}], ids=["wandb", "trackio"])
@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_logger_with_a_run_gets_the_histogram(monkeypatch, name, run):
    module = logger(**run)
    monkeypatch.setitem(sys.modules, name, module)
    log_histogram("train/focal/success_rate", np.array([0.5, 1.0]), 3, ["tensorboard", name], [])
    assert module.kept == [{"train/focal/success_rate": [0.5, 1.0], "train/global_step": 3}]


@pytest.mark.parametrize(
    ("module", "report_to"),
    [
        (logger(run=None), ["wandb"]),
        (logger(run=object()), ["trackio"]),
        (logger(run=object()), []),
    ],
    ids=["no run", "another logger", "none"],
)
def test_a_logger_that_is_not_running_or_not_chosen_is_not_called(monkeypatch, module, report_to):
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    log_histogram("tag", np.array([0.5]), 3, report_to, [])
    assert module.kept == []


def test_a_logger_without_histograms_is_not_called(monkeypatch):
    module = SimpleNamespace(log=lambda _: pytest.fail("called"))
    monkeypatch.setitem(sys.modules, "trackio", module)
    log_histogram("tag", np.array([0.5]), 3, ["trackio"], [SimpleNamespace(tb_writer=None)])
