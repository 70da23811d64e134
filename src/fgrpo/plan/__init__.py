"""Which group size, which γ: before the run, from guesses or from a pilot.

=================  =========================================================================
``rates``          distributions of the success rate over prompts
``pilot``          the same, estimated from a pilot's counts
``fit_test``       whether a Beta distribution of them can have produced the pilot
``labels``         which correct samples of a pilot hold the same solution
``solutions``      Good–Turing: how much of the correct mass the pilot, or a group, misses
``curves``         activity, dead groups, tail miss, unsampled mass and drain against N
``flow``           what one update gains, and drains from unseen correct answers
``budget``         what a fixed number of rollouts a step buys
``recommend``      the advice, and its reason
``planning``       all of it together: `plan_for_rates`, `plan_for_pilot`
``batches``        whether TRL or verl can cut its batches so, and what else is near
``figures``        figures of a plan, as matplotlib objects, and ``painting``, how they are drawn
``pilot_figure``   the figure of its pilot
``words``          what the page and the terminal say in the same words
``pictures``       the figures with title, caption and words
``write``          a plan as files: ``tables``, ``pictures``, the ``page`` and its ``cells``
=================  =========================================================================

Importing this package loads NumPy and SciPy.
"""

from fgrpo.plan.batches import TrlBatch, VerlBatch, check
from fgrpo.plan.budget import BudgetTable, budget_table
from fgrpo.plan.curves import GroupCurves, group_curves, safe_group_size
from fgrpo.plan.flow import MassFlow, mass_flow
from fgrpo.plan.labels import LabelledPilot, Solutions, solution_labels
from fgrpo.plan.pilot import Pilot, direct_activity, fit_pilot
from fgrpo.plan.planning import Asked, Part, Plan, plan_for_pilot, plan_for_rates
from fgrpo.plan.rates import Band, SuccessRates
from fgrpo.plan.recommend import Recommendation, recommend
from fgrpo.plan.solutions import RareMass, good_turing, unsampled_correct_share

__all__ = [
    "Asked",
    "Band",
    "BudgetTable",
    "GroupCurves",
    "LabelledPilot",
    "MassFlow",
    "Part",
    "Pilot",
    "Plan",
    "RareMass",
    "Recommendation",
    "Solutions",
    "SuccessRates",
    "TrlBatch",
    "VerlBatch",
    "budget_table",
    "check",
    "direct_activity",
    "fit_pilot",
    "good_turing",
    "group_curves",
    "mass_flow",
    "plan_for_pilot",
    "plan_for_rates",
    "recommend",
    "safe_group_size",
    "solution_labels",
    "unsampled_correct_share",
]
