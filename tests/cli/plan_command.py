"""What the tests of ``fgrpo plan`` ask for, and how they read what it prints."""

import re

from fgrpo.records import Record, RecordStore

HALF = ("--success", 0.5, "--rare", 0.5, "--group-sizes", 2, 4, 8)
TRL = ("--trainer", "trl", "--per-device", 4)
VERL = ("--trainer", "verl", "--prompts", 128, "--mini-batch", 32)


def rows(out, *headers):
    """Return the cells of the first table whose header has these words, by first cell."""
    blocks = re.split(r"\n\n", out)
    for block in blocks:
        lines = block.splitlines()
        rule = next((i for i, line in enumerate(lines) if line.startswith("──")), None)
        if rule is not None and all(h in " ".join(lines[:rule]) for h in headers):
            cells = [re.split(r"  +", line.strip()) for line in lines[rule + 1 :]]
            return {row[0]: row[1:] for row in cells}
    raise AssertionError(f"no table with {headers} in\n{out}")


def flowing(out):
    return " ".join(out.split())


def pilot(path, corrects, n, texts=None):
    """Write records: of problem i the first ``corrects[i]`` of n samples are right."""
    with RecordStore.open(path) as store:
        for name, c in corrects.items():
            store.extend(
                Record(name, j, j < c, text=texts[name][j] if texts else None) for j in range(n)
            )
    return path
