"""What a run leaves."""

import json
from pathlib import Path
from typing import NamedTuple

import psutil
from safetensors.torch import load_file


class Finished(NamedTuple):
    """A run that is over, well or not."""

    folder: Path
    code: int | None  # None if it ran out of time
    seconds: float
    processes: frozenset[psutil.Process]  # all that were seen, its own first process among them

    @property
    def log(self):
        return (self.folder / "log.txt").read_text(errors="replace")

    def succeeded(self):
        """Return the run; fail with the end of its log unless it came to its end."""
        if self.code != 0:
            end = "ran out of time" if self.code is None else f"exit code {self.code}"
            tail = "\n".join(self.log.splitlines()[-60:])
            raise AssertionError(f"{end} after {self.seconds:.0f} s: {self.folder}\n{tail}")
        return self

    def metrics(self):
        """Return what verl logged at each step."""
        return {row["step"]: row["data"] for row in self._rows("metrics.jsonl")}

    def rollouts(self, step):
        """Return what verl dumped of a step, for each rollout: uid, input, output, gts, score."""
        return self._rows(f"rollouts/{step}.jsonl")

    def draws(self, step, rank=0):
        """Return what was drawn with the weights of a step: prompt and completion, token ids."""
        return self._rows(f"draws/{step}-{rank}.jsonl")

    def weights(self, step, rank=0):
        """Return what a rank handed to its rollout server after a step; 0 is before the first."""
        return load_file(self.folder / "weights" / f"{step}-{rank}.safetensors")

    def _rows(self, name):
        with (self.folder / name).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
