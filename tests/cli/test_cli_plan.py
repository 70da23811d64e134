"""``fgrpo plan`` as its user meets it: numbers worked out by hand, refusals, exit codes."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from fgrpo.cli import app
from fgrpo.evaluate.texts import encode_member
from fgrpo.plan import Recommendation, planning, write
from fgrpo.records import Record, RecordStore

HALF = ("--success", 0.5, "--rare", 0.5, "--group-sizes", 2, 4, 8)
TRL = ("--trainer", "trl", "--per-device", 4)
VERL = ("--trainer", "verl", "--prompts", 128, "--mini-batch", 32)


class Written:
    """Stands in for the writer, which draws figures for a second or two."""

    def __init__(self):
        self.plan = self.batch = self.made_by = self.folder = None

    def __call__(self, plan, folder, *, made_by, batch):
        self.plan, self.folder, self.made_by, self.batch = plan, folder, made_by, batch
        return Path(folder) / "report.html"


@pytest.fixture
def written(monkeypatch):
    found = Written()
    monkeypatch.setattr(write, "write_plan", found)
    return found


@pytest.fixture
def planned(command_line, written, monkeypatch):
    """Run the command; return its exit code and what it said, lines and columns kept."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        code, out, err = command_line("plan", *arguments)
        assert code == 0, err
        assert err == ""
        return out

    return run


def rows(out, *headers):
    """Return the cells of the first table whose header has these words, by first cell."""
    blocks = re.split(r"\n\n", out)
    for block in blocks:
        lines = block.splitlines()
        rule = next((i for i, line in enumerate(lines) if line.startswith("──")), None)
        if rule is not None and all(h in " ".join(lines[:rule]) for h in headers):
            cells = [re.split(r"  +", line.strip()) for line in lines[rule + 1 :]]
            return {row[0]: row[1:] for row in cells}
    raise AssertionError(f"no table with {headers} in\n{out}")


def flowing(out):
    return " ".join(out.split())


def pilot(path, corrects, n, texts=None):
    """Write records: of problem i the first ``corrects[i]`` of n samples are right."""
    with RecordStore.open(path) as store:
        for name, c in corrects.items():
            store.extend(
                Record(name, j, j < c, text=texts[name][j] if texts else None) for j in range(n)
            )
    return path


# --- guesses ---


def test_a_guess_gives_numbers_worked_out_by_hand(planned):
    out = planned(*HALF)
    # μ = 1/2, a rare half of it, τ = 1/4. N = 2: active 2·(1/2)·(1/2); all right 1/4; missed while
    # active 2·(1/4)·(1/2) = 1/4; unsampled (3/4)² = 0.5625. N = 4: 1 − 2/16, 1/16;
    # (3/4)⁴ − (1/2)⁴ − (1/4)⁴ = 1/4 (81/256 − 17/256); (3/4)⁴ = 0.316.
    table = rows(out, "active", "right")
    assert table["2"] == ["50.0%", "25.0%", "25.0%", "25.0%", "56.2%"]
    assert table["4"] == ["87.5%", "6.2%", "6.2%", "25.0%", "31.6%"]
    # (3/4)³ − (1/2)³ − (1/4)³ = 0.281 is the most; N = 10 still 0.055, N = 11 0.042.
    assert rows(out, "worst N", "safe N")["Success rate 0.5"] == ["50%", "3", "11"]
    assert "less likely than 5%" in flowing(out)


def test_the_drain_of_groups_of_two_is_known(planned):
    # Only k = 1 moves anything: drained/gained = μ(1−ρ)/(1−μ), whatever γ.
    out = planned(
        "--success", 0.75, "--rare", 0.9, 0.6, "--group-sizes", 2, 5000, "--gammas", 3, 0, 2
    )
    assert "drain at ρ = 60%" in out
    table = rows(out, "γ = 0", "γ = 2", "γ = 3")
    assert table["2"] == ["1.20", "1.20", "1.20"]
    assert table["5,000"] == ["–", "–", "–"]  # too many outcomes to sum


