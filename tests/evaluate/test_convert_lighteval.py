"""lighteval's files as records: files it wrote, and variations of them."""

import pyarrow
import pytest
from convert_files import LIGHTEVAL, imported, records
from pyarrow.parquet import read_table, write_table

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import Rule


def test_lighteval_details(tmp_path):
    path = LIGHTEVAL / "details_sums.parquet"
    found = records(tmp_path, "lighteval", path, metric="em", texts=True)
    told = {key: (record.correct, record.text, record.tokens) for key, record in found.items()}
    assert told == {
        ("sums/0", 0): (True, "4", 1),
        ("sums/1", 0): (False, "6", 1),
        ("sums/2", 0): (False, "eleven", 1),
    }
    with pytest.raises(UsageError, match=r"row 1: choose one metric with --metric; found: em, f1"):
        imported(tmp_path, "lighteval", path)


@pytest.mark.parametrize("metric", ["avg@n:n=3", "pass@k:k=1&n=3"])
def test_lighteval_means_over_samples_give_counts(tmp_path, metric):
    path = LIGHTEVAL / "details_sums3.parquet"
    found = records(tmp_path, "lighteval", path, metric=metric, rule=Rule(mean=True))
    rights = {}
    for (problem, _), record in found.items():
        rights[problem] = rights.get(problem, 0) + record.correct
        assert record.tokens is None  # which answer is right is not known, nor then its length
    assert rights == {"sums3/0": 1, "sums3/1": 1, "sums3/2": 2}
    with pytest.raises(UsageError, match="--mean"):
        imported(tmp_path, "lighteval", path, metric=metric)


def test_lighteval_answers_at_the_limit_are_truncated(tmp_path):
    rows = read_table(LIGHTEVAL / "details_sums.parquet").to_pylist()
    rows[0]["model_response"]["output_tokens"] = [list(range(16))]
    rows[1]["model_response"]["output_tokens"] = [list(range(15))]
    path = tmp_path / "details.parquet"
    write_table(pyarrow.Table.from_pylist(rows), path)
    found = records(tmp_path, "lighteval", path, metric="em")
    told = {key[0]: (record.tokens, record.truncated) for key, record in found.items()}
    assert told == {"sums/1": (16, True), "sums/0": (15, False), "sums/2": (1, False)}


def test_lighteval_refuses_other_files(tmp_path):
    path = tmp_path / "details.parquet"
    path.write_text("no parquet")
    with pytest.raises(UsageError, match=r"details.parquet: expected a parquet file"):
        imported(tmp_path, "lighteval", path)
    write_table(pyarrow.table({"doc": [1]}), path)
    with pytest.raises(
        UsageError, match=r"expected columns doc, model_response, metric; found doc"
    ):
        imported(tmp_path, "lighteval", path)
