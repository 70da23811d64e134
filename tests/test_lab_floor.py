"""benchmarks/lab_floor.py: the counts against torch's own counter, real tensors, and by hand."""

import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from fgrpo.lab.model import Decoder
from fgrpo.lab.settings import ModelSettings
from fgrpo.maze import generate

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import lab_floor  # noqa: E402
from floor.machine import DATA_SHEET, Clock, Machine, Route, matrix_rates, memory_rates  # noqa: E402
from floor.work import Architecture, Case, Flow, Lengths, Sharing, Work, work  # noqa: E402

VOCAB = 11
CONFIGS = [
    ModelSettings(
        hidden_size=h,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        intermediate_size=i,
    )
    for h, layers, heads, kv, i in [(16, 2, 4, 2, 24), (24, 3, 6, 1, 20), (32, 1, 4, 4, 8)]
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=["grouped", "one-kv-head", "one-layer"])


def decoder(config):
    model = Decoder(config, VOCAB)
    model.initialise(torch.Generator().manual_seed(0))
    return model


def counted(function):
    """Operations of the matrix products torch carries out, attention's among them."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops()


def tokens(rows, length):
    return torch.arange(rows * length).view(rows, length) % VOCAB


def case(config, prompt, prompts, group_size, length, sharing=Sharing()):  # noqa: B008
    lengths = Lengths.constant(length)
    return Case("x", Architecture(config, VOCAB), prompt, prompts, group_size, lengths, sharing)


@configs
def test_parameters_are_the_models(config):
    exact = sum(one.numel() for one in decoder(config).parameters())
    assert Architecture(config, VOCAB).parameters == exact


@configs
@pytest.mark.parametrize("logits_from", [0, 5])
def test_flops_are_those_torch_counts_forward_and_backward(config, logits_from):
    model, rows, length = decoder(config), 3, 7
    left = length - logits_from
    # torch computes every pair and masks some afterwards.
    flow = Flow(length, length**2, left, left * length, left).times(rows)
    expected = Architecture(config, VOCAB).flops(flow)

    def forward():
        return model(tokens(rows, length), logits_from=logits_from)

    assert counted(forward) == expected
    assert counted(lambda: forward().sum().backward()) == 3 * expected


@configs
def test_unshared_sampling_is_what_transformers_does(config):
    prompt, rollouts, fed = 9, 6, 4
    theirs = Qwen2ForCausalLM(
        Qwen2Config(
            **config.model_dump(),
            vocab_size=VOCAB,
            tie_word_embeddings=True,
            attn_implementation="eager",
        )
    ).eval()
    cache = []

    @torch.no_grad()
    def prefill():
        out = theirs(tokens(rollouts, prompt), use_cache=True, logits_to_keep=1)
        cache.append(out.past_key_values)

    @torch.no_grad()
    def decode():
        for _ in range(fed):
            theirs(tokens(rollouts, 1), past_key_values=cache[0], use_cache=True)

    ours = work(case(config, prompt, 2, 3, fed + 1), 4, shared=False)
    # Of the prompt's pairs transformers computes and masks those nobody sees.
    unseen = 4 * config.hidden_size * config.num_hidden_layers * prompt * (prompt - 1) / 2
    assert counted(prefill) == ours["prompts"].flops + rollouts * unseen
    assert cache[0].get_seq_length() == prompt
    numbers = sum(layer.keys.numel() + layer.values.numel() for layer in cache[0].layers)
    weights = sum(one.numel() for one in theirs.parameters())
    assert ours["prompts"].bytes == 4 * (weights + numbers)
    assert counted(decode) == ours["decoding"].flops


def test_the_pairs_are_those_of_the_mask_drawn_out():
    prompt, fed = 7, [1, 4, 4, 6]
    owner = [0] * prompt + [1 + i for i, n in enumerate(fed) for _ in range(n)]
    mask = np.array(
        [
            [key <= query and owner[key] in (0, owner[query]) for key in range(len(owner))]
            for query in range(len(owner))
        ]
    )
    ends = np.array(fed) + 1.0  # the end token is sampled and never fed
    lengths = Lengths(ends.mean(), (ends**2).mean(), ends.max())
    one = Case("x", Architecture(CONFIGS[0]), prompt, 1, len(fed), lengths)
    flow = one.prompt_flow + one.response_flow.times(len(fed))
    assert (flow.tokens, flow.pairs) == pytest.approx((len(mask), int(mask.sum())))
    # The last layer finishes the prompt's last token and all of the responses.
    late = mask[prompt - 1 :]
    assert (flow.last_tokens, flow.last_pairs) == pytest.approx((len(late), int(late.sum())))
    assert flow.logits == pytest.approx(1 + sum(fed))


def test_a_tiny_step_by_hand():
    # Hidden 4, 2 layers, 2 heads of 2, 1 KV head, intermediate 3, vocabulary 11.
    # A layer's weights: k, v 2·(4·2) = 16; q, o 2·16 = 32; SwiGLU 3·12 = 36.
    config = ModelSettings(
        hidden_size=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=3,
    )
    # 3 prompts of 5 tokens × 2 responses of 4, of which 3 are fed.
    one = case(config, prompt=5, prompts=3, group_size=2, length=4)
    parameters = 2 * (16 + 32 + 36 + (4 + 2 + 2) + 8) + 44 + 4
    assert one.model.parameters == parameters
    shared, unshared = work(one, 2), work(one, 2, shared=False)

    # Multiply-adds of a prompt: k, v twice 5 tokens; the rest 5 tokens, then 1; attention 2·4 for
    # each of 15 pairs, then 5; logits of one token.
    prompt = 2 * 5 * 16 + (5 + 1) * (32 + 36) + 8 * (15 + 5) + 44
    assert shared["prompts"].flops == 2 * 3 * prompt
    # Of a response: 3 tokens through everything; they see 6, 7 and 8 keys.
    response = 2 * 3 * (16 + 32 + 36) + 2 * 8 * (6 + 7 + 8) + 3 * 44
    assert shared["decoding"].flops == unshared["decoding"].flops == 2 * 6 * response
    assert shared["training"].flops == 3 * 2 * (3 * prompt + 6 * response)
    whole = 2 * 5 * (16 + 32 + 36) + 8 * (15 + 15) + 44
    assert unshared["prompts"].flops == 2 * 6 * whole
    assert unshared["training"].flops == 3 * 2 * 6 * (whole + response)
    assert (shared["prompts"].rows, shared["decoding"].rows, shared["training"].rows) == (
        15,
        6,
        3 * 5 + 6 * 3,
    )

    # Bytes, 2 a number: a token's keys and values are 2·2 numbers in each of 2 layers.
    assert shared["prompts"].bytes == 2 * (parameters + 3 * 5 * 8)
    assert unshared["prompts"].bytes == 2 * (parameters + 6 * 5 * 8)
    own = 6 * (1 + 2 + 3) + 6 * 3  # read, then written
    assert shared["decoding"].bytes == 2 * (3 * parameters + 8 * (3 * 3 * 5 + own))
    assert unshared["decoding"].bytes == 2 * (3 * parameters + 8 * (6 * 3 * 5 + own))
    # Kept: input, k, v (4 + 4) of all tokens in both layers; q, attention, sum (12), gate and up
    # (6) of all tokens in the first, of the prompts' last and the responses' in the second.
    kept = 2 * 33 * 8 + (33 + 3 + 18) * 18
    assert shared["training"].bytes == 2 * 2 * parameters + 36 * parameters + 2 * 2 * kept


def test_equal_rollouts_are_paid_for_once():
    plain = case(CONFIGS[0], prompt=5, prompts=8, group_size=4, length=6)
    halved = case(CONFIGS[0], 5, 8, 4, 6, Sharing(prefixes=0.5, responses=0.25, groups=0.75))
    fewer = case(CONFIGS[0], prompt=5, prompts=8, group_size=2, length=6)
    assert work(halved, 4)["prompts"] == work(plain, 4)["prompts"]
    assert work(halved, 4)["decoding"] == work(fewer, 4)["decoding"]
    # Training: a quarter of 32 responses, three quarters of 8 prompts.
    model = plain.model
    rest = 3 * (6 * model.flops(plain.prompt_flow) + 8 * model.flops(plain.response_flow))
    assert work(halved, 4)["training"].flops == rest
    assert work(halved, 4, shared=False) == work(plain, 4, shared=False)


def test_decoding_goes_on_until_the_longest_response_ends():
    plain = case(CONFIGS[0], prompt=5, prompts=4, group_size=2, length=6)
    longer = replace(plain, lengths=replace(plain.lengths, longest=9))
    one, other = (work(each, 4)["decoding"] for each in (plain, longer))
    assert other.bytes - one.bytes == 3 * 4 * plain.model.parameters
    assert (one.rows, other.rows) == (8, 5)  # 40 tokens in 5 or 8 steps
    assert other.flops == one.flops


@configs
def test_what_the_backward_pass_needs_is_less_than_torch_keeps(config):
    model, architecture = decoder(config), Architecture(config, VOCAB)
    parameters = {one.data_ptr() for one in model.parameters()}
    seen = {}

    def keep(tensor):
        if tensor.data_ptr() not in parameters:
            seen[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(tokens(2, 16)).sum()
    flow = Flow(32, 512, 32, 512, 32)
    assert sum(seen.values()) / 8 < 4 * architecture.kept(flow) < sum(seen.values())
    loss.backward()


def test_the_presets_are_the_models_they_are_called():
    sizes = {
        name: (Architecture(recipe.model).parameters, recipe.maze.prompt_tokens)
        for name, recipe in lab_floor.presets()
    }
    assert [round(n / 1e6, 1) for n, _ in sizes.values()] == [0.6, 3.9, 3.9, 3.9, 3.9]
    assert [prompt for _, prompt in sizes.values()] == [94, 94, 310, 310, 310]
    batches = [(r.train.prompts_per_step, r.train.group_size) for _, r in lab_floor.presets()]
    assert batches == [(32, 8), (32, 8), (32, 8), (256, 8), (256, 128)]


def breadth_first(walls):
    """Moves from start to goal."""
    goal = walls.shape[0] - 2
    reached, border, moves = {(1, 1)}, [(1, 1)], 0
    while (goal, goal) not in reached:
        steps = [(r + a, c + b) for r, c in border for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        border = [s for s in dict.fromkeys(steps) if s not in reached and not walls[s]]
        reached.update(border)
        moves += 1
    return moves


def test_response_lengths_are_those_of_the_ways_through(monkeypatch):
    monkeypatch.setattr(lab_floor, "MAZES", 60)
    walls = generate(60, 9, np.random.default_rng(0))
    expected = np.array([breadth_first(one) + 2 for one in walls])
    found = lab_floor.right_answers(9)
    assert found.tolist() == expected.tolist()
    assert found.std() > 0
    lengths = Lengths.of_right_answers(found, 20)
    longest = np.mean([max(expected[a : a + 20]) for a in (0, 20, 40)])
    assert lengths.longest == longest < expected.max()
    assert lengths.mean == expected.mean()
    assert lengths.mean_square == pytest.approx(expected.var() + expected.mean() ** 2)
    assert Lengths.of_right_answers(found, 1000).longest == expected.max()


def test_a_phase_takes_the_longer_of_compute_and_memory():
    machine = Machine("x", 4, {32: 100.0, 4096: 400.0}, memory=10.0)
    assert machine.seconds(Work(1200.0, 20.0, rows=32)) == 12
    assert machine.seconds(Work(1200.0, 200.0, rows=32)) == 20
    assert machine.seconds(Work(1200.0, 20.0, rows=1_000_000)) == 3
    # 362 is the middle in ratio.
    assert machine.rate(355) == 100
    assert machine.rate(370) == 400
    # Many rows can be multiplied a few at a time, not the other way round.
    assert Machine("x", 4, {32: 500.0, 4096: 400.0}, memory=10.0).rate(4096) == 500


def test_the_data_sheet_machine():
    one = case(CONFIGS[0], prompt=5, prompts=1, group_size=1, length=4)
    assert DATA_SHEET.seconds(Work(989e12, 0, 8)) == pytest.approx(1)
    assert DATA_SHEET.seconds(Work(0, 3.35e12, 8)) == pytest.approx(1)
    # 3 steps of 2·11 + 5 kernels
    assert DATA_SHEET.launches(one) == pytest.approx(3 * 27 * 2.5e-6)


@pytest.fixture
def a_second_a_call(monkeypatch):
    """Make every call of torch's product, sum and copy take a second of the clock."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow(name):
        original = getattr(torch.Tensor, name)

        def call(*arguments):
            now[0] += 1.0
            return original(*arguments)

        monkeypatch.setattr(torch.Tensor, name, call)

    for name in ("__matmul__", "sum", "copy_"):
        slow(name)


