"""``fgrpo train``: the focal weight in TRL's trainer, from a recipe or the command line.

===============  ============================================================================
``arguments``    what can be set, read by TRL's own parser from YAML and the command line
``recipe``       those fields in YAML
``methods``      GRPO, DAPO and CISPO as the paper means them, in TRL's settings
``batches``      the arithmetic of prompts, groups, processes and updates
``preflight``    what is said before a model is loaded
``data``         prompts and references from the hub, a file, or reasoning-gym
``prompting``    tokenizer, chat template or plain text, system prompt
``notes``        ``train.json``: how a model was made
``checkpoints``  which one to go on from
``run``          puts it together
===============  ============================================================================
"""
