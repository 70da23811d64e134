"""The parts of ``lab_floor.py``.

- ``work.py``: operations and bytes of one RL step
- ``machine.py``: matrix and memory rates, and the time they allow
"""