@pytest.mark.usefixtures("a_second_a_call")
def test_rates_are_work_over_time():
    clock = Clock(torch.device("cpu"), repeats=3, least=4.0)
    rates, error = matrix_rates(clock, Route("x", torch.float32), 1, rows=8, inner=3, outer=5)
    assert rates == [240.0] * 3
    assert error < 1e-6
    rates, error = matrix_rates(clock, Route("x", torch.bfloat16), 1, rows=8, inner=3, outer=5)
    assert 1e-4 < error < 1e-2
    assert memory_rates(clock, 1, mib=2) == {"read": [2.0 * 2**20] * 3, "copy": [4.0 * 2**20] * 3}


def test_measuring_leaves_torchs_settings_as_they_were():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    clock, seen = Clock(torch.device("cpu"), 1, 0.0), []
    route = Route("x", torch.float32, "medium")
    original = Clock.seconds

    def spy(self, function):
        seen.append((torch.get_num_threads(), torch.get_float32_matmul_precision()))
        return original(self, function)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clock, "seconds", spy)
        matrix_rates(clock, route, before[0] + 1, 4, 4, 4)
    assert seen == [(before[0] + 1, "medium")]
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before


def rows_of(text, title):
    """Cells of the table under a title, without its head."""
    block = text[text.index(title) :].split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()][
        2:
    ]


