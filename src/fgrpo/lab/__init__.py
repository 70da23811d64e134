"""A small-model engine: train and evaluate policies of a few million parameters in minutes.

- ``settings.py``, ``recipe.py``: what an experiment is; reading recipes
- ``task.py``: the mazes as prompts, solutions, rewards and a held-out set
- ``model.py``, ``weights.py``: the policy; its files
- ``sampling.py``, ``packing.py``: rollouts and training sequences that compute nothing twice
- ``sft.py``, ``update.py``, ``train.py``, ``evaluate.py``: the stages
- ``metrics.py``, ``metrics_log.py``, ``provenance.py``: what is written down
- ``experiment.py``, ``jobs.py``, ``folders.py``, ``files.py``, ``seeds.py``: running it all
"""