def test_a_budget_buys_prompts(planned):
    table = rows(planned(*HALF, 512, "--budget", 100), "prompts", "dead")
    assert table["2"][:4] == ["50", "0", "25.0", "50.0"]  # half of 50 groups; 25 dead groups of 2
    assert table["8"][:3] == ["12", "4", "11.9"]  # 12·(1 − 2/256)
    assert table["512"][:4] == ["0", "100", "–", "–"]


def test_with_a_budget_the_tail_miss_is_shown_once(planned):
    for options in ((), ("--budget", 100)):
        tables = [b for b in planned(*HALF, *options).split("\n\n") if "──" in b]
        assert sum(table[: table.index("──")].split().count("miss") for table in tables) == 1


def test_sizes_above_a_million_are_not_written_out(planned):
    out = planned("--success", 1e-7, "--rare", 0.5)
    assert rows(out, "worst N")["Success rate 1e-07"] == ["50%", *["more than a million"] * 2]


def test_the_target_moves_the_safe_size(planned):
    out = planned(*HALF, "--target", 0.27)
    assert rows(out, "worst N")["Success rate 0.5"] == ["50%", "3", "4"]
    assert "less likely than 27%" in flowing(out)


def test_probabilities_of_rare_answers_become_shares(planned, written):
    planned("--success", 0.5, "--rare-mass", 0.25, 0.05)
    assert written.plan.asked.rare_shares == (0.1, 0.5)


def test_several_rates_have_tables_of_their_own_and_one_drain(planned):
    out = planned("--success", 0.5, 0.25, "--rare", 0.5, "--group-sizes", 2)
    assert out.index("Success rate 0.5\n") < out.index("Success rate 0.25\n")
    assert "37.5%" in out  # 2·(1/4)·(3/4)
    # k = 1: drained Σ τμ·P(k=1), gained Σ τ(1−μ)·P(k=1), τ = μ/2: (1/2)(Σ μ·μ·P)/(Σ μ(1−μ)P)
    # = (1/2)·(0.125 + 0.0234375)/(0.125 + 0.0703125) = 0.38
    assert out.count("drain at") == 1
    assert rows(out, "γ = 0.5")["2"] == ["0.38", "0.38", "0.38"]
    assert "an equal part has each of the success rates" in flowing(out)


def test_options_reach_the_plan(planned, written, tmp_path):
    planned(
        *("--success", 0.3, "--group-sizes", 16, 4, 16, "--gammas", 1, 0, "--target", 0.1),
        *("--budget", 512, "--min-prompts", 100, "--rare", 0.2, 0.1, "--level", 0.8),
        *("--out", tmp_path / "here"),
    )
    asked = written.plan.asked
    assert asked.group_sizes == (4, 16)
    assert asked.gammas == (0, 1)
    assert (asked.target, asked.budget, asked.min_prompts) == (0.1, 512, 100)
    assert (asked.rare_shares, asked.level) == ((0.1, 0.2), 0.8)
    assert written.folder == tmp_path / "here"
    assert written.made_by["command"].startswith("fgrpo plan --success 0.3 --group-sizes 16 4")
    assert written.batch is None


def test_what_is_printed_ends_with_advice_and_the_page(planned, written):
    out = planned(*HALF)
    advice = written.plan.recommendation
    assert f"→ Recommended: N = {advice.group_size}, γ = {advice.gamma:g}" in out
    places = [flowing(out).index(text) for text in ("Drain:", advice.reason, "Warning: ", "Page: ")]
    assert places == sorted(places)
    assert out.endswith("\nPage: runs/plan/report.html\n")


