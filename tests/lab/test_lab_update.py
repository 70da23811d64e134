from __future__ import annotations

import copy
import math
from typing import get_args

import pytest
import torch

from fgrpo.errors import RunError
from fgrpo.lab import train, update
from fgrpo.lab.sampling import sample
from fgrpo.lab.settings import CLIP_BOUNDS, Recipe, TrainSettings
from fgrpo.lab.update import apply_gradient, make_optimizer, policy_update
from fgrpo.lab.weights import load_model, save_model

PAD, EOS = 0, 1
METHODS = {"grpo": (0.2, 0.2), "dapo": (0.2, 0.28), "cispo": (1.0, 5.0)}
# Temperature and noise at which the clips matter.
SAMPLED = {"grpo": (1.0, 0.4), "dapo": (0.7, 0.4), "cispo": (1.0, 1.5)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def settings_of(**fields):
    """Settings without clipping of the norm, so that the raw gradient can be read."""
    return TrainSettings(**{"max_grad_norm": 1e9, "prompts_per_step": 4, "group_size": 5, **fields})


def gradients(model):
    return [parameter.grad.clone() for parameter in model.parameters()]


def step_once(model, batch, settings, **options):
    model = copy.deepcopy(model)
    optimizer = make_optimizer(model, settings)
    options = {"step": 0, "generator": seeded(), **options}
    figures = policy_update(model, optimizer, *batch, settings, **options)
    return model, figures


def plain_loss(model, batch, method, bounds, aggregate, temperature, groups, separate):
    """The loss written out: every rollout by itself, token by token (paper, eq. 3 and app. B).

    Returns the loss and the shares of the active groups' tokens clipped low and high.
    """
    rollouts, advantages = batch
    lowest, highest = 1 - bounds[0], 1 + bounds[1]
    total = torch.zeros(())
    n_tokens = n_sequences = n_active = n_low = n_high = 0
    for g in groups:
        for n in range(rollouts.tokens.shape[1]):
            length = int(rollouts.lengths[g, n])
            said = rollouts.tokens[g, n, :length]
            new = separate(model, rollouts.prompts[g], said, temperature)
            advantage = float(advantages[g, n])
            of_sequence = torch.zeros(())
            for t in range(length):
                ratio = (new[t] - rollouts.logprobs[g, n, t]).exp()
                r = float(ratio.detach())
                clipped = min(max(r, lowest), highest)
                if method == "cispo":
                    value = clipped * advantage * new[t]
                    low, high = r < lowest, r > highest
                else:
                    unclipped_is_less = r * advantage <= clipped * advantage
                    value = (ratio if unclipped_is_less else clipped) * advantage
                    low = not unclipped_is_less and r < lowest
                    high = not unclipped_is_less and r > highest
                of_sequence = of_sequence + value
                if advantages[g].any():
                    n_active += 1
                    n_low += low
                    n_high += high
            total = total + (of_sequence if aggregate == "token_mean" else of_sequence / length)
            n_tokens += length
            n_sequences += 1
    loss = -total / (n_tokens if aggregate == "token_mean" else n_sequences)
    return loss, n_low / max(n_active, 1), n_high / max(n_active, 1)


def test_every_method_is_tested_with_the_papers_bounds():
    assert METHODS == CLIP_BOUNDS
    assert METHODS.keys() == update.LOSSES.keys()
    assert set(METHODS) == set(get_args(TrainSettings.model_fields["method"].annotation))


@pytest.mark.parametrize("micro_batch_tokens", [1, 32, 4096])
@pytest.mark.parametrize("aggregate", ["token_mean", "sequence_mean"])
@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_is_the_plain_one(
    method, aggregate, micro_batch_tokens, make_model, make_batch, separate
):
    temperature, noise = SAMPLED[method]
    model = make_model(seed=2)
    batch = make_batch(model, temperature=temperature, noise=noise)
    settings = settings_of(
        method=method,
        aggregate=aggregate,
        temperature=temperature,
        micro_batch_tokens=micro_batch_tokens,
    )
    reference = copy.deepcopy(model)
    loss, low, high = plain_loss(
        reference, batch, method, METHODS[method], aggregate, temperature, range(4), separate
    )
    loss.backward()
    assert high > 0  # the clips matter
    assert low > 0 or method == "cispo"  # whose lower bound is a ratio of 0

    updated, figures = step_once(model, batch, settings)
    expected = gradients(reference)
    largest = max(float(gradient.abs().max()) for gradient in expected)
    assert largest > 1e-3
    for ours, theirs in zip(gradients(updated), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5 * largest, rtol=0)
    assert figures["loss"] == pytest.approx(float(loss.detach()), abs=1e-5)
    assert figures["clip_fraction_low"] == pytest.approx(low, abs=1e-6)
    assert figures["clip_fraction_high"] == pytest.approx(high, abs=1e-6)
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in expected))
    assert figures["grad_norm"] == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_given_bounds_replace_those_of_the_method(method, make_model, make_batch, separate):
    model = make_model(seed=2)
    batch = make_batch(model)
    settings = settings_of(method=method, clip_low=0.1, clip_high=0.05)
    reference = copy.deepcopy(model)
    loss, low, high = plain_loss(
        reference, batch, method, (0.1, 0.05), "token_mean", 1.0, range(4), separate
    )
    loss.backward()
    updated, figures = step_once(model, batch, settings)
    for ours, theirs in zip(gradients(updated), gradients(reference), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert figures["clip_fraction_low"] == pytest.approx(low, abs=1e-6)
    assert figures["clip_fraction_high"] == pytest.approx(high, abs=1e-6)


def test_sampled_rollouts_have_ratios_of_one(make_model):
    # Ties the sampler's log-probabilities to those of training: any difference would be clipped.
    model = make_model(seed=1)
    prompts = torch.randint(0, 8, (6, 5), generator=seeded())
    rollouts = sample(
        model,
        prompts,
        8,
        max_tokens=5,
        eos=EOS,
        pad=PAD,
        generator=seeded(),
        temperature=0.8,
    )
    rewards = (rollouts.tokens[..., 0] % 2).float()
    batch = (rollouts, rewards - rewards.mean(1, keepdim=True))
    settings = settings_of(temperature=0.8, clip_low=1e-4, clip_high=1e-4)
    _, figures = step_once(model, batch, settings)
    assert figures["clip_fraction_low"] == figures["clip_fraction_high"] == 0
    assert figures["grad_norm"] > 0
    # The same rollouts, taken for those of another temperature, are clipped.
    _, figures = step_once(model, batch, settings.model_copy(update={"temperature": 1.0}))
    assert figures["clip_fraction_low"] > 0.05


@pytest.mark.parametrize(("minibatches", "epochs"), [(2, 2), (4, 1), (1, 3), (3, 2)])
def test_several_updates_are_those_of_a_plain_loop(
    minibatches, epochs, make_model, make_batch, separate, monkeypatch
):
    model = make_model(seed=2)
    batch = make_batch(model, noise=0.2)
    settings = settings_of(
        minibatches=minibatches,
        epochs=epochs,
        learning_rate=0.01,
        max_grad_norm=0.1,
        warmup_steps=3,
        micro_batch_tokens=32,
    )
    dealt = []
    collect = update.distinct_responses

    def spy(rollouts, advantages):
        same = (rollouts.prompts[:, None] == batch.rollouts.prompts).all(-1)
        dealt.append(same.long().argmax(1).tolist())
        return collect(rollouts, advantages)

    monkeypatch.setattr(update, "distinct_responses", spy)
    updated, figures = step_once(model, batch, settings)
    assert len(dealt) == minibatches * epochs
    for epoch in range(epochs):
        parts = dealt[epoch * minibatches : (epoch + 1) * minibatches]
        assert sorted(g for part in parts for g in part) == [0, 1, 2, 3]  # every group once
        assert max(map(len, parts)) - min(map(len, parts)) <= 1

    reference = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1.0, weight_decay=0.01)
    seen = {"loss": [], "clip_fraction_low": [], "clip_fraction_high": [], "grad_norm": []}
    for number, groups in enumerate(dealt):
        optimizer.zero_grad(set_to_none=False)
        loss, low, high = plain_loss(
            reference, batch, "grpo", (0.2, 0.2), "token_mean", 1.0, groups, separate
        )
        if loss.requires_grad:
            loss.backward()
        for parameter in reference.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients(reference)))
        for parameter in reference.parameters():
            parameter.grad *= min(1.0, 0.1 / (norm + 1e-6))
        optimizer.param_groups[0]["lr"] = 0.01 * min(1.0, (number + 1) / 3)
        optimizer.step()
        for name, value in zip(seen, (float(loss.detach()), low, high, norm), strict=True):
            seen[name].append(value)
    for ours, theirs in zip(updated.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)
    for name, values in seen.items():
        assert figures[name] == pytest.approx(sum(values) / len(values), abs=2e-3), name


