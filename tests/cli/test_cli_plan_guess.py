"""``fgrpo plan`` for guessed rates: numbers worked out by hand, and what is printed of them."""

from dataclasses import replace

import pytest
from plan_command import HALF, flowing, pilot, rows

from fgrpo.plan import planning


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
