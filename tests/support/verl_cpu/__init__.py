"""What complete verl runs need on a machine without an accelerator.

verl has no platform for the CPU and no rollout engine that runs on one. `device` and `rollout`
register both, by verl's own registries; `launch` builds the command and runs it. For tests alone:
nothing here is fast.
"""