def test_as_many_updates_as_minibatches_however_they_divide(make_model, make_batch, monkeypatch):
    model = make_model()
    rollouts, advantages = make_batch(model)
    seven = [0, 2, 3, 0, 2, 3, 0]
    batch = (type(rollouts)(*(field[seven] for field in rollouts)), advantages[seven])
    sizes = []
    collect = update.distinct_responses
    monkeypatch.setattr(
        update, "distinct_responses", lambda r, a: sizes.append(len(r.prompts)) or collect(r, a)
    )
    step_once(model, batch, settings_of(minibatches=5, prompts_per_step=7))
    assert sorted(sizes) == [1, 1, 1, 2, 2]


def test_later_updates_of_a_batch_meet_the_clip(make_model, make_batch):
    model = make_model(seed=2)
    batch = make_batch(model, noise=0.0)  # on policy
    _, one = step_once(model, batch, settings_of(learning_rate=0.05))
    assert one["clip_fraction_low"] == one["clip_fraction_high"] == 0
    for several in ({"minibatches": 2}, {"epochs": 2}):
        _, figures = step_once(model, batch, settings_of(learning_rate=0.05, **several))
        assert figures["clip_fraction_low"] > 0
        assert figures["clip_fraction_high"] > 0


def test_without_active_groups_only_momentum_and_decay_act(make_model, make_batch):
    model = make_model(seed=2)
    rollouts, advantages = make_batch(model)
    settings = settings_of(learning_rate=0.01, weight_decay=0.1)
    optimizer = make_optimizer(model, settings)
    options = {"generator": seeded()}
    policy_update(model, optimizer, rollouts, advantages, settings, step=0, **options)

    reference = copy.deepcopy(model)
    theirs = torch.optim.AdamW(reference.parameters(), lr=0.01, weight_decay=0.1)
    theirs.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for parameter in reference.parameters():
        parameter.grad = torch.zeros_like(parameter)
    theirs.step()

    before = copy.deepcopy(model.state_dict())
    figures = policy_update(
        model, optimizer, rollouts, torch.zeros_like(advantages), settings, step=1, **options
    )
    assert figures == dict.fromkeys(
        ("loss", "clip_fraction_low", "clip_fraction_high", "grad_norm"), 0.0
    )
    assert any(not torch.equal(before[name], t) for name, t in model.state_dict().items())
    for a, b in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(a, b)

    # A fresh optimiser without decay has neither.
    still = settings_of(learning_rate=0.01, weight_decay=0.0)
    same, _ = step_once(model, (rollouts, torch.zeros_like(advantages)), still)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("constant", [0.25, 0.5, 0.75, 1.0, 1.0]), ("linear", [0.25, 0.4, 0.45, 0.4, 0.2])],
)
def test_schedule_and_norm_clip_decide_the_length_of_a_step(make_model, schedule, factors):
    model = make_model()
    settings = settings_of(learning_rate=0.5, warmup_steps=4, max_grad_norm=0.25, schedule=schedule)
    optimizer = torch.optim.SGD(model.parameters(), lr=123.0)
    norms = [3.0, 7.0, 0.1, 2.0, 2.0]
    for number, (norm, factor) in enumerate(zip(norms, factors, strict=True)):
        directions = [torch.randn(p.shape, generator=seeded(number)) for p in model.parameters()]
        length = math.sqrt(sum(float((d**2).sum()) for d in directions))
        for parameter, direction in zip(model.parameters(), directions, strict=True):
            parameter.grad = direction * norm / length
        before = [p.detach().clone() for p in model.parameters()]
        before_clipping = apply_gradient(model, optimizer, settings, number, len(norms))
        assert before_clipping == pytest.approx(norm, rel=1e-4)
        applied = [(a - b).detach() for a, b in zip(before, model.parameters(), strict=True)]
        moved = math.sqrt(sum(float((a**2).sum()) for a in applied))
        assert moved == pytest.approx(0.5 * factor * min(norm, 0.25), rel=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(make_model, bad):
    model = make_model()
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, bad)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(RunError, match=r"update 7: .*lower learning_rate \(0\.5\)"):
        apply_gradient(model, optimizer, settings_of(learning_rate=0.5), 7, 10)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_warm_up_goes_on_over_batches(make_model, make_batch):
    model = make_model()
    batch = make_batch(model)
    settings = settings_of(learning_rate=0.01, warmup_steps=10, minibatches=2, epochs=2)
    optimizer = make_optimizer(model, settings)
    rates = []
    for step in range(4):
        policy_update(model, optimizer, *batch, settings, step=step, generator=seeded(step))
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.004, 0.008, 0.01, 0.01])  # after 4, 8, 12, 16 updates


