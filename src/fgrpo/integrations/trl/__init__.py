"""F-GRPO, F-DAPO and F-CISPO in TRL: change the import and one number.

.. code-block:: python

    from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer

    trainer = FocalGRPOTrainer(..., args=FocalGRPOConfig(..., focal_gamma=0.5))

==================  =========================================================================
``trainer``         `FocalGRPOConfig` and `FocalGRPOTrainer`
``mixin``           `FocalAdvantages`, for other subclasses of TRL's trainer
``settings``        the weight's settings, and which reward function means "correct"
``batch``           one generation batch: the weight of every rollout, and what is logged
``histogram``       success rates as a histogram in wandb, trackio, TensorBoard
==================  =========================================================================
"""

from fgrpo.errors import to_install

try:
    from fgrpo.integrations.trl.mixin import FocalAdvantages
    from fgrpo.integrations.trl.trainer import FocalGRPOConfig, FocalGRPOTrainer
except ModuleNotFoundError as error:
    if error.name not in ("torch", "transformers", "trl"):
        raise
    raise ModuleNotFoundError(
        f"fgrpo.integrations.trl needs TRL, and {error.name} is not there: {to_install('trl')}",
        name=error.name,
    ) from None

__all__ = ["FocalAdvantages", "FocalGRPOConfig", "FocalGRPOTrainer"]