def test_a_replaced_group_is_named(planned, written, monkeypatch):
    made = planning.recommend
    monkeypatch.setattr(
        planning,
        "recommend",
        lambda *a, **k: replace(made(*a, **k), group_size=8, gamma=1.0, instead_of=64),
    )
    out = planned(*HALF)
    assert "N = 8, γ = 1, instead of groups of 64 without the weight." in flowing(out)


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_wider_than_the_terminal_or_coloured(planned, monkeypatch, tmp_path, width):
    monkeypatch.setenv("COLUMNS", str(width))
    path = pilot(tmp_path / "p.jsonl", {f"p{i}": i % 9 for i in range(30)}, 8)
    shapes = [
        ("--success", 0.3, 0.9, "--rare", *(i / 20 for i in range(1, 12)), "--budget", 10**9),
        ("--pilot", path, "--budget", 512),
        ("--success", 0.3, "--trainer", "verl", "--prompts", 100, "--mini-batch", 32, "--dynamic"),
    ]
    for shape in shapes:
        lines = planned(*shape).splitlines()
        assert max(map(len, lines)) <= width
        assert not any("\x1b" in line or "…" in line for line in lines)


def test_a_wide_terminal_holds_more_columns(planned, monkeypatch, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {f"p{i}": i % 9 for i in range(30)}, 8)
    assert "active" not in header_of_tail_miss(planned("--pilot", path))
    monkeypatch.setenv("COLUMNS", "120")
    assert "active" in header_of_tail_miss(planned("--pilot", path))


def header_of_tail_miss(out):
    return next(line for line in out.splitlines() if line.count("tail miss") == 3)


# --- pilots ---


def test_a_pilot_is_described_and_counted_without_a_model(planned, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {"a": 0, "b": 2, "c": 2, "d": 4, "e": 0}, 4)
    out = planned("--pilot", path, "--group-sizes", 2, 4, 8)
    text = flowing(out)
    # A path as long as this is broken across lines.
    told = f"Pilot {path}: 5 prompts, 4 samples each, 20 in all."
    assert told.replace(" ", "") in text.replace(" ", "")
    assert "40.0% of the prompts have no correct sample, 20.0% no wrong one." in text
    assert "In parentheses: 90% intervals." in text
    assert re.search(r"Mean success rate \d\d\.\d% \(\d\d\.\d–\d\d\.\d\);", text)
    # Of the 6 pairs of 4 samples, 2 right, 4 are mixed: 2·(4/6)/5. All four: 2 of 5.
    table = rows(out, "active", "no model")
    assert [table[n][1] for n in ("2", "4", "8")] == ["26.7%", "40.0%", "–"]
    assert "No model: active as counted in the pilot itself, whose samples reach N = 4." in text
    assert "Good–Turing: the pilot holds no texts, so nothing is known of unseen ones." in text
    assert "The rare shares ρ are chosen, not estimated." in text
    assert "of the distributions of success rates that fit the pilot lead to this advice" in text


def test_a_doubtful_fit_and_no_advice_are_told(planned, written, tmp_path, monkeypatch):
    path = pilot(tmp_path / "p.jsonl", {f"p{i}": 2 + 20 * (i % 2) for i in range(100)}, 32)
    none = Recommendation(None, None, None, "Too small to tell.", 0.4, 0.05)
    monkeypatch.setattr(planning, "recommend", lambda *a, **k: none)
    text = flowing(planned("--pilot", path))
    assert "The pilot speaks against a Beta distribution" in text
    assert "No recommendation. Too small to tell." in text
    assert "Recommended" not in text
    assert "lead to this advice" not in text


TEXTS = {
    "a": ["no"] * 4,
    "b": [r"it is \boxed{1}", r"it  is \boxed{1}", "no", "no"],
    "c": [r"so \boxed{7}", r"so \boxed{7}", r"thus \boxed{7}", r"or \boxed{8}"],
}


