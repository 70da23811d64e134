"""The parts of ``llm_gpu.py``, one stage or concept a file.

- ``settings.py``: the options, and the folder that holds one experiment
- ``budget.py``: the time a call may take, and the journal of calls
- ``items.py``: questions, prompts, and the reward
- ``model.py``: any model as a checkpoint whose completions end with the line
- ``checkpoints.py``: which checkpoint is whole, and which may go
- ``train.py``: one arm with one seed
- ``evaluation.py``: records of one model
- ``report.py``: comparisons and the summary
"""
