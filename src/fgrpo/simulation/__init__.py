"""The paper's mechanism in a policy without a network: a softmax over many actions.

A prompt whose correct answers are one common and thousands of rare ones, trained with one group a
step: which of them survive (figure 2 of arXiv 2602.06717).

=================  =========================================================================
``policy``         the initial policy, equal actions kept together; ``policy_file`` reads it
``settings``       every setting of a recipe
``engine``         `simulate` one run; `measure_tail_miss` of a policy that stands still
``trajectory``     what a run leaves behind
``kernel``         the compiled inner loop: ``drawing``, ``update``, and the state in ``side``;
                   ``compiling`` keeps what is compiled
``on_gpu``         runs side by side in torch: ``batch``, and its random numbers in ``splitmix``
``run_id``         what tells a run from another
``sweep``          the run folder: every group size, γ and seed; resumable
``result``         a finished sweep, read back
``rows``           its numbers: the final policies, and tail miss against theory
``sentences``      what they say; ``tables``: CSV and JSON of them
``figures``        the three panels of figure 2, and tail miss against theory: panels
                   ``over_steps`` and ``over_sizes``, with the ``looks`` of N and γ
``write``          the report: ``page`` with its ``pictures``, and the files beside it
=================  =========================================================================

Running needs numba (``pip install '.[simulate]'``); importing this package does not.
"""

from fgrpo.simulation.engine import measure_tail_miss, simulate
from fgrpo.simulation.policy import Policy
from fgrpo.simulation.settings import PolicySettings, SimulationRecipe, UpdateSettings
from fgrpo.simulation.trajectory import Trajectory

__all__ = [
    "Policy",
    "PolicySettings",
    "SimulationRecipe",
    "Trajectory",
    "UpdateSettings",
    "measure_tail_miss",
    "simulate",
]