def test_adamw_is_the_papers(make_model):
    settings = settings_of(learning_rate=0.003, weight_decay=0.02)
    (group,) = make_optimizer(make_model(), settings).param_groups
    assert group["betas"] == (0.9, 0.999)
    assert (group["lr"], group["weight_decay"], group["eps"]) == (0.003, 0.02, 1e-8)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_update_twice_is_bit_for_bit_the_same(precision, make_model, make_batch):
    model = make_model(seed=2)
    batch = make_batch(model)
    settings = settings_of(minibatches=2, epochs=2, learning_rate=0.01, micro_batch_tokens=40)
    first, again, dealt_otherwise = (
        step_once(model, batch, settings, generator=seeded(seed), precision=precision)
        for seed in (5, 5, 8)
    )
    assert first[1] == again[1]
    for a, b in zip(first[0].parameters(), again[0].parameters(), strict=True):
        assert torch.equal(a, b)
    assert first[1] != dealt_otherwise[1]


def test_bf16_gradients_are_close(make_model, make_batch):
    model = make_model(seed=2, spread=0.3)
    batch = make_batch(model, noise=0.0)
    # Bounds so wide that rounding decides no clip.
    settings = settings_of(clip_low=1.0, clip_high=10.0)
    exact, _ = step_once(model, batch, settings)
    rounded, _ = step_once(model, batch, settings, precision="bf16")
    a = torch.cat([gradient.flatten() for gradient in gradients(exact)])
    b = torch.cat([gradient.flatten() for gradient in gradients(rounded)])
    assert b.dtype == torch.float32
    assert 1e-5 < float((a - b).norm() / a.norm()) < 0.1


