import numpy as np
import pytest

from fgrpo.plan.budget import budget_table, fewest_prompts
from fgrpo.plan.curves import group_curves
from fgrpo.plan.rates import SuccessRates


def test_table_by_hand() -> None:
    # Half of all groups of 2 are active at 1/2, 7/8 of those of 4, 1 − 2/32 of those of 5.
    curves = group_curves(SuccessRates.exactly(0.5), group_sizes=[2, 4, 5, 19, 20])
    table = budget_table(curves, 19)
    assert table.budget == 19
    assert table.prompts.tolist() == [9, 4, 3, 1, 0]
    assert table.left_over.tolist() == [1, 3, 4, 0, 19]
    for part in table.active_groups:
        wanted = [4.5, 3.5, 45 / 16, 1 - 2**-18, np.nan]
        np.testing.assert_allclose(part, wanted, rtol=1e-12)
    for part in table.dead_rollouts:
        wanted = [9.0, 2.0, 15 / 16, 19 * 2**-18, np.nan]
        np.testing.assert_allclose(part, wanted, rtol=1e-9)


def test_more_active_is_less_dead() -> None:
    # Pairs of prompts at 0 are never active, of those at 1/2 half the time.
    two = SuccessRates(np.array([0.0, 0.5]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    table = budget_table(group_curves(two, group_sizes=2, level=0.5), 20)
    np.testing.assert_allclose([part[0] for part in table.active_groups], [2.5, 1.25, 3.75])
    np.testing.assert_allclose([part[0] for part in table.dead_rollouts], [15.0, 12.5, 17.5])


def test_prompts_left_by_default() -> None:
    budgets = [2, 7, 8, 15, 16, 64, 511, 512, 4096]
    assert [fewest_prompts(b) for b in budgets] == [1, 1, 1, 1, 2, 8, 63, 64, 64]


def test_errors() -> None:
    curves = group_curves(SuccessRates.exactly(0.5), group_sizes=2)
    with pytest.raises(ValueError, match="budget = 1 is too small; it must be at least 2"):
        budget_table(curves, 1)
    with pytest.raises(ValueError, match=r"budget = 2.5 is not an integer; pass whole numbers"):
        budget_table(curves, 2.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="budget has dtype <U2; pass integers"):
        budget_table(curves, "64")  # type: ignore[arg-type]
