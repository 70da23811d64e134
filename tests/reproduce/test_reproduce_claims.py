"""Claims come out as the numbers say, and can come out otherwise."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fgrpo.reproduce import theory_items
from fgrpo.reproduce.item import NOT_RUN, Claim, Finding, every, verdict
from fgrpo.reproduce.llm_items import rare_nll
from fgrpo.reproduce.maze_items import figure_6, table_4
from fgrpo.reproduce.maze_run import Difference
from fgrpo.reproduce.maze_training import Course, figure_7
from fgrpo.reproduce.maze_words import judged, paper_cells
from fgrpo.reproduce.simulation_item import figure_2
from fgrpo.simulation.result import load_sweep
from fgrpo.simulation.settings import SimulationRecipe
from fgrpo.simulation.sweep import run_sweep
from fgrpo.theory import tail_miss_probability

AGREES, OPEN, DISAGREES = Finding.AGREES, Finding.OPEN, Finding.DISAGREES


def findings(made):
    return [claim.finding for claim in made.claims]


def test_verdicts_count():
    yes, perhaps, no = (Claim("", "", finding) for finding in Finding)
    assert verdict([]) == NOT_RUN
    assert verdict([yes]) == "agrees"
    assert verdict([yes, yes]) == "agrees (2 of 2 claims)"
    assert verdict([no]) == "0 of 1 claims agree, 1 disagrees"
    assert verdict([yes, no, perhaps, yes]) == "2 of 4 claims agree, 1 undecided, 1 disagrees"


@pytest.mark.parametrize(
    ("held", "finding", "exactly"),
    [
        ([True, True], AGREES, AGREES),
        ([True, False], OPEN, DISAGREES),
        ([False], DISAGREES, DISAGREES),
        ([], OPEN, OPEN),
    ],
)
def test_a_claim_about_several_cases(held, finding, exactly):
    claim = every("text", held, "cases")
    assert claim.finding is finding
    assert every("text", held, "cases", exact=True).finding is exactly
    assert claim.ours == f"cases ({sum(held)} of {len(held)})"


@pytest.fixture
def few_groups(monkeypatch):
    monkeypatch.setattr(theory_items, "_GROUPS", 20_000)
    monkeypatch.setattr(theory_items, "_LONG", 512)


@pytest.mark.usefixtures("few_groups")
def test_the_theory_agrees_with_drawn_groups():
    for make in (theory_items.figure_1a, theory_items.figure_4):
        assert set(findings(make(None))) == {AGREES}


@pytest.mark.usefixtures("few_groups")
def test_a_wrong_lemma_would_be_noticed(monkeypatch):
    monkeypatch.setattr(
        theory_items,
        "tail_miss_probability",
        lambda mu, tau, n: 0.97 * np.asarray(tail_miss_probability(mu, tau, n)),
    )
    assert findings(theory_items.figure_1a(None))[0] is DISAGREES


def test_a_wrong_update_scale_would_be_noticed(monkeypatch):
    monkeypatch.setitem(theory_items.PAPER_SCALES, 1.0, 0.51)
    assert findings(theory_items.figure_4(None)) == [DISAGREES]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A small simulation: what it comes to is replaced in the tests."""
    recipe = SimulationRecipe(
        name="tiny",
        description="",
        policy={"actions": 300, "correct": 60},
        group_sizes=[2, 8, 64],
        gammas=[0, 1],
        seeds=[0],
        steps=2,
    )
    folder = tmp_path_factory.mktemp("sweep")
    run_sweep(recipe, folder, command="test")
    return load_sweep(folder)


def simulated(sweep, retained, q_pos=0.99):
    """Return figure 2 of a sweep that ended with these retained masses, by γ and N."""
    rows = []
    for row in sweep.final_rows:
        kept = retained[row.gamma][row.group_size]
        spread = type(row.m_ret)
        rows.append(replace(row, m_ret=spread(kept, kept, kept), q_pos=spread(q_pos, q_pos, q_pos)))
    told = SimpleNamespace(recipe=sweep.recipe, policy=sweep.policy, final_rows=rows)
    return figure_2_of(told, sweep)


def figure_2_of(told, sweep):
    runs = SimpleNamespace(simulation=lambda: told)
    from fgrpo.reproduce import simulation_item

    drawn = simulation_item.drawn_sweep
    simulation_item.drawn_sweep = lambda _: drawn(sweep)
    try:
        return figure_2(runs)
    finally:
        simulation_item.drawn_sweep = drawn


