"""How the inner loop is compiled, and where the result is kept between runs.

Numba keeps compiled code until the file that defines the function changes, although it contains
what other files define. So the code is kept under a name made of all of these files,
some 3 MB for each version of them: ``~/.cache/fgrpo/simulation-<hash>``, or where XDG_CACHE_HOME
or NUMBA_CACHE_DIR say. Any of these folders may be deleted; another start then takes longer.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numba

_config: Any = numba.config
_SOURCES = ("compiling", "drawing", "kernel", "side", "update", "settings", "trajectory")

# Sums may be reordered and multiplications fused with additions; there are no infinities.
_REORDER = {"reassoc", "contract", "nnan", "ninf", "nsz"}


def _folder() -> Path:
    """Return the folder for the compiled form of these very sources."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(_config.CACHE_DIR or cache / "fgrpo") / f"simulation-{digest.hexdigest()[:16]}"


_FOLDER = str(_folder())


def compiled(function: Any) -> Any:
    """Compile a function exactly as written."""
    return _compiled(function, fastmath=False)


def vectorised(function: Any) -> Any:
    """Compile a function whose sums may be reordered."""
    return _compiled(function, fastmath=_REORDER)


def _compiled(function: Any, fastmath: Any) -> Any:
    before = _config.CACHE_DIR
    _config.CACHE_DIR = _FOLDER  # read while the function is decorated; if unusable, as by default
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath)(function)
    finally:
        _config.CACHE_DIR = before
