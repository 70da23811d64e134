"""The paper's figures and tables, made again beside the paper's own numbers.

- ``paper/``: the paper's numbers
- ``item.py``: what an item comes to: claims, tables, pictures, verdict
- ``catalogue.py``: every item
- ``theory_items.py``, ``simulation_item.py``, ``maze_items.py``, ``maze_training.py``,
  ``llm_items.py``: how they are made
- ``maze_run.py``, ``maze_words.py``: a finished maze run, and what its items share
- ``scales.py``: at which size
- ``results.py``, ``page.py``: kept on disk, and the page of them all
"""
