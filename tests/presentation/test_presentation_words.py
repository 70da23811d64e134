"""Numbers in words, tables as CSV, values for JSON, and what made a run."""

import csv
import io
import json

import numpy as np
import pytest

from fgrpo.presentation.made_with import environment_rows
from fgrpo.presentation.numbers import interval, percent, share_name, signed, size_name
from fgrpo.presentation.tables import csv_of_rows, csv_text, plain


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (size_name(2), "2"),
        (size_name(1024.0), "1,024"),
        (size_name(1 << 20), "1,048,576"),
        (interval(0.03, 0.05), "3.0–5.0%"),
        (interval(0.0001, 1.0), "<0.1–100.0%"),
        (share_name(0.9), "90%"),
        (share_name(0.05), "5%"),
        (share_name(0.0125), "1.25%"),
        (percent(0.0125), "1.2%"),
        (signed(0.26), "+0.3"),
        (signed(-2.0), "−2.0"),
        (signed(-0.04), "0.0"),
        (signed(0.004, 2), "0.00"),
        (signed(-0.005001, 2), "−0.01"),
    ],
)
def test_numbers_in_words(said, text):
    assert said == text


def test_tables_are_read_back_as_they_were():
    rows = [
        {"name": 'with "quotes", and a comma', "n": 3, "share": 0.1 + 0.2},
        {"name": "γ", "n": np.int64(4), "share": np.float64(1 / 3)},
        {"name": "", "n": 0, "share": float("nan")},
    ]
    text = csv_of_rows(rows)
    assert text == csv_text(("name", "n", "share"), (row.values() for row in rows))
    assert "\r" not in text
    first, second, third = csv.DictReader(io.StringIO(text))
    assert first == {"name": rows[0]["name"], "n": "3", "share": "0.30000000000000004"}
    assert (second["name"], second["n"], float(second["share"])) == ("γ", "4", 1 / 3)
    assert third == {"name": "", "n": "0", "share": ""}


def test_values_for_json():
    value = {
        "array": np.array([[1.5, np.nan], [np.inf, -2]]),
        "number": np.int64(3),
        "nested": ({"x": float("-inf")}, [np.bool_(True), None, "text"]),
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "array": [[1.5, None], [None, -2]],
        "number": 3,
        "nested": [{"x": None}, [True, None, "text"]],
    }


def test_what_differed_between_starts_is_shown_once_each():
    first = {
        "command": "fgrpo run a",
        "started": "2026-01-01",
        "packages": {"numpy": "2.0", "torch": None},
        "processor": "Xeon",
        "cores": 8,
        "commit": "",
        "device": "cpu",
    }
    rows = dict(environment_rows([first, first | {"started": "2026-01-02", "cores": None}]))
    assert rows["Command"] == "fgrpo run a"
    assert rows["Started"] == "2026-01-01; 2026-01-02"
    assert rows["Packages"] == "numpy 2.0"
    assert rows["Processor"] == "Xeon, 8 cores; Xeon"
    assert rows["Commit"] == rows["Python"] == "not recorded"
    assert dict(environment_rows([{"packages": "?", "cores": 2}]))["Processor"] == "2 cores"
    assert dict(environment_rows([{"packages": "?"}]))["Packages"] == "not recorded"