def test_solutions_are_told_apart_by_text_or_answer(planned, written, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {"a": 0, "b": 2, "c": 4}, 4, TEXTS)
    # By text b has one solution twice, c two singletons of 4: (0 + 1/2)/2. By answer c has one.
    text = flowing(planned("--pilot", path))
    assert "Good–Turing: 25.0% of the correct mass" in text
    assert "(from the 2 of 3 prompts with two correct samples or more)" in text
    assert "as different as their texts" in text
    assert "one correct sample fewer would have left unseen" in text
    assert "The rare shares ρ are chosen, not estimated." in text
    assert written.plan.asked.rare_shares == (0.05, 0.1, 0.2)
    text = flowing(planned("--pilot", path, "--solutions", "answer"))
    assert "Good–Turing: 12.5% of the correct mass" in text
    assert "as different as their boxed answers" in text
    different = {"a": [f"text {i}" for i in range(4)]}
    path = pilot(tmp_path / "q.jsonl", {"a": 4}, 4, different)
    text = flowing(planned("--pilot", path))
    assert "Good–Turing: 100.0% of the correct mass" in text
    assert "As texts go nearly all differ, so it says little of the policy." in text
    assert "as different as" not in text


def test_unsampled_mass_is_counted_where_texts_allow(planned, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {"a": 0, "b": 2, "c": 4}, 4, TEXTS)
    out = planned("--pilot", path, "--group-sizes", 2, 3, 4, "--rare", 0.5)
    # N = 3: all others but one are drawn, so what is missed are the singletons: 2 of 6 correct.
    # N = 2: of b each of the 2 is missed by 1 of 3 pairs of the others, of c each singleton
    # always, each of the twins by 1 of 3: (2/3 + 2 + 2/3)/6.
    table = rows(out, "unsampled,", "no model")
    assert [table[n][4] for n in ("2", "3", "4")] == ["55.6%", "33.3%", "–"]
    assert "No model: active and unsampled as counted" in flowing(out)


def evaluation(folder):
    """Make the folder of an evaluation: texts apart, in another order, one of them missing."""
    folder.mkdir()
    names = {"maths/a": 0, "maths/b": 2, "logic/c": 4}
    pilot(folder / "records.jsonl", names, 4)
    texts = [(name, j, TEXTS[name[-1]][j]) for name in names for j in range(4)][::-1]
    texts.append(("gone/x", 0, "without a record"))
    (folder / "texts.jsonl.gz").write_bytes(encode_member(texts[:5]) + encode_member(texts[5:]))
    return folder


def test_an_evaluation_folder_is_read_with_its_texts(planned, tmp_path):
    out = planned("--pilot", evaluation(tmp_path / "eval"))
    text = flowing(out)
    assert "3 prompts, 4 samples each" in text
    assert "Good–Turing: 25.0%" in text
    assert "Warning: The pilot holds 2 benchmarks (logic, maths), planned for as one" in text


def test_a_benchmark_can_be_chosen(planned, written, tmp_path):
    folder = evaluation(tmp_path / "eval")
    text = flowing(planned("--pilot", folder, "--benchmark", "logic"))
    assert "Good–Turing: 50.0%" in text
    assert written.plan.pilot.fit.counts.problems == ("logic/c",)
    assert "benchmarks" not in text
    planned("--pilot", folder, "--benchmark", "logic", "maths")
    assert len(written.plan.pilot.fit.counts.problems) == 3


def test_an_evaluation_without_texts_is_a_pilot_too(planned, tmp_path):
    folder = evaluation(tmp_path / "eval")
    (folder / "texts.jsonl.gz").unlink()
    assert "Good–Turing: the pilot holds no texts" in planned("--pilot", folder)


def test_samples_that_only_count_as_wrong_are_told(planned, tmp_path):
    with RecordStore.open(tmp_path / "p.jsonl") as store:
        store.extend(Record("a", j, j > 4, truncated=j < 3) for j in range(8) if j != 3)
        store.extend([Record("a", 3, False, timed_out=True, unverifiable="took too long")])
        store.extend([Record("b", 0, False, unverifiable="no box"), Record("b", 1, True)])
    text = flowing(planned("--pilot", tmp_path / "p.jsonl"))
    assert "2 prompts, 2–8 samples each" in text
    assert "30% of the pilot's samples were cut off at the length limit." in text
    assert "10% of the pilot's samples ran into the verifier's time limit, and count as wr" in text
    assert "10% of the pilot's samples could not be verified, and count as wrong." in text


