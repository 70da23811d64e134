"""ΔNLL_rare: the change, how its noise is judged, and the files of results."""

import json
import math

import numpy as np
import pytest
from rare_evaluations import all_by_hand, base_of, row_of

from fgrpo.evaluate.rare.change import change, changes
from fgrpo.evaluate.rare.measure import measure
from fgrpo.evaluate.rare.models import parse_models
from fgrpo.evaluate.rare.output import write_results
from fgrpo.evaluate.rare.source import open_source

pytestmark = pytest.mark.slow


def clustered(rng, prompts=60):
    """Differences with a part that all trajectories of a prompt share; prompts of unequal size."""
    sizes = rng.integers(1, 12, prompts)
    names = np.repeat(np.arange(prompts), sizes)
    d = 0.3 + np.repeat(rng.normal(0, 0.5, prompts), sizes) + rng.normal(0, 0.2, len(names))
    return d, names.astype(np.int32)


def test_the_standard_error_is_the_analytic_one_over_prompts():
    d, names = clustered(np.random.default_rng(1))
    found = change(("m", "base"), np.ones(len(d)), 1 + d, names, np.random.default_rng(0))
    sums = np.array([(d[names == p] - d.mean()).sum() for p in range(60)])
    analytic = math.sqrt((sums**2).sum()) / len(d)
    assert found.difference == pytest.approx(d.mean())
    assert found.standard_error == pytest.approx(analytic, rel=0.04)
    # Trajectories of one prompt are alike: taken as independent they would seem to tell more.
    assert found.standard_error > 2 * d.std() / math.sqrt(len(d))
    assert found.interval[0] == pytest.approx(d.mean() - 1.96 * analytic, abs=0.3 * analytic)
    assert found.interval[1] == pytest.approx(d.mean() + 1.96 * analytic, abs=0.3 * analytic)
    assert (found.trajectories, found.prompts) == (len(d), 60)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(100):
        d, names = clustered(np.random.default_rng(seed), prompts=40)
        found = change(("m", "b"), np.zeros(len(d)), d, names, np.random.default_rng(seed))
        hits += found.interval[0] <= 0.3 <= found.interval[1]
    assert 87 <= hits <= 99  # 95 is nominal; 0.95 binomial gives 87 or fewer in 0.1% of cases


def test_few_prompts_are_not_judged():
    d = np.arange(50) / 50
    found = change(("m", "base"), d, d + 1, np.arange(50) % 5, np.random.default_rng(0))
    assert math.isnan(found.p_value)
    assert math.isnan(found.interval[0])
    assert found.difference == pytest.approx(1)
    assert "it takes at least 6 prompts, not 5" in found.verdict


def test_verdicts_say_what_happened():
    rng = np.random.default_rng(3)
    d, names = clustered(rng)
    zero = np.zeros(len(d))

    def verdict(values):
        return change(("focal", "base"), zero, values, names, np.random.default_rng(0)).verdict

    assert " rose by 0." in verdict(np.abs(d))
    assert "fell by" in verdict(-np.abs(d))
    assert "p < 0.001" in verdict(np.abs(d))
    noise = d - d.mean()
    assert "no significant change (+0.000" in verdict(noise)
    assert f"the {len(d)} rare right answers of 60 prompts" in verdict(d)
    assert "against base" in verdict(d)
    assert "nothing varied here" in verdict(zero + 1)


def test_later_models_are_also_compared_with_the_first():
    nlls = {"base": np.zeros(8), "grpo": np.full(8, 0.7), "focal": np.full(8, 0.4)}
    found = changes(nlls, np.arange(8, dtype=np.int32), 0)
    pairs = {(one.model, one.reference): one.difference for one in found}
    assert pairs == pytest.approx(
        {("grpo", "base"): 0.7, ("focal", "base"): 0.4, ("focal", "grpo"): -0.3}
    )


def test_files_hold_the_results(tmp_path, models, base_folder):
    source, base = open_source(base_folder), base_of(models)
    trained = parse_models([f"a={models[1]}"], base)
    measured = measure(source, base, trained, tmp_path, share=0.5)
    found = changes(measured.nlls, source.right.problem[measured.chosen], 0)
    write_results(tmp_path, measured, found, source, {"share": 0.5}, {"fgrpo": "x"})
    content = json.loads((tmp_path / "rare_nll.json").read_text())
    (result,) = content["results"]
    lines = [
        json.loads(line) for line in (tmp_path / "trajectories.jsonl").read_text().splitlines()
    ]
    assert len(lines) == content["selection"]["chosen"] == 12
    mean = {label: np.mean([line["nll"][label] for line in lines]) for label in ("base", "a")}
    assert result["difference"] == pytest.approx(mean["a"] - mean["base"])
    assert result["prompts"] == len({line["problem"] for line in lines})
    hand = all_by_hand(1)
    for line in lines:
        assert line["nll"]["a"] == pytest.approx(hand[line["problem"], line["sample"]], rel=1e-4)
        p, s = int(line["problem"][4:]), line["sample"]
        assert line["tokens"] == len(row_of(p, s).completion)
    header, row = (tmp_path / "rare_nll.csv").read_text().splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(values["difference"]) == result["difference"]
    assert float(values["low"]) == result["low"]
    assert values["model"] == "a"
