"""The time that one call may take, and the journal of all calls."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fgrpo.files import write_text


class OutOfTimeError(Exception):
    """The budget ends before the work does; the text says how far it came."""


class Budget:
    """Seconds left, with some held back for what cannot be foreseen."""

    def __init__(self, seconds: float | None, started: float) -> None:
        self._end = None if seconds is None else started + seconds
        self._spare = 0.0 if seconds is None else min(20.0, seconds / 10)

    def allows(self, seconds: float) -> bool:
        """Tell whether something that takes about so long may be begun."""
        return self._end is None or time.monotonic() + seconds + self._spare < self._end


class Journal:
    """``sessions.json``: for every call its program, machine, pace, and seconds by stage."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path = path
        self.calls: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        self.calls.append({**about, "seconds": {}})
        self._write()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note how long a stage took, also if it was cut short."""
        print(f"{name} …", flush=True)
        started = time.monotonic()
        try:
            yield
        finally:
            self.calls[-1]["seconds"][name] = round(time.monotonic() - started, 2)
            self._write()

    def seconds(self) -> float:
        return sum(sum(call["seconds"].values()) for call in self.calls)

    def _write(self) -> None:
        write_text(self._path, json.dumps(self.calls, indent=2) + "\n")
