"""``fgrpo data``: data sets made ready to train on in verl and TRL.

==============  ============================================================
``deepscaler``  from the hub's table, or a file like it, to a folder
``clean``       which rows can be trained on: gaps, repetitions, conflicts
``tokens``      the tokenizer, and how long prompts are
``write``       the folder: both trainers' tables and what was left out
==============  ============================================================
"""