def test_flaws_of_less_than_one_sample_in_a_hundred_are_no_warning(planned, tmp_path):
    for samples, told in ((100, True), (101, False)):
        path = tmp_path / f"{samples}.jsonl"
        with RecordStore.open(path) as store:
            store.extend(Record("a", j, j > 40, truncated=j < 1) for j in range(samples))
        assert ("cut off" in flowing(planned("--pilot", path))) == told


def test_safe_sizes_that_rest_on_the_tail_or_mean_nothing_are_marked(planned, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {f"p{i}": i % 5 for i in range(12)}, 4)
    out = planned("--pilot", path)
    assert "beyond the pilot's 4 samples of a prompt rests on the tail" in flowing(out)
    path = pilot(tmp_path / "q.jsonl", {f"p{i}": 64 * (i % 2) for i in range(100)}, 64)
    out = planned("--pilot", path, "--rare", 0.1)
    assert rows(out, "worst N")["The pilot's 100 prompts"][2] == "mostly dead"
    assert "Mostly dead: at no N of the table" in flowing(out)
    assert "rests on the tail" not in flowing(out)


@pytest.mark.parametrize(
    ("corrects", "n"),
    [({"a": 1}, 1), ({"a": 0}, 4), ({f"p{i}": 1 for i in range(20)}, 1), ({"a": 4, "b": 4}, 4)],
)
def test_meagre_pilots_still_give_a_plan(planned, tmp_path, corrects, n):
    out = planned("--pilot", pilot(tmp_path / "p.jsonl", corrects, n), "--group-sizes", 4, 8)
    assert ("no model" in out) == (n >= 4)
    assert "nan" not in out


