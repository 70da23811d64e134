"""F-GRPO, F-DAPO and F-CISPO in verl: install the package and add two overrides.

.. code-block:: sh

    python -m verl.trainer.main_ppo ... algorithm.adv_estimator=f_grpo +algorithm.focal_gamma=0.5

verl imports this package by itself, in the driver and in every Ray actor (entry-point group
``verl.plugins``), and so does ``VERL_USE_EXTERNAL_MODULES=fgrpo.integrations.verl``. Importing it
registers the estimators and loads little that verl has not loaded.

==================  =========================================================================
``estimator``       the advantage estimator ``f_grpo``
``smoothing``       the advantage estimator ``differential_smoothing``, a control of the paper
``rollouts``        a batch's rollouts, one row each, and their groups
``observe``         the groups' metrics, and warnings
``settings``        the estimators' settings among those of verl's ``algorithm``
``trainer``         trainers ``focal_sync`` …: metrics in verl's logger; not imported here
``step``            what these trainers tell the estimators
``version``         the versions of verl that were tested
==================  =========================================================================
"""

import logging

from fgrpo.integrations.verl.version import SUPPORTED_VERL

try:
    from fgrpo.integrations.verl.estimator import f_grpo
    from fgrpo.integrations.verl.smoothing import differential_smoothing
except Exception as error:
    # verl keeps to itself why a plugin did not load, and then knows no estimator f_grpo.
    logging.getLogger(__name__).warning(
        "fgrpo's estimators f_grpo and differential_smoothing are not there (%s: %s); they were "
        "tested with verl %s; fgrpo doctor verl says more",
        *(type(error).__name__, error, " or ".join(SUPPORTED_VERL)),
    )
    raise

__all__ = ["SUPPORTED_VERL", "differential_smoothing", "f_grpo"]
