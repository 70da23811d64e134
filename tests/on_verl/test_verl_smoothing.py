"""The estimator ``differential_smoothing`` against numbers worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from verl import DataProto
from verl_batches import advantages, algorithm, per_row

from fgrpo.errors import UsageError
from fgrpo.integrations.verl.step import Step

NAME = "differential_smoothing"
SETTINGS = {
    "norm_adv_by_std_in_grpo": False,
    "smoothing_gamma_p": 0.5,
    "smoothing_gamma_n": 0.25,
}
# Of each rollout: prompt, session, output, reward, and the log-probabilities of its tokens.
ROWS = [
    ("some", 0, 0, 1.0, [-1.0, -2.0, -0.5]),
    ("all", 0, 0, 1.0, [-0.25]),
    ("some", 1, 0, 0.0, [-1.5, -2.5]),
    ("none", 1, 0, 0.0, [-3.0, -1.0, -1.0, -1.0]),
    ("some", 2, 0, 0.0, [-0.5, -0.5, -0.5, -1.5]),
    ("all", 1, 0, 1.0, [-2.0, -4.0]),
    ("some", 3, 0, 0.0, [-8.0]),
    ("none", 0, 0, 0.0, [-0.125]),
    ("alone", 0, 0, 1.0, [-2.0, -2.0]),
]
MEAN = {"some": Fraction(1, 4), "all": Fraction(1), "none": Fraction(0), "alone": Fraction(1)}


def smoothed(queue, rows, config, masks=None):
    """Return one number for each row."""
    queue.rows.clear()
    for uid, session, output, reward, log_probs in rows:
        lengths = [1] * output + [len(log_probs)]
        queue.store(uid, session, lengths, reward)
        queue.put("old_log_probs", {f"{uid}_{session}_{output}": torch.tensor(log_probs)})
    keys = [f"{uid}_{session}_{output}" for uid, session, output, _, _ in rows]
    for key, mask in (masks or {}).items():
        queue.rows[key]["response_mask"] = torch.tensor(mask)
    data = as_data(queue, keys)
    with Step(keys, "train").running():
        return per_row(advantages(data, config, NAME), data)


def as_data(queue, keys):
    stored = queue.kv_batch_get(keys, "train", ["uid", "response_mask", "rm_scores"])
    uids = np.array(list(stored["uid"]), dtype=object)
    data = DataProto(batch=stored.select("response_mask", "rm_scores").to_padded_tensor())
    data.batch["token_level_rewards"] = data.batch.pop("rm_scores")
    data.non_tensor_batch["uid"] = uids
    return data


def by_hand(rows, how):
    found = []
    for uid, _, _, reward, log_probs in rows:
        total = sum(map(Fraction, log_probs))
        log_prob = total / len(log_probs) if how == "mean" else total
        shift = -Fraction(1, 2) * log_prob if reward else Fraction(1, 4) * log_prob
        # A prompt's only rollout has nothing to be compared with.
        found.append(Fraction(reward) - MEAN[uid] + shift)
    return found


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_right_rollouts_are_lifted_and_wrong_ones_lowered(queue, how):
    config = algorithm(**SETTINGS, smoothing_log_prob=how)
    assert smoothed(queue, ROWS, config) == pytest.approx([float(x) for x in by_hand(ROWS, how)])


def test_one_group_written_out(queue):
    found = smoothed(queue, [row for row in ROWS if row[0] == "some"], algorithm(**SETTINGS))
    # 3/4 + 3.5/2, and -1/4 minus a quarter of 4, of 3 and of 8.
    assert found == [2.5, -1.25, -1.0, -2.25]


def test_the_sum_is_the_default(queue):
    config = algorithm(**SETTINGS)
    explicit = algorithm(**SETTINGS, smoothing_log_prob="sum")
    assert smoothed(queue, ROWS, config) == smoothed(queue, ROWS, explicit)


def test_with_verls_deviation_the_shift_stays_as_it_is(queue):
    rows = [row for row in ROWS if row[0] == "some"]
    config = algorithm(**{**SETTINGS, "norm_adv_by_std_in_grpo": True})
    # One of four is 1: the sample's deviation is √((9 + 3)/16/3) = 1/2.
    expected = [3 / 2 + 1.75, -1 / 2 - 1, -1 / 2 - 0.75, -1 / 2 - 2]
    assert smoothed(queue, rows, config) == pytest.approx(expected, rel=1e-5)


def test_factors_of_0_are_grpo(queue):
    zero = {**SETTINGS, "smoothing_gamma_p": 0, "smoothing_gamma_n": 0}
    found = smoothed(queue, ROWS, algorithm(**zero))
    assert found == [float(Fraction(row[3]) - MEAN[row[0]]) for row in ROWS]


def test_the_threshold_tells_what_is_correct(queue):
    rows = [("a", 0, 0, 0.25, [-4.0]), ("a", 1, 0, 0.75, [-2.0])]
    high, low = (algorithm(**SETTINGS, focal_threshold=t) for t in (0.5, 0.25))
    assert smoothed(queue, rows, high) == [-0.25 - 1, 0.25 + 1]
    assert smoothed(queue, rows, low) == [-0.25 + 2, 0.25 + 1]


@pytest.mark.parametrize(("how", "expected"), [("sum", 1.5), ("mean", 1.0)])
def test_tokens_the_model_did_not_write_do_not_count(queue, how, expected):
    rows = [("a", 0, 0, 1.0, [-1.0, -64.0, -1.0]), ("a", 1, 0, 0.0, [0.0])]
    config = algorithm(**SETTINGS, smoothing_log_prob=how)
    found = smoothed(queue, rows, config, {"a_0_0": [1, 0, 1]})
    assert found == [expected, -0.5]


@pytest.mark.parametrize("how", ["sum", "mean"])
def test_a_row_without_tokens_has_no_advantage(queue, how):
    rows = [("a", 0, 0, 1.0, [-1.0]), ("a", 1, 0, 0.0, [-4.0]), ("pad", 0, 0, 0.0, [-7.0])]
    config = algorithm(**SETTINGS, smoothing_log_prob=how)
    assert smoothed(queue, rows, config, {"pad_0_0": [0]}) == [1.0, -1.5, 0]


def test_the_last_output_speaks_for_its_rollout(queue):
    rows = [("a", 0, 1, 1.0, [-2.0, -2.0]), ("a", 0, 0, 1.0, [-100.0]), ("a", 1, 0, 0.0, [-4.0])]
    assert smoothed(queue, rows, algorithm(**SETTINGS)) == [2.5, 2.5, -1.5]


def test_outside_a_focal_trainer_it_says_what_to_set(queue):
    queue.store("a", 0, [2], 1.0)
    with pytest.raises(UsageError, match=r"log-probabilities.*trainer.v1.trainer_mode=focal_sync"):
        advantages(as_data(queue, ["a_0_0"]), algorithm(**SETTINGS), NAME)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"smoothing_gamma_p": None}, r"\+algorithm.smoothing_gamma_p=None: give a number"),
        ({"smoothing_gamma_n": None}, r"\+algorithm.smoothing_gamma_n=None: give a number"),
        ({"smoothing_gamma_p": -0.1}, r"\+algorithm.smoothing_gamma_p=-0.1: .*at least 0"),
        ({"smoothing_gamma_n": float("inf")}, r"\+algorithm.smoothing_gamma_n=inf: .*finite"),
        ({"smoothing_gamma_n": "1"}, r"\+algorithm.smoothing_gamma_n='1': "),
        ({"smoothing_log_prob": "max"}, "smoothing_log_prob=max: choose sum or mean"),
        ({"focal_treshold": 1}, "focal_treshold is no setting"),
    ],
)
def test_what_is_refused(queue, settings, what):
    with pytest.raises(UsageError, match=what):
        smoothed(queue, ROWS, algorithm(**{**SETTINGS, **settings}))


def test_both_factors_must_be_given(queue):
    with pytest.raises(UsageError, match="smoothing_gamma_p=None"):
        smoothed(queue, ROWS, algorithm(norm_adv_by_std_in_grpo=False))


def test_its_groups_are_logged_and_none_is_weighed(queue):
    for uid, rewards in {"a": [1.0, 0.0], "b": [1.0, 1.0]}.items():
        for session, reward in enumerate(rewards):
            queue.store(uid, session, [1], reward)
            queue.put("old_log_probs", {f"{uid}_{session}_0": torch.tensor([-1.0])})
    keys = ["a_0_0", "b_0_0", "b_1_0", "a_1_0"]
    with Step(keys, "train").running() as step:
        advantages(as_data(queue, keys), algorithm(**SETTINGS), NAME)
    expected = {"weight_mean": 1, "groups_solved_all": 0.5, "groups_mixed": 0.5}
    assert {name: step.metrics[f"focal/{name}"] for name in expected} == expected
    assert "focal/update_scale" not in step.metrics
