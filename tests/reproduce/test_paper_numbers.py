"""The paper's numbers agree with each other, and with what its text says."""

from importlib.resources import files

import pytest

from fgrpo.reproduce.paper import NAMES, paper_rows

MATH = ("AIME24", "AIME25", "AMC23", "MATH500", "Minerva", "Olympiad")
FAR = ("GPQA", "IFEval", "SynLogic")


def values(name, *keys):
    """Map the values of the keys to the percentage; no two rows have the same."""
    rows = paper_rows(name)
    found = {tuple(row[key] for key in keys): row["pass_at_k"] for row in rows}
    assert len(found) == len(rows)
    return found


METHODS = values("methods", "model", "base_method", "gamma", "benchmark", "k")


def test_headlines_of_the_paper():
    of = {
        method: [
            METHODS["Qwen2.5-7B", method, gamma, "math_average", 256]
            for gamma in (0.0, {"CISPO": 1.0}.get(method, 0.5))
        ]
        for method in ("GRPO", "DAPO", "CISPO")
    }
    assert of == {"GRPO": [64.1, 70.3], "DAPO": [69.3, 72.5], "CISPO": [73.2, 76.8]}
    rare = {
        (row["group_size"], row["gamma"]): row["delta_nll_rare"] for row in paper_rows("rare_nll")
    }
    assert rare == {
        (2, 0): 0.19,
        (4, 0): 0.44,
        (8, 0): 0.68,
        (16, 0): 0.66,
        (32, 0): 0.52,
        (8, 0.5): 0.46,
    }
    maze = values("maze", "group_size", "gamma", "k")
    assert [maze[8, gamma, 1] for gamma in (0, 0.5, 1)] == [72.2, 83.4, 76.3]
    assert [maze[8, gamma, 256] for gamma in (0, 0.5, 1)] == [73.4, 84.0, 76.6]


@pytest.mark.parametrize(("average", "parts"), [("math_average", MATH), ("ood_average", FAR)])
@pytest.mark.parametrize("name", ["methods", "group_sizes", "controls"])
def test_averages_are_those_of_their_benchmarks(name, average, parts):
    keys = [key for key in paper_rows(name)[0] if key not in ("benchmark", "pass_at_k")]
    found = values(name, *keys, "benchmark")
    settings = {key[:-1] for key in found}
    for setting in settings:
        mean = sum(found[*setting, part] for part in parts) / len(parts)
        assert found[*setting, average] == pytest.approx(mean, abs=0.11), setting


def test_tables_that_show_the_same_run_agree():
    keys = ("model", "base_method", "gamma", "benchmark", "k")
    shared = 0
    for name in ("gamma_sweep", "pass_at_k_curves"):
        for key, value in values(name, *keys).items():
            if key in METHODS:
                assert value == METHODS[key], (name, key)
                shared += 1
    for row in paper_rows("group_sizes"):
        key = tuple(row[name] for name in keys)
        if row["group_size"] == 8:
            assert row["pass_at_k"] == METHODS[key], key
            shared += 1
    assert shared > 400


def test_pass_at_k_never_falls_with_k():
    curves = {}
    for row in paper_rows("pass_at_k_curves"):
        key = tuple(row[name] for name in ("model", "base_method", "gamma", "benchmark"))
        curves.setdefault(key, []).append((row["k"], row["pass_at_k"]))
    assert len(curves) == 3 * 3 * 2 * 9
    for key, points in curves.items():
        ks, shares = zip(*sorted(points), strict=True)
        assert ks == (1, 2, 4, 8, 16, 32, 64, 128, 256)
        assert list(shares) == sorted(shares), key


def test_the_source_of_every_file_is_told():
    folder = files("fgrpo.reproduce.paper")
    told = folder.joinpath("SOURCE.md").read_text(encoding="utf-8")
    shipped = {path.name for path in folder.iterdir() if path.name.endswith(".csv")}
    assert shipped == {f"{name}.csv" for name in NAMES}
    assert all(f"`{name}`" in told for name in shipped)
    assert "arXiv 2602.06717" in told


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match=r"name 'tables': must be one of methods, group_sizes"):
        paper_rows("tables")