def test_the_floor_adds_phases_and_divides_by_each_machine(capsys):
    one = case(CONFIGS[0], prompt=5, prompts=1, group_size=2, length=4)
    phases = [phase.flops for phase in work(one, 4).values()]
    machines = [Machine("slow", 4, {1: 100.0}, 1e30), Machine("fast", 4, {1: 1000.0}, 1e30)]
    lab_floor.told_floor([one], {(16, 24): machines})
    text = capsys.readouterr().out
    assert "| case | slow | fast | H100, data sheet |" in text
    for cell, rate in zip(rows_of(text, "Floor")[0][1:3], (100, 1000), strict=True):
        sampling, training = (sum(phases[:2]) / rate, phases[2] / rate)
        found = [float(number) for number in re.split(r" \+ | = ", cell)]
        assert found == pytest.approx([sampling, training, sampling + training], rel=6e-3)


def test_the_floor_divides_by_the_best_repeat_on_every_core(monkeypatch):
    monkeypatch.setattr(lab_floor, "threads_to_try", lambda device: [1, 2])
    rates = {(1, 8): [1e9, 5e9], (2, 8): [2e9, 9e9], (1, 64): [3e9], (2, 64): [6e9, 7e9]}
    monkeypatch.setattr(
        lab_floor, "matrix_rates", lambda clock, route, threads, rows, *_: (rates[threads, rows], 0)
    )
    monkeypatch.setattr(
        lab_floor,
        "memory_rates",
        lambda clock, threads, mib: {"read": [1e9, threads * 2e9], "copy": [3e9 / threads]},
    )
    clock = Clock(torch.device("cpu"), 1)
    assert lab_floor.told_memory(clock, 1) == 4e9
    found = lab_floor.told_machines(clock, [(16, 24)], [8, 64], 9.0)[16, 24]
    assert [one.flops for one in found] == [{8: 10e9, 64: 7e9}] * 3
    assert [one.element for one in found] == [4, 4, 2]
    assert {one.memory for one in found} == {9.0}