def test_the_seed_decides_the_draws(planned, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {f"p{i}": i % 5 for i in range(12)}, 4)
    first, again, other = (planned("--pilot", path, "--seed", seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_level_is_that_of_the_intervals(planned, tmp_path):
    path = pilot(tmp_path / "p.jsonl", {f"p{i}": i % 5 for i in range(12)}, 4)

    def width(level):
        text = flowing(planned("--pilot", path, "--level", level))
        low, high = re.search(r"Mean success rate \S+ \((\d+\.\d)–(\d+\.\d)\)", text).groups()
        assert f"{100 * level:g}% intervals" in text
        return float(high) - float(low)

    assert width(0.5) < 0.6 * width(0.95)


# --- batches ---


def test_a_batch_is_checked_without_a_plan(planned, written):
    out = planned(*TRL, "--processes", 8, "--accumulation", 2, "--group-size", 16)
    assert flowing(out) == (
        "This batch is valid for TRL with 8 processes: 4 prompts × 16 = 64 rollouts a step, "
        "1 update a step, each of 64 rollouts (4 prompts)."
    )
    assert written.plan is None


def test_every_setting_of_trl_counts(planned):
    options = ("--accumulation", 8, "--steps-per-generation", 6, "--iterations", 2)
    out = flowing(planned(*TRL, *options, "--group-size", 8))
    # 4 × 1 process × 6 = 24 rollouts; 6 · 2 batches for updates of 8: 1.5; 32 rollouts each.
    assert "TRL with 1 process: 3 prompts × 8 = 24 rollouts a step, 1.5 updates a step" in out
    assert "each of 32 rollouts (4 prompts)." in out
    options = ("--accumulation", 8, "--steps-per-generation", 2)
    assert "an update every 4 steps" in flowing(planned(*TRL, *options, "--group-size", 8))


def test_every_setting_of_verl_counts(planned):
    options = ("--micro-batch", 8, "--gpus", 4, "--nodes", 2, "--epochs", 3, "--group-size", 4)
    out = flowing(planned(*VERL, *options))
    assert "verl on 8 GPUs: 128 prompts × 4 = 512 rollouts a step, 12 updates a step" in out
    assert "Note: log_prob_micro_batch_size_per_gpu=8 too" in out
    out = flowing(planned(*VERL, *options, "--log-prob-micro-batch", 4))
    assert "Note" not in out


def test_verl_adds_empty_rollouts(planned):
    options = ("--prompts", 100, "--mini-batch", 32, "--dynamic", "--group-size", 8)
    out = flowing(planned("--trainer", "verl", *options))
    assert "verl adds 224 empty rollouts to the 800 of a step" in out  # 4·32·8 − 800
    assert "log_prob" not in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            (*TRL, "--processes", 5, "--group-size", 16),
            ["num_generations=16 does not divide the 20", "num_generations=20 instead of 16"],
        ),
        ((*TRL, "--group-size", 1), ["num_generations=1: a group needs", "num_generations=2"]),
        ((*VERL, "--group-size", 8), ["per_gpu is not set", "use_dynamic_bsz=true"]),
        (
            (*VERL, "--group-size", 8, "--micro-batch", 7),
            ["size_per_gpu=7 does not divide the 32", "size_per_gpu=7 does not divide the 128"],
        ),
        (
            (*VERL, "--group-size", 8, "--micro-batch", 8, "--log-prob-micro-batch", 7),
            ["log_prob_micro_batch_size_per_gpu=7 does not divide the 128 rollouts"],
        ),
        (
            (*VERL, "--group-size", 3, "--micro-batch", 1, "--gpus", 5),
            ["384 rollouts of a step", "do not divide among 5 GPUs"],
        ),
        (
            (*VERL, "--group-size", 8, "--micro-batch", 1, "--gpus", 4, "--nodes", 3),
            ["valid for verl on 12 GPUs", "do not divide among 12 GPUs (3 nodes × 4)"],
        ),
    ],
)
def test_an_invalid_batch_is_explained_and_exits_with_2(command_line, options, told):
    code, out, err = command_line("plan", *options)
    assert (code, err) == (2, "")
    assert "This batch is not valid for " in out
    text = flowing(out)
    assert all(part in text for part in [*told, "Nearest valid settings:"])


def test_an_invalid_batch_follows_a_whole_plan(command_line, written):
    code, out, _ = command_line("plan", *HALF, *TRL, "--processes", 5, "--group-size", 16)
    assert code == 2
    text = flowing(out)
    assert 0 < text.index("→ Recommended") < text.index("not valid") < text.index("Page: ")
    assert written.batch.valid is False


def test_the_recommended_size_is_checked(planned, written):
    out = flowing(planned(*HALF, "--budget", 512, *TRL, "--processes", 128))
    size = written.plan.recommendation.group_size
    assert f"{512 // size} prompts × {size} = 512 rollouts a step" in out
    assert "Note" not in out
    assert written.batch.facts.group_size == size


def test_another_size_or_budget_is_noted(planned, written):
    out = flowing(planned(*HALF, "--budget", 500, *TRL, "--processes", 128, "--group-size", 2))
    size = written.plan.recommendation.group_size
    assert f"Note: The batch has groups of 2; recommended are {size}." in out
    assert "Note: The batch has 512 rollouts a step; the plan is for a budget of 500." in out
    assert len(written.batch.notes) == 2


def test_without_advice_the_group_size_is_asked_for(command_line, written, tmp_path, monkeypatch):
    path = pilot(tmp_path / "p.jsonl", {"a": 1, "b": 3}, 4)
    none = Recommendation(None, None, None, "Too small to tell.", 0.4, 0.05)
    monkeypatch.setattr(planning, "recommend", lambda *a, **k: none)
    code, out, err = command_line("plan", "--pilot", path, *TRL)
    assert (code, out) == (2, "")
    assert (
        err
        == "fgrpo: --trainer needs --group-size here: this pilot is too small to recommend one\n"
    )
    assert written.plan is None
    code, out, _ = command_line("plan", "--pilot", path, *TRL, "--group-size", 4)
    assert code == 0
    assert "1 prompt × 4 = 4 rollouts" in out


