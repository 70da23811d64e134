"""A small-model engine: train and evaluate policies of a few million parameters in minutes.

- ``settings.py``, ``recipe.py``: what an experiment is; reading recipes
- ``task.py``: the mazes as prompts, solutions, rewards and a held-out set
- ``model.py``, ``attention.py``, ``weights.py``: the policy; its files
- ``sampling.py``, ``packing.py``: rollouts and training input that compute nothing twice
- ``static_sampling.py``, ``static_decoder.py``, ``static_cache.py``, ``graphs.py``: sampling on a
  GPU
- ``gradient.py``, ``shards.py``: pieces of a step side by side, the same bits for any number of
  threads
- ``sft.py``, ``update.py``, ``train.py``, ``evaluate.py``: the stages
- ``metrics.py``, ``metrics_log.py``: what is written down
- ``experiment.py``, ``jobs.py``, ``ray_jobs.py``, ``folders.py``, ``seeds.py``: running it all
"""
