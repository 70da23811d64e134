"""Settings every test shares, made before anything heavy is imported."""

import os

# Small matrices on a few cores: more threads only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"