# --- refusals ---

BAD = [
    ("", "nothing to plan for"),
    ("--success 0", "--success 0.0: must lie between 0 and 1"),
    ("--success 0.3 1", "--success 1.0: must lie between 0 and 1"),
    ("--success nan", "--success nan: must"),
    ("--success 1e-12", "--success 1e-12: must be at least 1e-09"),
    ("--success high", "--success high: "),
    ("--success 0.3 0.3", "--success 0.3 0.3: name each rate once"),
    ("--success", "--success is given without a value"),
    ("--success 0.3 --pilot PILOT", "--success and --pilot: give one of them"),
    ("--success 0.3 --rare 1", "--rare 1.0: must lie between 0 and 1"),
    ("--success 0.3 --rare 0.1 -0.1", "--rare -0.1: must"),
    ("--success 0.3 --rare nan", "--rare nan: must"),
    ("--success 0.3 --rare 0.1 --rare-mass 0.1", "--rare and --rare-mass: give one of them"),
    ("--success 0.3 0.4 --rare-mass 0.1", "--rare-mass needs one --success"),
    ("--pilot PILOT --rare-mass 0.1", "--rare-mass needs one --success"),
    ("--success 0.3 --rare-mass 0.3", "--rare-mass 0.3: must be below the success rate 0.3"),
    ("--success 0.3 --rare-mass 0", "--rare-mass 0.0: must lie between 0 and 1"),
    ("--success 0.3 --group-sizes 4 1", "--group-sizes 1: must be at least 2"),
    ("--success 0.3 --group-sizes 4 many", "--group-sizes 4 many: "),
    ("--success 0.3 --group-sizes 9999999", "--group-sizes 9999999: must be at most 1,000,000"),
    ("--success 0.3 --gammas -1", "--gammas -1.0: must be a number of at least 0"),
    ("--success 0.3 --gammas inf", "--gammas inf: must"),
    ("--success 0.3 --target 0", "--target 0.0: must lie between 0 and 1"),
    ("--success 0.3 --target 1", "--target 1.0: must lie between 0 and 1"),
    ("--success 0.3 --level 1", "--level 1.0: must lie between 0 and 1"),
    ("--success 0.3 --budget 1", "--budget 1: must be at least 4"),
    ("--success 0.3 --budget 99999999999", "--budget 99999999999: must be at most"),
    ("--success 0.3 --budget few", "--budget few: "),
    ("--success 0.3 --min-prompts 4", "--min-prompts needs --budget"),
    ("--success 0.3 --budget 64 --min-prompts 17", "--min-prompts 17: must be at most 16"),
    ("--success 0.3 --budget 64 --min-prompts 0", "--min-prompts 0: must be at least 1"),
    ("--success 0.3 --seed -1", "--seed -1: "),
    ("--success 0.3 --out PILOT", "p.jsonl: not a folder"),
    ("--success 0.3 --solutions text", "--solutions needs --pilot"),
    ("--success 0.3 --benchmark aime", "--benchmark needs --pilot"),
    ("--success 0.3 more", "more"),
    ("--pilot missing.jsonl", "missing.jsonl: cannot be read"),
    ("--pilot EMPTY", "empty.jsonl: holds no records"),
    ("--pilot BROKEN", "broken.jsonl:2: expected one JSON record: NaN is not a finite number"),
    ("--pilot FOLDER", "a folder without records.jsonl"),
    ("--pilot PILOT --solutions words", "--solutions words: must be text or answer"),
    ("--pilot PILOT --solutions text", "p.jsonl holds no texts"),
    ("--pilot PILOT --benchmark b", "--benchmark b: "),
    ("--pilot NAMED --benchmark b", "named.jsonl holds maths"),
    ("--rare 0.1 --trainer trl --per-device 4 --group-size 4", "--rare needs --success or --pi"),
    ("--out x --trainer trl --per-device 4 --group-size 4", "--out needs --success or --pilot"),
    ("--trainer nemo", "--trainer nemo: must be trl or verl"),
    ("--trainer trl --group-size 4", "--trainer trl needs --per-device"),
    ("--trainer verl --group-size 4 --prompts 4", "--trainer verl needs --mini-batch"),
    ("--trainer verl --group-size 4 --mini-batch 4", "--trainer verl needs --prompts"),
    ("--trainer trl --per-device 4", "--trainer needs --group-size where nothing recommends one"),
    ("--trainer trl --per-device 4 --gpus 8 --group-size 4", "--gpus is for --trainer verl"),
    ("--trainer trl --per-device 4 --dynamic --group-size 4", "--dynamic is for --trainer verl"),
    ("--trainer trl --per-device 0 --group-size 4", "--per-device 0: must be at least 1"),
    ("--trainer trl --per-device 4 --group-size 0", "--group-size 0: must be at least 1"),
    ("--success 0.3 --processes 4", "--processes is for --trainer trl"),
    ("--success 0.3 --group-size 4", "--group-size is of the batches that --trainer checks"),
]