@pytest.fixture
def tiny_recipe(tmp_path):
    def make(**arm):
        return Recipe.model_validate(
            {
                "name": "tiny",
                "maze": {"size": 5, "max_response_tokens": 8},
                "model": {
                    "hidden_size": 16,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "num_key_value_heads": 1,
                    "intermediate_size": 16,
                },
                "train": {"prompts_per_step": 5, "group_size": 4, "steps": 3},
                "arms": [{"name": "arm", **arm}],
                "evaluation": {"problems": 2, "samples": 2},
            }
        )

    return make


@pytest.fixture
def run_arm(tmp_path, make_model, monkeypatch, tiny_recipe):
    """Train with made-up rewards: group i has i right answers of four; return what was seen."""

    def run(folder, **arm):
        recipe = tiny_recipe(**arm)
        model = make_model(layers=1, heads=2, kv_heads=1, intermediate=16, vocab=32)
        save_model(tmp_path / "base", model, max_positions=64, bos=1, eos=2)
        rewards = (torch.arange(4) < torch.arange(5)[:, None]).float()
        monkeypatch.setattr(
            train.MazeTask,
            "rewards",
            lambda self, walls, tokens: rewards[: len(walls), : tokens.shape[1]],
        )
        seen = []

        def spy(model, optimizer, rollouts, advantages, settings, **options):
            seen.append((rollouts, advantages))
            return policy_update(model, optimizer, rollouts, advantages, settings, **options)

        monkeypatch.setattr(train, "policy_update", spy)
        train.train_arm(
            recipe,
            recipe.arms[0],
            seed=0,
            base=tmp_path / "base",
            folder=tmp_path / folder,
            device=torch.device("cpu"),
            progress=lambda done, text: None,
        )
        return seen, load_model(tmp_path / folder / "model")

    return run


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_gamma_scales_each_groups_advantages(gamma, run_arm):
    (plain, *_), _ = run_arm("plain", gamma=0.0)
    (focal, *_), _ = run_arm("focal", gamma=gamma)
    assert torch.equal(plain[0].tokens, focal[0].tokens)  # arms share their first batch
    # Hand computed: one of four right, R − mean = (3/4, −1/4 …), s = 1/2.
    assert plain[1][1].tolist() == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-5)
    assert not plain[1][0].any()
    assert not plain[1][4].any()
    for right in range(5):
        expected = plain[1][right] * (1 - right / 4) ** gamma
        torch.testing.assert_close(focal[1][right], expected, atol=1e-6, rtol=0)


def test_an_arm_trained_twice_is_bit_for_bit_the_same(run_arm):
    _, first = run_arm("one", gamma=0.5, minibatches=2, learning_rate=0.01)
    _, again = run_arm("two", gamma=0.5, minibatches=2, learning_rate=0.01)
    _, other = run_arm("three", gamma=1.0, minibatches=2, learning_rate=0.01)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert not torch.equal(first.model.norm.weight, other.model.norm.weight)
