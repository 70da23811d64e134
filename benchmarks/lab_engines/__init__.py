"""The parts of ``lab_step.py``, one concept a file.

- ``options.py``: the options, and the recipe they make
- ``task.py``: what both learn
- ``turns.py``: what one step of one engine took, and what several say together
- ``ours.py``: the lab's step
- ``theirs.py``: TRL's step, each after one of the lab's
- ``report.py``: the table and the file of figures
"""