@pytest.mark.parametrize(("line", "told"), BAD)
def test_what_cannot_be_planned_is_refused_in_one_line(command_line, written, tmp_path, line, told):
    pilot(tmp_path / "p.jsonl", {"a": 1, "b": 3}, 4)
    pilot(tmp_path / "named.jsonl", {"maths/a": 1}, 4)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    header = (tmp_path / "p.jsonl").read_text().splitlines()[0]
    (tmp_path / "broken.jsonl").write_text(
        f'{header}\n{{"problem": "a", "sample": 0, "correct": true, "logprob": NaN}}\n'
    )
    names = {"PILOT": "p.jsonl", "NAMED": "named.jsonl", "EMPTY": "empty.jsonl"}
    names |= {"BROKEN": "broken.jsonl", "FOLDER": "."}
    words = [str(tmp_path / names[word]) if word in names else word for word in line.split()]
    code, out, err = command_line("plan", *words)
    assert (code, out) == (2, ""), (out, err)
    assert len(err.splitlines()) == 1
    assert err.startswith("fgrpo: ")
    assert told in err
    assert written.plan is None


def test_interrupted_it_says_so_and_prints_nothing_else(command_line, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_plan", interrupted)
    assert command_line("plan", *HALF) == (130, "", "\nStopped.\n")


# --- files and help ---


def test_the_files_hold_the_plan_the_batch_and_the_command(command_line, tmp_path):
    code, out, err = command_line(
        "plan", *HALF, *TRL, "--group-size", 4, "--budget", 512, "--out", tmp_path / "plan"
    )
    assert (code, err) == (0, "")
    page = tmp_path / "plan" / "report.html"
    assert f"Page: {page}\n" in out
    assert page.is_file()
    made = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert made["made_by"]["command"].startswith("fgrpo plan --success 0.5 --rare 0.5")
    assert "the plan is for a budget of 512" in json.dumps(made["batch"])
    assert not list(tmp_path.rglob("*.tmp"))


def test_help_lists_every_option_and_loads_nothing_heavy():
    code = (
        "import sys, contextlib\n"
        "from fgrpo.cli import main\n"
        "sys.argv = ['fgrpo', 'plan', '--help']\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print([n for n in ('torch', 'scipy', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    options = typer.main.get_command(app).commands["plan"].params
    assert len(options) > 25
    listed = done.stdout.split()
    for option in options:
        assert option.opts[0] in listed
        assert option.help