def test_the_simulation_as_the_paper_has_it(sweep):
    made = simulated(sweep, {0: {2: 0.99, 8: 0.1, 64: 0.95}, 1: {2: 0.99, 8: 0.6, 64: 0.96}})
    assert findings(made) == [AGREES] * 5
    assert "falls to 10.0% at N = 8; with γ = 1 60.0%" in made.ours
    assert "falls to 10.0% at N = 8; with γ = 1 60.0%" in made.figures[0].alt
    assert [claim.ours for claim in made.claims[-2:]] == [
        "least change 0.0 points at N = 2 (3 of 3)",
        "+50.0 points at N = 8",
    ]


def test_a_simulation_that_contradicts_the_paper(sweep):
    start = sweep.policy.success_rate
    made = simulated(
        sweep,
        {0: {2: 0.3, 8: 0.8, 64: 0.7}, 1: {2: 0.2, 8: 0.7, 64: 0.8}},
        q_pos=start - 0.01,
    )
    assert findings(made) == [DISAGREES, DISAGREES, DISAGREES, OPEN, DISAGREES]


def maze_folder(
    folder, *, gain=0.05, judgement="higher", lows=(0.80, 0.90), ends=(0.85, 0.92), left_out=""
):
    """Write the tables of a made-up maze run: two group sizes, γ = 0, 0.5 and 1, two seeds."""
    names = {
        (size, gamma): name + f"-n{size}"
        for size in (4, 16)
        for gamma, name in {0.0: "grpo", 0.5: "f-0.5", 1.0: "f-1"}.items()
        if not left_out or not name.startswith(left_out)
    }
    reached = {
        name: [0.6, ends[0] if gamma == 0 else ends[0] + gain] for (_, gamma), name in names.items()
    }
    told = {
        "recipe": "made-up",
        "seeds": [1, 2],
        "samples": 16,
        "arms": [
            {
                "name": name,
                "reference": None if gamma == 0 else names.get((size, 0.0)),
                "settings": {"group_size": size, "gamma": gamma, "steps": 40},
            }
            for (size, gamma), name in names.items()
        ],
        "pass_at_k": [
            {"arm": arm, "k": [1, 16], "mean": mean}
            for arm, mean in {"base": [0.5, 0.95], **reached}.items()
        ],
        "comparisons": [
            {
                "a": names[size, 0.0],
                "b": names[size, gamma],
                "k": k,
                "judgement": judgement if k == 16 else "no significant difference",
                "over_problems_and_seeds": {"estimate": gain, "interval": [gain - 1, gain + 1]},
                "over_problems": None,
            }
            for size, gamma in names
            for k in (1, 16)
            if gamma > 0 and (size, 0.0) in names
        ],
        "environment": [
            {
                "processor": "a processor",
                "device": "cpu",
                "cores": 2,
                "started": "2026-01-02T03:04:05",
                "command": "fgrpo run made-up",
            }
        ],
    }
    (folder / "tables").mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(told))
    (folder / "recipe.yaml").write_text("maze: {size: 9}\n")
    training = [("base", "", 0, 0.5, 0.95)]
    training += [
        (name, seed, step, 0.6, share + shift / step)
        for (_, gamma), name in names.items()
        for seed, shift in ((1, -0.02), (2, 0.02))
        for step, share in ((10, lows[gamma > 0]), (40, ends[gamma > 0]))
    ]
    write(folder, "during_training.csv", "arm seed step pass_at_1 pass_at_16", training)
    solved = {"grpo-n4": 2, "grpo-n16": 9}
    problems = [
        (f"maze-{p}", arm, seed, 16, int(p < many) * 8)
        for arm, many in solved.items()
        for seed in (1, 2)
        for p in range(10)
    ]
    write(folder, "problems.csv", "problem arm seed n c", problems)
    return SimpleNamespace(maze=lambda: folder)


def write(folder, name, head, rows):
    with (folder / "tables" / name).open("w", newline="") as file:
        csv.writer(file).writerows([head.split(), *rows])


def test_a_maze_run_as_the_paper_has_it(tmp_path):
    runs = maze_folder(tmp_path / "run")
    assert findings(table_4(runs)) == [OPEN, AGREES] * 2
    assert findings(figure_6(runs)) == [AGREES] * 3
    made = figure_7(runs)
    assert findings(made) == [AGREES] * 3
    assert "N = 4: 80.0% at step 10, 85.0% at the end" in made.ours
    assert made.ours in made.figures[0].alt


def test_a_maze_run_that_contradicts_the_paper(tmp_path):
    runs = maze_folder(
        tmp_path / "run", gain=-0.05, judgement="lower", lows=(1.15, 0.96), ends=(0.96, 0.9)
    )
    assert findings(table_4(runs)) == [OPEN, DISAGREES] * 2
    assert findings(figure_7(runs)) == [DISAGREES, DISAGREES, DISAGREES]


