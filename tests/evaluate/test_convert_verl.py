"""verl's dumps as records: dumps it wrote, and variations of them."""

import pytest
from convert_files import VERL, imported, records

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import Rule, import_files


def test_verl_dumps(tmp_path):
    found = records(tmp_path, "verl", VERL / "20.jsonl", texts=True)
    four, seven = dict.fromkeys(problem for problem, _ in found)
    assert four.startswith("verl/")
    assert {key: record.correct for key, record in found.items()} == {
        (four, 0): True,
        (four, 1): False,
        (four, 2): True,
        (seven, 0): False,
        (seven, 1): False,
        (seven, 2): False,
    }
    assert found[four, 2].text == r"It is \boxed{4}."
    # Another run's dump of the same problems, in another order, has the same names.
    lines = (VERL / "20.jsonl").read_text().replace("No idea", "7").splitlines()
    other = tmp_path / "40.jsonl"
    other.write_text("\n".join(reversed(lines)))
    assert set(imported(tmp_path, "verl", other)) == {four, seven}


def test_verl_scores_other_than_acc_may_be_chosen(tmp_path):
    path = VERL / "20.jsonl"
    with pytest.raises(UsageError, match=r"20.jsonl:2: 'score' is -1, neither 0 nor 1"):
        imported(tmp_path, "verl", path, metric="score")
    by_score = imported(tmp_path, "verl", path, metric="score", rule=Rule(threshold=0.5))
    assert by_score == imported(tmp_path, "verl", path)
    with pytest.raises(UsageError, match=r"no score 'f1'; found: score, reward, acc"):
        imported(tmp_path, "verl", path, metric="f1")


def test_verl_sessions_count_once(tmp_path):
    found = imported(tmp_path, "verl", VERL / "30.jsonl")
    assert list(found.values()) == [[True, False], [True]]


def test_verl_steps_are_not_mixed(tmp_path):
    with pytest.raises(UsageError, match=r"30.jsonl:2: answers of step 30, but of step 20"):
        imported(tmp_path, "verl", VERL)


def test_verl_answers_without_acc_of_their_own_are_unverifiable(tmp_path):
    path = tmp_path / "1.jsonl"
    path.write_text((VERL / "20.jsonl").read_text().replace('"acc": true', '"acc": null'))
    done = import_files("verl", [path], tmp_path / "out.jsonl")
    assert done.unverifiable == 2
    assert done.counts.c.sum() == 0
