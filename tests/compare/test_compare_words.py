"""What comparisons say in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fgrpo.compare import Comparison
from fgrpo.presentation.numbers import points


def told(p, estimate=0.257, interval=(0.123, 0.391), draws=0):
    return Comparison(
        k=8, a=0, b=0, estimate=estimate, standard_error=0, interval=interval, p_value=p,
        noise="", problems=9, samples=(8, 8), draws=draws,
    )  # fmt: skip


def test_verdict_gives_points_with_one_decimal_and_signs():
    assert told(0.012).verdict == (
        "pass@8 is higher for B by 25.7 points (95% interval +12.3 to +39.1, p = 0.012)"
    )
    assert told(0.0002, -1.0, (-1.0, -0.0004)).verdict == (
        "pass@8 is lower for B by 100.0 points (95% interval −100.0 to −0.04, p < 0.001)"
    )
    assert told(0.05).verdict == "no significant difference in pass@8 (p = 0.05)"


@pytest.mark.parametrize(
    ("p", "draws", "text"),
    [
        (0.4, 0, "= 0.4"),
        (0.0504, 0, "= 0.05"),
        (0.05, 0, "= 0.05"),
        (0.04996, 0, "= 0.04996"),
        (0.0497, 0, "= 0.0497"),
        (0.0494, 0, "= 0.049"),
        (np.nextafter(0.05, 0), 0, "= 0.049999999999999996"),
        (0.00999, 0, "= 0.01"),
        (0.001, 0, "= 0.001"),
        (0.000999, 0, "< 0.001"),
        (0.0, 0, "< 0.001"),
        (2 / 1001, 1000, "≤ 0.002"),
        (2 / 1101, 1100, "≤ 0.0019"),
        (4 / 1001, 1000, "= 0.004"),
        (2 / 10_001, 10_000, "< 0.001"),
        (math.nan, 0, "–"),
    ],
)
def test_p_in_words(p, draws, text):
    assert told(p, draws=draws).p_text == text


def test_points_never_round_a_difference_to_zero():
    values = [0, 1e-13, 0.0499, -0.05, 0.004, -3e-9, 12.34]
    texts = ["0.0", "0.0", "+0.05", "−0.1", "+0.004", "−0.000000003", "+12.3"]
    assert [points(value) for value in values] == texts