QUICK = ["--rows", "8", "--repeats", "1", "--array-mib", "1"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lab_floor, "MAZES", 300)
    # Several threads on a busy machine wait for each other for very long.
    monkeypatch.setattr(lab_floor, "threads_to_try", lambda device: [1])


@pytest.mark.usefixtures("quick")
def test_the_command_prints_every_table(capsys):
    assert lab_floor.main(QUICK) == 0
    text = capsys.readouterr().out
    assert [row[0] for row in rows_of(text, "Tokens of the right")] == ["9×9", "17×17"]
    counts = rows_of(text, "Least work")
    assert len(counts) == 3 * 6
    named = {row[0]: [float(cell) for cell in row[1:]] for row in counts}
    assert named["paper 256×8: decoding"][2] == 1
    assert named["paper 256×8: training"][2] > 5
    shared, plain = (named[f"maze-small{x}: training"][0] for x in (", as shared", ""))
    assert shared < plain / 3
    assert len(rows_of(text, "Matrix products")) == 2 * 3
    floors = rows_of(text, "Floor in seconds")
    assert len(floors) == 6
    for row in floors:
        for cell in row[1:5]:
            a, b, both = (float(number) for number in re.split(r" \+ | = ", cell))
            assert a + b == pytest.approx(both, rel=0.02)
    assert "data sheet" in text
    assert "(assumed)" in text


