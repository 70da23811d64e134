"""A whole diagnosis: its numbers against direct ones, and its files."""

import csv
import dataclasses
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from diagnose_examples import HOSTILE, N, three_arms, write_records

from fgrpo.compare import compare_problems, compare_problems_and_seeds
from fgrpo.diagnose.analysis import diagnose
from fgrpo.diagnose.arms import read_arms
from fgrpo.diagnose.figures import drawable
from fgrpo.diagnose.holm import holm
from fgrpo.diagnose.markdown import plain
from fgrpo.diagnose.matching import match
from fgrpo.diagnose.sentences import method_notes, verdicts
from fgrpo.diagnose.write import write_comparison
from fgrpo.errors import UsageError
from fgrpo.passk import pass_at_k
from fgrpo.records import Counts

pytestmark = pytest.mark.slow

KS = (1, 2, 4, 8, 16)


class Page(HTMLParser):
    """Collects what a page loads, its elements and its text."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.tags, self.alts, self.text = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.targets += [v for name, v in attributes if name in {"src", "href", "data", "action"}]
        self.alts += [v for name, v in attributes if name == "alt"]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    paths, correct = three_arms(folder)
    found = diagnose(match(read_arms([[path] for path in paths])))
    said = verdicts(found)
    write_comparison(found, said, folder / "out")
    return folder, paths, correct, found, said


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def part(correct, benchmark):
    chosen = {problem: c for problem, c in correct.items() if problem.startswith(f"{benchmark}/")}
    values = np.array(list(chosen.values()))
    return Counts(tuple(chosen), np.full(len(chosen), N), values)


def test_every_number_is_that_of_the_plain_comparison(built):
    _, _, (base, rl, focal), found, _ = built
    assert [(s.name, s.problems) for s in found.benchmarks] == [
        ("aime", 12),
        ("math", 40),
        ("tiny", 3),
    ]
    assert found.ks == (1, N)
    for scope in found.benchmarks:
        assert scope.samples == (N, N)
        first = part(base, scope.name)
        for later, correct in enumerate((rl, focal)):
            other = part(correct, scope.name)
            plain_ones = compare_problems(first, other, k=KS, rng=np.random.default_rng(0))
            for one, expected in zip(scope.contrasts[later], plain_ones, strict=True):
                assert repr(one.comparison) == repr(expected)
            curve = scope.curves[1 + later]
            assert curve.ks == KS
            np.testing.assert_allclose(
                curve.mean, pass_at_k(other.n, other.c, np.array(KS)).mean(axis=0), rtol=1e-12
            )
            if scope.problems >= 6:
                varying = curve.mean < 1
                assert varying[:-1].all()
                assert (curve.low < curve.mean)[varying].all()
                assert (curve.mean < curve.high)[varying].all()


def test_p_is_adjusted_over_benchmarks_and_arms_for_each_k_and_verdicts_use_that(built):
    *_, found, _ = built
    for k in KS:
        tests = [scope.contrast(later, k) for scope in found.benchmarks for later in (0, 1)]
        raw = [one.comparison.p_value for one in tests]
        assert sum(map(math.isnan, raw)) == 2  # tiny has 3 problems
        assert (np.array([one.adjusted for one in tests]) >= holm(raw))[np.isfinite(raw)].all()
        assert {one.family for one in tests} == {4}
        macro = [found.macro.contrast(later, k) for later in (0, 1)]
        assert {one.family for one in macro} == {0}  # not judged: tiny again
        for one in tests:
            expected = one.adjusted < 0.05
            assert (one.sign != 0) == expected
    notes = " ".join(method_notes(found))
    assert "at each k the tests of 3 benchmarks × 2 later arms are one family" in notes


@pytest.mark.parametrize(("problems", "expected"), [(6, 2**-5), (8, 2**-7)])
def test_what_is_adjusted_is_no_smaller_than_so_few_problems_allow(tmp_path, problems, expected):
    """All of 6 problems rise: the bootstrap says 2/10001, but a coin falls so in 1 case of 32."""
    base = {f"{b}/{i}": 4 + i for b in "ab" for i in range(problems)}
    paths = [
        write_records(tmp_path / "base.jsonl", base),
        write_records(tmp_path / "rl.jsonl", {p: c + 1 for p, c in base.items()}),
    ]
    found = diagnose(match(read_arms([[path] for path in paths])), k=[1])
    for scope in found.benchmarks:
        one = scope.contrast(0, 1)
        assert (one.comparison.p_value, one.family) == (2 / 10_001, 2)
        assert one.adjusted == pytest.approx(2 * expected, rel=0.25)
        assert one.sign == (problems == 8)
        assert not one.adjusted_text.startswith("≤")
    assert "a sign-flip test's" in " ".join(method_notes(found))
    assert found.macro.contrast(0, 1).adjusted == 2 / 10_001  # a family of one: p as it is


def test_benchmarks_count_the_same_when_signs_are_flipped(tmp_path):
    """6 problems rise and 60 move to and fro: only together do 6 say much, were all alike."""
    base = {f"a/{i}": 5 for i in range(6)} | {f"b/{i}": 5 for i in range(60)}
    rl = {p: c + (1 if p[0] == "a" or int(p[2:]) % 2 else -1) for p, c in base.items()}
    paths = [write_records(tmp_path / f"{i}.jsonl", c) for i, c in enumerate((base, rl, rl))]
    found = diagnose(match(read_arms([[path] for path in paths])), k=[1])
    rng = np.random.default_rng(5)
    few, many = (2 * rng.binomial(size, 0.5, 200_000) - size for size in (6, 60))
    expected = np.mean(np.abs(few / 6 + many / 60) >= 1 - 1e-9)
    one = found.macro.contrast(0, 1)
    assert one.family == 2
    assert one.comparison.p_value < 0.001
    assert one.adjusted == pytest.approx(2 * expected, rel=0.25)


def test_a_family_too_large_for_the_draws_is_told(built):
    *_, found, _ = built
    assert "no adjusted p" not in " ".join(method_notes(found))
    few = dataclasses.replace(found, draws=200)
    assert "With 6 tests and 200 draws no adjusted p is below 0.06" in " ".join(method_notes(few))


def test_a_difference_that_only_the_raw_p_finds_is_no_finding(tmp_path):
    """Eleven arms like the first and one with p between 0.05/12 and 0.05."""
    base = {f"p{i:02d}": 4 for i in range(20)}
    better = {p: c + (2 if i < 8 else -1 if i < 12 else 0) for i, (p, c) in enumerate(base.items())}
    others = [{p: c + (i % 2) * 2 - 1 for i, (p, c) in enumerate(base.items())}] * 11
    paths = [
        write_records(tmp_path / f"{i:02d}.jsonl", c) for i, c in enumerate((base, better, *others))
    ]
    arms = read_arms([[path] for path in paths])
    many, alone = diagnose(match(arms), k=[1]), diagnose(match(arms[:2]), k=[1])
    one, single = many.benchmarks[0].contrast(0, 1), alone.benchmarks[0].contrast(0, 1)
    assert one.comparison == single.comparison
    assert 0.05 / 12 < one.comparison.p_value < 0.05
    assert one.adjusted >= 12 * one.comparison.p_value
    assert (single.family, single.judgement) == (1, "higher")
    assert (one.family, one.judgement) == (12, "no significant difference")
    said = verdicts(many)[0]
    assert said.headline == "01 against 00: no significant difference in pass@1."
    assert "adjusted p = 0." in said.details[0]
    assert said.details[0].endswith(", so no significant difference).")
    assert "adjusted" not in verdicts(alone)[0].details[0]


def test_the_story_of_a_model_that_sharpened(built):
    """rl doubles what base solves 4 times of 16 or more, and loses the rest."""
    *_, (base, rl, _), found, said = built
    math_scope = found.benchmarks[1]
    crossing, changed = math_scope.crossings[0], math_scope.changed[0]
    difference = [
        np.mean(pass_at_k(N, part(rl, "math").c, k) - pass_at_k(N, part(base, "math").c, k))
        for k in range(1, N + 1)
    ]
    assert crossing.k == next(k for k, d in enumerate(difference, start=1) if d < 0)
    assert crossing.beyond_noise
    lost = [p for p, c in base.items() if p.startswith("math/") and c > 0 and rl[p] == 0]
    assert {one.problem for one in changed.lost} == set(lost)
    assert changed.lost[0].problem == HOSTILE  # 9 of 16: the surest loss
    assert not changed.gained
    assert changed.expected_lost < len(lost)
    assert said[0].headline.startswith("rl against base (macro average of 3 benchmarks): ")
    text = " ".join(said[0].details)
    assert re.search(
        r"pass@16 by benchmark: lower on math \(−.*?\); no significant difference on aime; cannot",
        text,
    )
    aime = found.benchmarks[0].contrast(0, 16)
    # 6 of 12 lost, none gained: by chance in 1 case of 32, whatever the bootstrap says.
    assert len(found.benchmarks[0].changed[0].lost) == 6
    assert aime.comparison.p_value < 0.01
    assert 2 * 2**-5 * 0.85 < aime.adjusted < 4 * 2**-5 * 1.15
    assert "cannot be judged on tiny" in text
    assert "(noise cannot be judged; so no claim" in text  # of the macro average
    assert math_scope.crossings[0].tested == KS
    assert "it takes at least 6 problems, not 3 in tiny" in text


def test_the_macro_average_weighs_benchmarks_equally(built):
    _, _, (base, rl, _), found, _ = built
    expected = [
        np.mean([part(arm, name).c.mean() / N for name in ("aime", "math", "tiny")])
        for arm in (base, rl)
    ]
    one = found.macro.contrast(0, 1).comparison
    assert (one.a, one.b) == pytest.approx(expected)
    assert found.macro.curves[1].mean[0] == pytest.approx(expected[1])
    every = [
        np.mean(
            [
                np.mean(pass_at_k(N, part(rl, name).c, k) - pass_at_k(N, part(base, name).c, k))
                for name in ("aime", "math", "tiny")
            ]
        )
        for k in range(1, N + 1)
    ]
    assert found.macro.crossings[0].k == next(
        k for k, d in enumerate(every, start=1) if np.sign(d) == -np.sign(every[0])
    )


def test_several_seeds_are_compared_with_their_noise(tmp_path):
    rng = np.random.default_rng(0)
    sets = [{f"p{i}": int(c) for i, c in enumerate(rng.integers(0, N, 12))} for _ in range(3)]
    paths = [write_records(tmp_path / f"{i}.jsonl", c) for i, c in enumerate(sets)]
    found = diagnose(match(read_arms([[paths[0]], paths[1:]])))
    runs = [arm.runs for arm in found.arms]
    expected = compare_problems_and_seeds(
        [r.counts for r in runs[0]], [r.counts for r in runs[1]], k=KS
    )
    assert [one.comparison for one in found.benchmarks[0].contrasts[0]] == expected
    assert "over problems and training seeds" in method_notes(found)[0]
    assert not any("One run" in note for note in method_notes(found))
    assert found.benchmarks[0].changed[0].lost == ()


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes_and_old_figures_go(built):
    folder, paths, *_ = built
    first = contents(folder / "out")
    assert {"report.html", "comparison.md", "comparison.json", "pass_at_k.csv"} <= set(first)
    assert {"changed_problems.csv", "samples.csv", "problems.csv"} <= set(first)
    assert {f"figures/pass_at_k_{n}.svg" for n in ("macro", "01_aime", "02_math")} <= set(first)
    assert {f"figures/by_benchmark_{k}.png" for k in (1, N)} <= set(first)
    (folder / "out/figures/pass_at_k_09_old.svg").write_bytes(b"of an earlier comparison")
    again = diagnose(match(read_arms([[path] for path in paths])))
    write_comparison(again, verdicts(again), folder / "out")
    second = contents(folder / "out")
    assert set(first) == set(second)
    assert not [name for name in first if first[name] != second[name]]


def test_other_folders_are_not_written_into(built, tmp_path):
    *_, found, said = built
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        write_comparison(found, said, tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        write_comparison(found, said, tmp_path / "thesis.tex")
    assert contents(tmp_path) == {"thesis.tex": b"mine"}


def test_the_page_is_self_contained_and_obeys_nothing(built):
    folder = built[0]
    text = (folder / "out/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.targets) == len(page.alts) == 11  # 4 scopes × 2, 2 k, lost and gained
    assert all(target.startswith("data:image/svg+xml;base64,") for target in page.targets)
    assert all(page.alts)
    assert not {"script", "link", "iframe", "object", "a"} & set(page.tags)
    assert "http" not in re.sub(r"\(http://e\.x\)", "", text)
    assert "<script" not in text
    assert HOSTILE in page.text
    assert "nan" not in page.text.lower().split()
    words = " ".join(page.text.split())
    for verdict in built[4]:
        assert verdict.headline in words
        assert all(detail in words for detail in verdict.details)


def test_markdown_tables_are_whole_and_obey_nothing(built):
    text = (built[0] / "out/comparison.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.M)
    assert len(tables) >= 4 + 1 + 3
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table
    assert "<script" not in text
    assert "\x1b" not in text
    assert r"math/&lt;script>alert('1')&lt;/script>\|\`\*\_\[x\](http\://e.x)\$1\$" in text
    assert "nan" not in text.split()


def test_plain_text_stays_readable_in_markdown():
    for text in ("pass@1: 3 < 4, p < 0.001 & snake_case", "gpqa_diamond/064", "a; (b) - c + d 50%"):
        assert plain(text) == text
    assert plain("<b>&amp;\n# x @me #3 _a_ ~~b~~") == (
        r"&lt;b>&amp;amp; # x \@me \#3 \_a\_ \~\~b\~\~"
    )


def test_csv_has_a_row_for_every_arm_benchmark_and_k_in_full_precision(built):
    folder, _, correct, found, _ = built

    def table(name):
        text = (folder / "out" / name).read_text(encoding="utf-8")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    rows = table("pass_at_k.csv")
    keys = {(r["arm"], r["scope"], r["benchmark"], r["k"]) for r in rows}
    assert len(rows) == len(keys) == 3 * 4 * len(KS)
    row = next(r for r in rows if (r["arm"], r["benchmark"], r["k"]) == ("rl", "math", "16"))
    one = found.benchmarks[1].contrast(0, 16)
    assert float(row["difference"]) == one.comparison.estimate
    assert float(row["p_adjusted"]) == one.adjusted
    assert (row["tests"], row["judgement"]) == ("4", "lower")
    tiny = next(r for r in rows if (r["arm"], r["benchmark"]) == ("rl", "tiny"))
    assert (tiny["p"], tiny["difference_low"]) == ("", "")
    assert {r["problem"]: int(r["c"]) for r in table("problems.csv") if r["arm"] == "rl"} == (
        correct[1]
    )
    changed = table("changed_problems.csv")
    assert HOSTILE in {r["problem"] for r in changed}
    assert len(changed) == sum(
        len(x.lost) + len(x.gained) for scope in found.benchmarks for x in scope.changed
    )
    assert [float(r["mean_tokens"]) for r in table("samples.csv")] == [7.0] * 9


def test_json_has_a_schema_version_and_every_number(built):
    folder, paths, _, found, said = built
    content = json.loads((folder / "out/comparison.json").read_text(encoding="ascii"))
    assert content["fgrpo_comparison"] == 1
    assert [arm["label"] for arm in content["arms"]] == ["base", "rl", "focal"]
    assert content["arms"][1]["runs"][0]["path"] == str(paths[1] / "records.jsonl")
    assert content["arms"][1]["runs"][0]["samples"] == 55 * N
    scope = content["benchmarks"][1]
    assert scope["curves"]["rl"]["pass_at_k"] == found.benchmarks[1].curves[1].mean.tolist()
    difference = scope["differences"]["rl"][-1]
    one = found.benchmarks[1].contrast(0, 16)
    assert (difference["k"], difference["p_adjusted"]) == (16, one.adjusted)
    assert scope["crossings"]["rl"]["k"] == found.benchmarks[1].crossings[0].k
    assert scope["changed"]["rl"]["lost"][0]["problem"] == HOSTILE
    assert content["benchmarks"][2]["differences"]["rl"][0]["p"] is None
    assert content["macro"]["name"] == "macro average"
    assert [one["headline"] for one in content["verdicts"]] == [v.headline for v in said]


def test_odd_names_can_be_drawn_and_written(tmp_path):
    assert drawable("_hidden") == " _hidden"
    assert drawable("数$") == "\ufffd" + r"\$"
    correct = {f"../数_{b}/{i}": i for b in "ab" for i in range(7)}
    paths = [write_records(tmp_path / f"{i}.jsonl", correct, 8) for i in range(2)]
    arms = read_arms([[path] for path in paths], ["_a$b$", "数" * 40])
    found = diagnose(match(arms))
    names = write_comparison(found, verdicts(found), tmp_path / "out")
    assert not [name for name in names if ".." in name or not name.isascii()]
    assert Path(tmp_path / "out/report.html").stat().st_size < 3_000_000


def test_two_equal_models_cross_nowhere_and_nothing_is_lost(tmp_path):
    correct = {f"p{i}": i for i in range(8)}
    paths = [write_records(tmp_path / f"{i}.jsonl", correct, 8) for i in range(2)]
    found = diagnose(match(read_arms([[path] for path in paths])))
    (scope,) = found.scopes
    assert found.macro is None
    assert scope.crossings[0].start == 0
    assert not scope.changed[0].lost
    assert [one.judgement for one in scope.contrasts[0]] == ["no significant difference"] * 4


def test_a_comparison_cut_short_before_its_first_file_can_be_repeated(built, tmp_path):
    *_, found, said = built
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "comparison.json.tmp").write_text("{")
    write_comparison(found, said, tmp_path / "out")
    assert not (tmp_path / "out" / "comparison.json.tmp").exists()
    (tmp_path / "other" / "figures").mkdir(parents=True)
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds other files"):
        write_comparison(found, said, tmp_path / "other")
