"""The README's Python runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parent.parent / "README.md"


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # one block writes a file
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, object] = {"rewards": np.repeat([1.0, 0.0, 1.0], [3, 5, 8])}
    for block in blocks:
        exec(block, names)
    # Hand-computed: X = 3 of N = 8, so g = √(5/8); mean 3/8, sample variance 8·(3/8)(5/8)/7.
    weight, deviation = (5 / 8) ** 0.5, (15 / 56) ** 0.5
    advantages = names["advantages"]
    assert isinstance(advantages, np.ndarray)
    np.testing.assert_allclose(advantages[0], weight * (5 / 8) / (deviation + 1e-6))
    np.testing.assert_array_equal(advantages[8:], 0)
