"""Theory of the F-GRPO paper (arXiv 2602.06717): coverage of rare answers and flow of mass.

=========================  ================================================================
``activity``               probability that a group carries a signal, and that it does so
                           while missing a tail of the correct answers (lemma 3.1)
``peak``                   the group size at which that miss is most probable
``redistribution``         first-order change of correct mass after one update (eqs. 10, 17)
``sampled_mass``           expected mass covered by a group with k successes (eqs. 24, 25)
``shrinkage``              how much the focal weight shrinks the average update (appendix N)
=========================  ================================================================

Importing this package loads NumPy and nothing heavier.
"""

from fgrpo.theory.activity import activity_probability, tail_miss_probability
from fgrpo.theory.peak import peak_group_size
from fgrpo.theory.redistribution import MassChange, mass_change
from fgrpo.theory.sampled_mass import ExpectedSampledMass, expected_sampled_mass
from fgrpo.theory.shrinkage import update_scale

__all__ = [
    "ExpectedSampledMass",
    "MassChange",
    "activity_probability",
    "expected_sampled_mass",
    "mass_change",
    "peak_group_size",
    "tail_miss_probability",
    "update_scale",
]
