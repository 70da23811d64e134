"""Files of JSON lines, each an object, read with their places for errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, object) for each line of a file; blank lines are skipped.

    Raises
    ------
    UsageError
        If the file cannot be read, or a line is no JSON object; names file and line.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    with file:
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            place = f"{path}:{number}"
            try:
                value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise UsageError(f"{place}: not UTF-8 at byte {error.start} of the line") from None
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{place}: expected one JSON object ({error})") from error
            if not isinstance(value, dict):
                raise UsageError(f"{place}: expected a JSON object, found {value!r:.60}")
            yield place, value