@pytest.mark.parametrize("left_out", ["grpo", "f"])
def test_what_was_not_trained_is_no_result(tmp_path, left_out):
    runs = maze_folder(tmp_path / "run", left_out=left_out)
    assert findings(table_4(runs)) == [OPEN] * 4
    assert {claim.ours for claim in table_4(runs).claims} == {"not trained"}
    assert findings(figure_6(runs))[:2] == [OPEN] * 2
    assert findings(figure_7(runs))[2] is OPEN


def test_a_difference_without_interval_is_told(tmp_path):
    runs = maze_folder(tmp_path / "run", judgement="cannot be judged")
    path = tmp_path / "run" / "summary.json"
    told = json.loads(path.read_text())
    for one in told["comparisons"]:
        one["over_problems_and_seeds"]["interval"] = [None, None]
    path.write_text(json.dumps(told))
    claim = table_4(runs).claims[1]
    assert (claim.finding, claim.ours.count("+5.0 (no interval) points")) == (OPEN, 2)


@pytest.mark.parametrize(
    ("judgements", "of_all", "of_most"),
    [
        (["higher"] * 3, AGREES, AGREES),
        (["higher", "higher", "cannot be judged"], OPEN, AGREES),
        (["higher", "higher", "lower"], DISAGREES, AGREES),
        (["higher", "no significant difference"], OPEN, OPEN),
        (["lower", "lower", "higher"], DISAGREES, DISAGREES),
        ([], OPEN, OPEN),
    ],
)
def test_significant_differences_decide(judgements, of_all, of_most):
    found = {str(i): Difference(0.1, 0, 0.2, one) for i, one in enumerate(judgements)}
    assert judged("text", found).finding is of_all
    assert judged("text", found, often=True).finding is of_most


def test_the_papers_own_table_fulfils_the_claims_made_of_it():
    cells = paper_cells()
    sizes = sorted({size for size, _ in cells})
    assert sizes == [4, 8, 16, 32, 64, 128]
    for size in sizes:
        for k in (1, 256):
            assert min(cells[size, 0.5][k], cells[size, 1.0][k]) > cells[size, 0.0][k]
    assert cells[128, 0.0][256] > cells[4, 0.0][256]


def test_a_curve_without_trend_does_not_recover():
    rng = np.random.default_rng(0)
    means = []
    for _ in range(2000):
        course = Course((1, 2, 3, 4, 5, 6, 7, 8), rng.normal(size=(8, 5)))
        means.append(course.recovery().mean())
    # Its end stands 0.46 above the lowest of four means of five seeds, which is chance alone.
    assert abs(np.mean(means)) < 5 * np.std(means) / np.sqrt(len(means))
    assert np.std(means) < 1
    dip = Course((1, 2, 3, 4), np.array([[0.5, 0.6], [0.2, 0.1], [0.4, 0.4], [0.7, 0.8]]))
    assert dip.recovery().tolist() == pytest.approx([0.5, 0.7])
    assert dip.lowest == (2, pytest.approx(0.15))


def test_rare_answers_are_compared_at_one_group_size(monkeypatch):
    rows = [
        {"model": "m", "base_method": "GRPO", "gamma": g, "group_size": n, "delta_nll_rare": value}
        for g, n, value in [(0, 2, 0.3), (0, 8, 0.2), (0.5, 8, 0.1), (0.5, 2, 0.25)]
    ]
    monkeypatch.setattr("fgrpo.reproduce.llm_items.paper_rows", lambda _: rows)
    assert rare_nll(None).paper == "rises most at N = 2 (0.30); with γ = 0.5 there 0.25"


def test_ours_and_theirs_stand_side_by_side(tmp_path):
    (table,) = table_4(maze_folder(tmp_path / "run")).tables
    rows = {row[:2]: row[2:] for row in table.rows}
    # γ = 0.5 and N = 4: ours 0.6 and 0.85 + 0.05; the paper 74.4 and 75.9, 8.6 above γ = 0.
    assert rows["4", "0.5"] == (
        *("60.0", "90.0", "+5.0 (−95.0 to +105.0) points"),
        *("74.4", "75.9", "+8.6 points"),
    )
    assert rows["8", "0"][:2] == ("not in made-up", "not in made-up")
    assert all(cell for row in table.rows for cell in row)


def test_group_sizes_are_compared_by_their_runs(tmp_path):
    claim = figure_6(maze_folder(tmp_path / "run")).claims[-1]
    assert "N = 4 to 16: +70.0" in claim.ours  # 9 of 10 mazes solved, not 2
