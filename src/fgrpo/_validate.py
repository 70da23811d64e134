"""Checks on entry whose errors name the value, its position and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# How far the probabilities of one policy may be from summing to 1 (float32 softmax reaches 1e-7).
SUM_TOLERANCE = 1e-6


def place(name: str, index: tuple[int, ...]) -> str:
    """Return ``name`` for a scalar, ``name[2, 0]`` for an element of an array."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def first(bad: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the index of the first element where ``bad`` holds; there must be one."""
    return tuple(int(i) for i in np.argwhere(bad)[0])


def refuse(name: str, values: NDArray[Any], bad: NDArray[np.bool_], why: str) -> None:
    """Raise ``ValueError`` naming the first element of ``values`` where ``bad`` holds, if any."""
    if bad.any():
        index = first(bad)
        raise ValueError(f"{place(name, index)} = {values[index]} {why}")


def reals(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as finite float64; booleans, text and complex numbers are refused."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {array.dtype}; pass real numbers")
    array = array.astype(np.float64)
    refuse(name, array, ~np.isfinite(array), "is not finite; drop or repair it")
    return array


def fractions(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as float64 in [0, 1]."""
    array = reals(name, values)
    why = "is not a probability; it must be in [0, 1]"
    refuse(name, array, (array < 0) | (array > 1), why)
    return array


def integers(name: str, values: ArrayLike, minimum: int) -> NDArray[np.float64]:
    """Return ``values`` as float64 holding integers ``>= minimum`` (exact up to 2**53).

    Integral floats (``1e9``) and Python integers beyond 64 bits are accepted.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O" and all(type(v) is int for v in array.flat):
        array = np.vectorize(_to_float, otypes=[np.float64])(array)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {array.dtype}; pass integers")
    whole = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(whole) | (whole != np.floor(whole))
    refuse(name, array, bad, "is not an integer; pass whole numbers")
    refuse(name, array, whole < minimum, f"is too small; it must be at least {minimum}")
    return whole


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def masks(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Return ``values`` as a boolean array; numbers are refused, since 2 is no truth value."""
    array = np.asarray(values)
    if array.dtype != np.bool_:
        raise TypeError(f"{name} has dtype {array.dtype}; pass a boolean mask, such as `x == 1`")
    return array


def policies(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as probabilities that sum to 1 along the last axis."""
    array = fractions(name, values)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} has shape {array.shape}; its last axis must list the actions")
    total = array.sum(axis=-1)
    why = f"is not 1 within {SUM_TOLERANCE}; normalise the last axis"
    refuse(f"sum of {name}", total, np.abs(total - 1) > SUM_TOLERANCE, why)
    return array


def broadcast(**arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Broadcast the named arrays together; the error names them with their shapes."""
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"shapes do not broadcast: {shapes}; make them agree axis by axis"
        ) from None
