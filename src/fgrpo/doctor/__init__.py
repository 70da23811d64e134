"""What the environment has of what each part of fgrpo needs, and how to put the rest right.

================= =================================================================================
``parts``         the parts, and what each is for
``finding``       one fact about the environment, the sections they make, the report
``requirements``  what a part needs, from fgrpo's own metadata; what its packages need, from theirs
``packages``      these needs against what is installed
``process``       a process of its own for what could crash or hang: imports, devices
``child``         what runs in that process
``accelerator``   PyTorch's build against the devices of the machine
``machine``       Python, memory, offline settings; what Ray wants of the machine
``workers``       the verifiers' processes: a right and a wrong answer, the layers of isolation
``trl``, ``verl`` known mismatches that no metadata tells
``examine``       all of it, at once
================= =================================================================================
"""
