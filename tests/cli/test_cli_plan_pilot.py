"""``fgrpo plan --pilot``: records and evaluations as pilots."""

import re

import pytest
from plan_command import flowing, pilot, rows

from fgrpo.evaluate.texts import encode_member
from fgrpo.plan import Recommendation, planning
from fgrpo.records import Record, RecordStore


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
