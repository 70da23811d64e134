"""The paper's runs as recipes of verl, composed by Hydra over verl's own configuration.

.. code-block:: sh

    python -m verl.trainer.main_ppo --config-path pkg://fgrpo.recipes.verl \
        --config-name qwen2.5-7b-f-grpo

Each recipe names its parts: ``parts/run.yaml`` holds what all of them share, ``parts/model`` and
``parts/method`` what a model and a method need. A module, since Hydra reads configurations from
nothing else in an installed package.
"""
