"""Which rows can be trained on: gaps, repetitions, conflicts."""

import math
from decimal import Decimal

import pytest

from fgrpo.data.clean import (
    COMPARING,
    Problem,
    equal_answers,
    normalised,
    read_problems,
    without_duplicates,
)
from fgrpo.errors import UsageError
from fgrpo.verify import VerifierPool
from fgrpo.verify.verdict import Outcome, Verdict


def rows(*pairs):
    found = [{"problem": problem, "answer": answer} for problem, answer in pairs]
    return [(f"t.json: row {n}", row) for n, row in enumerate(found, 1)]


def problems(*pairs):
    return [Problem(n, text, answer) for n, (text, answer) in enumerate(pairs)]


def never(pairs):
    raise AssertionError(f"nothing to compare, but got {pairs}")


class OneWay:
    """Stands for a pool; finds an answer right if it is alphabetically not after the reference."""

    def __init__(self):
        self.calls = 0

    def verify(self, verifier, texts, references):
        assert verifier == "maths"
        self.calls += 1
        return [
            Verdict(Outcome.CORRECT if text <= rf"\boxed{{{gold}}}" else Outcome.WRONG)
            for text, gold in zip(texts, references, strict=True)
        ]


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(1) as made:
        yield made


def test_rows_without_a_problem_or_an_answer_are_counted_not_taken():
    table = rows(("a", "1"), ("b", ""), ("c", None), (" \n", "2"), (None, "3"), ("d", math.nan))
    assert read_problems(table) == ([Problem(0, "a", "1")], 6)


@pytest.mark.parametrize(
    ("answer", "text"),
    [(7, "7"), (7.0, "7"), (-0.25, "-0.25"), (Decimal("1.50"), "1.50"), (" 7 ", " 7 "), (0, "0")],
)
def test_an_answer_is_text_as_it_stands_or_a_number(answer, text):
    assert read_problems(rows(("  What? ", answer))) == ([Problem(0, "  What? ", text)], 1)


def test_the_index_is_that_of_the_row_gaps_included():
    found, _ = read_problems(rows(("a", None), ("b", "1"), (None, "1"), ("c", "1")))
    assert [(one.index, one.text) for one in found] == [(1, "b"), (3, "c")]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ([], "t.json: has no rows"),
        ([("t: row 1", {"question": "a", "answer": "1"})], "t: row 1: no column 'problem' among"),
        ([("t: row 1", {"question": "a", "answer": "1"})], "question, answer"),
        ([("t: row 1", {"problem": "a"}), ("t: row 2", {"problem": "b"})], "no column 'answer'"),
        (rows(("a", "1"), ("b", ["1", "2"])), "row 2: answer is .*give a text or a number"),
        (rows(("a", True)), "row 1: answer is True"),
        (rows((5, "1")), "row 1: problem is 5: give a text$"),
        (rows(("a\ud835", "1")), "row 1: problem has half a character at 1"),
    ],
)
def test_tables_that_cannot_be_read_say_where(table, told):
    with pytest.raises(UsageError, match=told):
        read_problems(table, "t.json")


def test_a_key_that_some_lines_lack_is_a_gap():
    table = [("t:1", {"problem": "a"}), ("t:2", {"problem": "b", "answer": "1"})]
    assert read_problems(table) == ([Problem(1, "b", "1")], 2)


def test_normalised_text_has_one_form():
    composed, decomposed = "Gr\u00f6\u00dfe  x", "\u2003Gro\u0308\u00dfe\n\tx "
    assert normalised(decomposed) == normalised(composed) == "Größe x"
    assert normalised("x²") != normalised("x2")  # form C, not KC
    assert normalised("A") != normalised("a")


def test_the_first_of_rows_that_repeat_one_another_is_kept():
    found = without_duplicates(
        problems(("a  b", "1"), ("c", "2"), ("a b", "1"), (" a b", " 1\n"), ("c", "2")), never
    )
    assert [one.index for one in found.problems] == [0, 1]
    assert found.problems[0].text == "a  b"
    assert (found.repeated, found.conflicting, found.conflicting_problems) == (3, 0, 0)


def test_a_conflict_takes_all_rows_of_its_problem():
    asked = []

    def equal(pairs):
        asked.extend(pairs)
        return [{"1.0": True, "2": False, "?": None}[other] for _, other in pairs]

    found = without_duplicates(
        problems(
            ("a", "1"),
            ("b", "1"),
            ("a", "1.0"),  # the same
            ("a", "2"),  # another: all four a go
            ("a", "1"),
            ("c", "1"),
            ("c", "1.0"),
            ("d", "1"),
            ("d", "?"),
        ),
        equal,
    )
    assert asked == [("1", "1.0"), ("1", "2"), ("1", "1.0"), ("1", "?")]
    assert [one.index for one in found.problems] == [1, 5]
    assert (found.repeated, found.conflicting, found.conflicting_problems) == (1, 6, 2)
    assert (found.equal, found.unjudged) == (1, 1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1/2", r"\frac{1}{2}", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"so $\boxed{12}$.", "12.0", True),
        ("2", "3", False),
        ("(1, 2)", "(2, 1)", False),
        ("(x+1)^2", "x^2+2x+1", True),
        ("x = 5", "5", True),
        ("1/3", "0.333", False),
        (r"\frac{1}{", "1", None),  # cannot be read
        ("3}{", "3", None),  # would end its box early
        ("1", "a} 1 {b", None),
    ],
)
def test_answers_are_the_same_as_training_will_judge(pool, one, other, same):
    assert equal_answers([(one, other)], pool, lambda *_: None) == [same]
    assert equal_answers([(other, one)], pool, lambda *_: None) == [same]


def test_both_directions_count_and_many_pairs_keep_their_order():
    stub, seen = OneWay(), []
    pairs = [("b", "b") if n % 3 == 0 else ("a", "b") for n in range(150)]
    found = equal_answers(pairs, stub, lambda *told: seen.append(told))
    assert found == [n % 3 == 0 for n in range(150)]
    assert equal_answers([("b", "a")], stub, lambda *_: None) == [False]
    assert seen[-1] == (COMPARING, 150, 150)
    assert len(seen) > 1