@pytest.mark.usefixtures("quick")
def test_one_recipe_with_changes_lengths_and_shares(capsys):
    chosen = ["--recipe", "maze-small", "--set", "train.prompts_per_step=4", "--response-tokens"]
    more = ["--prefixes", "0.5", "--responses", "0.25", "--groups", "0.5"]
    assert lab_floor.main([*QUICK, *chosen, "6", *more]) == 0
    printed = rows_of(capsys.readouterr().out, "Least work")
    config = ModelSettings(hidden_size=128, intermediate_size=256)
    lengths, sharing = Lengths.constant(6), Sharing(0.5, 0.25, 0.5)
    exact = work(Case("x", Architecture(config), 94, 4, 8, lengths, sharing), 4)
    assert [row[1] for row in printed] == [f"{one.flops / 1e9:.3g}" for one in exact.values()]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--device", "tpu"], "--device tpu: cpu or cuda"),
        (["--groups", "0"], "--groups 0.0: a share, above 0 and at most 1"),
        (["--prefixes", "1.5"], "--prefixes 1.5: a share, above 0 and at most 1"),
        (["--response-tokens", "1"], "--response-tokens 1.0: at least 2"),
        (["--repeats", "0"], "--repeats 0: at least 1"),
        (["--rows", "32", "0"], "--rows [32, 0]: at least 1"),
        (["--set", "a=1"], "--set: changes a recipe; name it with --recipe"),
        (["--recipe", "no-such"], "no recipe 'no-such'"),
    ],
)
def test_wrong_usage_is_one_line(given, told, capsys):
    try:
        code = lab_floor.main(given)
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_asking_for_a_missing_gpu_says_so(capsys):
    with pytest.raises(SystemExit):
        lab_floor.main(["--device", "cuda"])
    assert "torch sees none; use --device cpu" in capsys.readouterr().err
