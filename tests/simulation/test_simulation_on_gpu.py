"""All runs side by side in torch, here mostly on the CPU."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from fgrpo import focal_advantages
from fgrpo.errors import RunError, UsageError
from fgrpo.simulation.on_gpu import simulate_all
from fgrpo.simulation.policy import Policy
from fgrpo.simulation.run_id import Run
from fgrpo.simulation.settings import UpdateSettings

torch = pytest.importorskip("torch")

from fgrpo.simulation import batch as batches  # noqa: E402
from fgrpo.simulation import splitmix  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = Policy.anchored(40, 8, anchor=3.0, others=1.0, wrong=0.0)
RUNS = [Run(2, 0.0, 0), Run(6, 1.0, 0), Run(16, 0.5, 1), Run(64, 2.0, 2)]


def new_batch(policy=SMALL, update=None, runs=RUNS, steps=20, draws=1 << 20):
    return batches.Batch(policy, update or UpdateSettings(), runs, steps, "cpu", draws)


# The random bits


def bits(start, n):
    made = splitmix.mixed(start + torch.arange(1, n + 1) * splitmix.GOLDEN)
    return [int(x) % 2**64 for x in made]


def test_the_bits_are_those_of_splitmix64():
    """The first five of seed 1234567, as Vigna's C program prints them."""
    assert bits(1234567, 5) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_the_bits_are_those_of_arithmetic_without_signs():
    start, mask = 0xFEDCBA9876543210, 2**64 - 1
    wanted = []
    for i in range(1, 50):
        x = (start + i * 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        wanted.append(x ^ (x >> 31))
    assert bits(splitmix.wrapped(start), 49) == wanted


def test_a_shift_brings_in_zeros():
    x = torch.tensor([-1, 5 << 11, -(1 << 63)])
    assert splitmix.shifted(x, 11).tolist() == [2**53 - 1, 5, 1 << 52]


def test_a_run_has_its_own_randomness():
    runs = [Run(n, g, s) for n in (2, 4) for g in (0.0, 0.5, 1.0) for s in (0, 1, 1 << 32)]
    firsts = {int(run.rng().integers(1 << 62)) for run in runs}
    assert len(firsts) == len(runs)
    assert int(Run(2, -0.0, 0).rng().integers(1 << 62)) in firsts
    starts = new_batch(runs=runs, steps=50).starts
    assert len(set(starts.flatten().tolist())) == 50 * len(runs)
    assert starts[:, 3].tolist() == new_batch(runs=[runs[3]], steps=50).starts[:, 0].tolist()


# The groups


def test_a_group_has_as_many_draws_as_its_size():
    b = new_batch()
    for t in range(20):
        b.weigh()
        b.draw(t)
        assert b.counts.sum(dim=1).tolist() == [run.group_size for run in RUNS]


def pooled(policy, runs, steps, **kwargs):
    """Counts of all groups of a policy that stands still, and every action's probability."""
    b = new_batch(policy, runs=runs, steps=steps, **kwargs)
    b.weigh()
    counts = []
    for t in range(steps):
        b.draw(t)
        counts.append(b.counts.numpy().copy())
    z = b.z[0].numpy()
    return np.stack(counts), np.exp(z) / np.exp(z).sum()


@pytest.mark.parametrize("draws", [1 << 20, 7, 1])
def test_counts_are_multinomial(draws):
    steps = 2000 if draws > 1 else 300
    counts, p = pooled(SMALL, [Run(5, 0.0, 0), Run(5, 1.0, 0), Run(32, 0.0, 3)], steps, draws=draws)
    for r, n in enumerate((5, 5, 32)):
        group = counts[:, r]
        assert stats.chisquare(group.sum(axis=0), steps * n * p).pvalue > 1e-3
        # Each number of times that an action comes is as frequent as with a binomial.
        for i in np.argsort(p)[-2:]:
            seen = np.bincount(group[:, i].astype(int), minlength=n + 1)
            wanted = steps * stats.binom.pmf(np.arange(n + 1), n, p[i])
            enough = wanted > 5
            assert (
                stats.chisquare(
                    [*seen[enough], seen[~enough].sum()], [*wanted[enough], wanted[~enough].sum()]
                ).pvalue
                > 1e-3
            )
        # Groups do not resemble the one before, nor another run's.
        for other in (group[1:], np.roll(counts[:, (r + 1) % 3], 1, axis=0)[1:]):
            assert abs(np.corrcoef(group[:-1, -1], other[:, -1])[0, 1]) < 4 / steps**0.5
            assert abs(np.corrcoef(group[:-1, 7], other[:, 7])[0, 1]) < 4 / steps**0.5


def test_pieces_of_a_large_group_are_the_group():
    whole, _ = pooled(SMALL, RUNS, 5)
    for draws in (50, 13, 1):
        assert np.array_equal(whole, pooled(SMALL, RUNS, 5, draws=draws)[0])


@pytest.fixture
def pieces(monkeypatch):
    """How many draws each search makes."""
    made, search = [], torch.searchsorted

    def spy(sums, u, **kwargs):
        made.append(u.numel())
        return search(sums, u, **kwargs)

    monkeypatch.setattr(torch, "searchsorted", spy)
    return made


@pytest.mark.parametrize("draws", [50, 13, 4, 1])
def test_no_more_is_drawn_at_once_than_allowed(pieces, draws):
    runs = [Run(6, 0.0, seed) for seed in range(7)] + [Run(64, 0.0, 0)]
    b = new_batch(runs=runs, draws=draws)
    b.weigh()
    b.draw(0)
    assert max(pieces) <= draws
    assert sum(pieces) == 7 * 6 + 64


def test_runs_of_one_group_size_are_drawn_together(pieces):
    runs = [Run(n, gamma, 0) for gamma in (0.0, 1.0) for n in (16, 4, 64)]
    simulate_all(SMALL, UpdateSettings(), runs, steps=1, device="cpu")
    assert pieces == [8, 32, 128]


def unmixed(x):
    """Return the counter whose random bits are ``x``."""
    mask = 2**64 - 1

    def unshifted(x, places):
        y = x
        for _ in range(64 // places):
            y = x ^ (y >> places)
        return y

    x = unshifted(x, 31) * pow(0x94D049BB133111EB, -1, 2**64) & mask
    x = unshifted(x, 27) * pow(0xBF58476D1CE4E5B9, -1, 2**64) & mask
    return unshifted(x, 30)


@pytest.mark.parametrize(("random", "column"), [(0, 7), (2**64 - 1, 25)])
def test_the_extreme_uniforms_fall_on_actions_that_are_possible(random, column):
    """The first 7 actions have no weight, nor have the last 5; weights of many bits between."""
    z = np.r_[np.full(7, -900.0), 0.1, np.log(np.linspace(0.3, 0.9, 18)), np.full(5, -900.0)]
    correct = np.arange(31) < 8
    b = new_batch(Policy.from_logits(z, correct), runs=[Run(2, 0.0, 0)])
    b.starts[0, 0] = splitmix.wrapped(unmixed(random) - splitmix.GOLDEN)
    assert bits(b.starts[0, 0], 1) == [random]
    b.z[0] = torch.as_tensor(z)
    b.weigh()
    b.draw(0)
    assert b.counts[0, column] >= 1
    assert b.counts[0, 7:26].sum() == 2


def test_rare_actions_are_drawn_as_often_as_they_should():
    """50,000 actions of a billionth each, and one that takes nearly all."""
    z = np.r_[np.log(1 - 5e-5), np.full(50_000, np.log(1e-9)), -800.0]
    policy = Policy.from_logits(z, np.r_[False, np.ones(50_000, bool), False])
    counts, p = pooled(policy, [Run(100_000, 0.0, 0)], 60)
    assert p[:50_000] == pytest.approx(1e-9, rel=1e-9)
    drawn = counts[:, 0, :50_000].sum()
    assert abs(drawn - 300) < 4 * 300**0.5  # 60 · 100,000 · 5e-5
    assert counts[:, 0, 50_000 + np.argmin(p[50_000:])].sum() == 0  # impossible
    assert counts[:, 0, :50_000].max(axis=0).sum() > 0.9 * drawn  # hardly ever the same


# A step


def independent_step(z, optimizer, advantages, actions, correct, surrogate):
    """The surrogate's gradient by autograd, the step by torch's own optimiser."""
    optimizer.zero_grad()
    p = torch.softmax(z, dim=0)[actions]
    ratio = p / p.detach() if surrogate == "ratio" else p
    (torch.as_tensor(advantages) * ratio).mean().backward()
    optimizer.step()


def description(p, first, correct, tail, drawn):
    """The six columns, by sets of actions."""
    right = [i for i in range(len(p)) if correct[i]]
    mixed = 0 < sum(correct[i] for i in drawn) < len(drawn)
    return [
        sum(p[i] for i in right),
        1 - sum(max(0.0, first[i] - p[i]) for i in right) / sum(first[i] for i in right),
        stats.entropy(p),
        sum(p[i] for i in right if i not in set(drawn)),
        len(set(tail) - set(drawn)) / len(tail) if mixed else 0.0,
        sum(correct[i] for i in drawn) / len(drawn),
    ]


@pytest.mark.parametrize("surrogate", ["ratio", "probability"])
@pytest.mark.parametrize("scale", ["none", "std", "population_std"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_steps_are_those_of_autograd_and_of_torchs_optimisers(surrogate, scale, optimizer):
    """From the same groups, the description and the logits of every step agree."""
    update = UpdateSettings(
        reward_correct=2.0,
        reward_wrong=-0.5,
        learning_rate=0.3 if optimizer == "adam" else 3.0,
        optimizer=optimizer,
        scale=scale,
        surrogate=surrogate,
    )
    policy = Policy.anchored(12, 4, anchor=2.0, others=0.5, wrong=0.0)
    # Columns: three of the tail, the anchor, eight wrong ones.
    correct = np.arange(12) < 4
    tail = [0, 1, 2]
    initial = np.array([0.5] * 3 + [2.0] + [0.0] * 8)
    first = np.exp(initial) / np.exp(initial).sum()
    b = new_batch(policy, update, RUNS, steps=15)
    kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
    logits = [torch.tensor(initial, requires_grad=True) for _ in RUNS]
    optimizers = [kind([z], lr=update.learning_rate, maximize=True) for z in logits]
    inactive = 0
    for t in range(15):
        b.weigh()
        b.draw(t)
        if t == 4:  # all correct, all wrong: Adam goes on by its momentum
            b.counts[:] = 0.0
            b.counts[:, 1], b.counts[1, 1], b.counts[1, 9] = b.n[:, 0], 0.0, 6.0
        rows = b.describe().numpy()
        groups = [np.repeat(np.arange(12), c.astype(int)) for c in b.counts.numpy()]
        b.move(t)
        for r, (run, actions) in enumerate(zip(RUNS, groups, strict=True)):
            p = torch.softmax(logits[r].detach(), dim=0).numpy()
            assert rows[r] == pytest.approx(
                description(p, first, correct, tail, list(actions)), abs=1e-9
            )
            rewards = np.where(correct[actions], 2.0, -0.5)
            inactive += len(set(rewards)) == 1
            advantages = focal_advantages(
                rewards, run.group_size, gamma=run.gamma, scale=scale, epsilon=1e-6
            )
            independent_step(logits[r], optimizers[r], advantages, actions, correct, surrogate)
            assert b.z[r].numpy() == pytest.approx(logits[r].detach().numpy(), abs=1e-7)
    assert 4 <= inactive < 40
    assert np.abs(b.z.numpy() - initial).max() > 0.1  # it did move


# Whole runs


def test_rows():
    """Every column has its bounds, the group's are missing in the last row."""
    for trajectory in simulate_all(SMALL, UpdateSettings(), RUNS, steps=30, device="cpu"):
        rows = trajectory.rows
        assert rows.shape == (31, 6)
        assert np.isfinite(rows[:-1]).all()
        assert np.isfinite(rows[-1]).tolist() == [True] * 3 + [False] * 3
        assert trajectory.q_pos[0] == pytest.approx(SMALL.success_rate, abs=1e-12)
        assert trajectory.m_ret[0] == pytest.approx(1.0, abs=1e-12)
        assert trajectory.q_pos[-1] != trajectory.q_pos[-2]
        assert (trajectory.unsampled_correct[:-1] <= trajectory.q_pos[:-1]).all()
        assert (rows[:-1] >= -1e-12).all()
        assert (rows[:-1, [0, 1, 3, 4, 5]] <= 1 + 1e-12).all()
    assert trajectory.success_rate[:-1] * 64 == pytest.approx(
        np.round(trajectory.success_rate[:-1] * 64)
    )


def test_a_run_does_not_depend_on_the_runs_beside_it():
    update = UpdateSettings(learning_rate=0.1)
    kwargs = {"steps": 45, "device": "cpu"}
    together = simulate_all(SMALL, update, RUNS, **kwargs)
    backwards = simulate_all(SMALL, update, RUNS[::-1], **kwargs)[::-1]
    apart = [simulate_all(SMALL, update, [run], **kwargs)[0] for run in RUNS]
    # One run at a time, as the memory allows no more, and groups in pieces.
    in_turn = simulate_all(SMALL, update, RUNS, **kwargs, memory=5000)
    shorter = simulate_all(SMALL, update, RUNS, steps=21, device="cpu")
    for a, b, c, d, e in zip(together, backwards, apart, in_turn, shorter, strict=True):
        for other in (b, c, d):
            assert other.rows == pytest.approx(a.rows, abs=1e-12, nan_ok=True)
        assert e.rows[:21] == pytest.approx(a.rows[:21], abs=1e-12)
    assert len({trajectory.rows.tobytes() for trajectory in together}) == len(RUNS)


@pytest.mark.parametrize("memory", [8 << 30, 5000, 10_000])
def test_progress_counts_the_steps_of_all_runs(memory):
    told = []
    simulate_all(
        SMALL, UpdateSettings(), RUNS, steps=50, device="cpu", progress=told.append, memory=memory
    )
    assert told == sorted(set(told))
    assert told[-1] == 200
    assert len(told) == {8 << 30: 3, 5000: 12, 10_000: 6}[memory]


def test_what_progress_raises_ends_the_work():
    def stop(done):
        told.append(done)
        if done >= 80:
            raise KeyboardInterrupt

    told = []
    with pytest.raises(KeyboardInterrupt):
        simulate_all(SMALL, UpdateSettings(), RUNS, steps=50, device="cpu", progress=stop)
    assert told == [80]


@pytest.mark.parametrize(
    ("update", "group_size"),
    [
        (UpdateSettings(), 4),
        (UpdateSettings(), 128),
        (UpdateSettings(optimizer="sgd", learning_rate=20.0, scale="std"), 32),
        (UpdateSettings(surrogate="probability", scale="population_std"), 16),
    ],
)
def test_means_are_those_of_the_cpu_engine(update, group_size):
    """200 runs each: every mean within four standard errors of the difference."""
    pytest.importorskip("numba")
    from fgrpo.simulation.engine import simulate

    policy = Policy.anchored(300, 40, anchor=4.0, others=2.0, wrong=0.0)
    runs = [Run(group_size, 1.0, seed) for seed in range(200)]
    ours = simulate_all(policy, update, runs, steps=60, device="cpu")
    theirs = [
        simulate(
            policy,
            update,
            group_size=group_size,
            gamma=1.0,
            steps=60,
            rng=np.random.default_rng(1000 + run.seed),
        )
        for run in runs
    ]
    a, b = (np.stack([trajectory.rows for trajectory in many]) for many in (ours, theirs))
    for t, columns in ((0, range(6)), (20, range(6)), (59, range(6)), (60, range(3))):
        for column in columns:
            x, y = a[:, t, column], b[:, t, column]
            error = np.hypot(x.std(), y.std()) / 200**0.5
            assert abs(x.mean() - y.mean()) <= 4 * error + 1e-12, (t, column)
    assert abs(a[:, 60, 0].mean() - a[:, 0, 0].mean()) > 10 * a[:, 60, 0].std() / 200**0.5


def test_no_runs():
    assert simulate_all(SMALL, UpdateSettings(), [], steps=5, device="cpu") == []


@pytest.mark.parametrize(
    ("runs", "kwargs", "kind", "message"),
    [
        ([Run(8, 0.0, 0), Run(1, 0.0, 0)], {}, ValueError, r"runs\[1\].group_size = 1"),
        ([Run(8, -0.5, 0)], {}, ValueError, r"runs\[0\].gamma = -0.5"),
        ([Run(8, float("nan"), 0)], {}, ValueError, r"runs\[0\].gamma = nan"),
        ([Run(8, 0.0, -1)], {}, ValueError, r"runs\[0\].seed = -1"),
        (RUNS, {"steps": 0}, ValueError, "steps = 0"),
        (RUNS, {"device": "abacus"}, UsageError, "device = 'abacus' cannot be used"),
        (RUNS, {"memory": 4000}, UsageError, "memory = 4000 bytes .* of 40 actions; allow 4458"),
    ],
)
def test_what_cannot_be_done_is_said(runs, kwargs, kind, message):
    with pytest.raises(kind, match=message) as caught:
        simulate_all(SMALL, UpdateSettings(), runs, **{"steps": 5, "device": "cpu"} | kwargs)
    assert "\n" not in str(caught.value)


def test_the_memory_an_error_names_is_enough():
    assert len(simulate_all(SMALL, UpdateSettings(), RUNS, steps=2, device="cpu", memory=4458)) == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_no_cuda_is_said():
    with pytest.raises(UsageError, match="device = 'cuda' cannot be used"):
        simulate_all(SMALL, UpdateSettings(), RUNS, steps=5)


def test_an_overflow_is_said():
    update = UpdateSettings(optimizer="sgd", learning_rate=1e308, reward_correct=1e6)
    with pytest.raises(RunError, match="overflowed within 20 steps; lower the learning rate, 1e"):
        simulate_all(SMALL, update, RUNS, steps=50, device="cpu")


def test_a_full_device_is_said(monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate ...")

    monkeypatch.setattr(batches.Batch, "weigh", full)
    with pytest.raises(RunError, match="cpu has no memory left for 4 runs of 40 actions") as caught:
        simulate_all(SMALL, UpdateSettings(), RUNS, steps=5, device="cpu")
    assert "\n" not in str(caught.value)


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_it_loads_no_torch():
    assert python("import sys, fgrpo.simulation.on_gpu; print('torch' in sys.modules)") == "False"


def test_without_torch_it_says_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from fgrpo.simulation import Policy, UpdateSettings\n"
        "from fgrpo.simulation.on_gpu import simulate_all\n"
        "try:\n"
        "    simulate_all(Policy.anchored(40, 8), UpdateSettings(), [], steps=5)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)"
    )
    remedy = "pip install '.[lab]' in the folder of fgrpo's source"
    assert python(code) == f"UsageError simulating on a GPU needs PyTorch: {remedy}"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("surrogate", ["ratio", "probability"])
def test_cuda_gives_what_the_cpu_gives(surrogate):
    """The draws are the same but where an exponential's last digit decides."""
    policy = Policy.anchored(5000, 400)
    update = UpdateSettings(surrogate=surrogate)
    runs = [Run(n, 1.0, seed) for n in (2, 64, 4096) for seed in range(3)]
    on_cuda = simulate_all(policy, update, runs, steps=60, device="cuda")
    again = simulate_all(policy, update, runs, steps=60, device="cuda")
    on_cpu = simulate_all(policy, update, runs, steps=60, device="cpu")
    for a, b, c in zip(on_cuda, again, on_cpu, strict=True):
        assert b.rows == pytest.approx(a.rows, abs=1e-12, nan_ok=True)
        assert c.rows == pytest.approx(a.rows, abs=1e-6, nan_ok=True)
