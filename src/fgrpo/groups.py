"""Which rollouts share a prompt, and per-group sums, minima and maxima in NumPy or torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from typing_extensions import TypeIs

    Groups: TypeAlias = int | np.integer[Any] | Sequence[Hashable] | NDArray[Any] | torch.Tensor

# Each reduction's ufunc and the value that changes nothing; the names are NumPy's and torch's.
_REDUCTIONS: dict[str, tuple[np.ufunc, float]] = {
    "sum": (np.add, 0.0),
    "amin": (np.minimum, math.inf),
    "amax": (np.maximum, -math.inf),
}


def is_tensor(value: object) -> TypeIs[torch.Tensor]:
    """Tell whether `value` is a torch tensor, without importing torch."""
    # Who holds a tensor has imported torch already; nobody else should wait for that import.
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def namespace(values: object) -> Any:
    """Return the module whose functions work on `values`: torch for a tensor, else NumPy."""
    return sys.modules["torch"] if is_tensor(values) else np


def first_index(flags: Any) -> tuple[int, ...] | None:
    """Return the place of the first true flag of a NumPy array or CPU tensor, None without one."""
    places = np.argwhere(np.asarray(flags))
    return tuple(int(i) for i in places[0]) if len(places) else None


def as_floats(values: Any, name: str) -> NDArray[np.floating[Any]]:
    """Turn numbers into a NumPy float array: float16 and float32 are kept, the rest is float64.

    None becomes NaN. Text, complex numbers and dates raise TypeError, ragged lists ValueError.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: pass {name}.filled(np.nan) instead")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is ragged ({error}): pass one number per rollout") from error
    if array.dtype.kind == "O":
        for place, item in np.ndenumerate(array):
            if item is not None and not isinstance(item, (Real, np.bool_)):
                raise TypeError(
                    f"{name}[{', '.join(map(str, place))}] is {item!r}: pass a number, or NaN"
                )
        # A Python integer too large for a float is reported by the caller's range check.
        array = np.vectorize(_as_float, otypes=[np.float64])(array) if array.size else array
    elif array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}: pass real numbers")
    keep = array.dtype in (np.float16, np.float32)
    with np.errstate(over="ignore"):
        return array if keep else array.astype(np.float64)


def _as_float(item: Any) -> float:
    try:
        return math.nan if item is None else float(item)
    except OverflowError:
        return math.inf if item > 0 else -math.inf


@dataclass(frozen=True)
class Grouping:
    """The groups of a batch; every reduction is broadcast back to the rollouts.

    Attributes
    ----------
    size : int or None
        Rollouts per group when groups are contiguous and equal, else None.
    labels : array or tensor of shape (n_rollouts,), or None
        Group number of each rollout, from 0 to `count` - 1, when groups came as ids.
    count : int
        Number of groups.
    """

    size: int | None
    labels: Any
    count: int

    @classmethod
    def of(cls, groups: Groups, rewards: Any) -> Grouping:
        """Build the grouping of a one-dimensional batch of rewards.

        Parameters
        ----------
        groups : int or sequence
            The group size, or one id per reward.
        rewards : array or tensor of shape (n_rollouts,)
            The batch; fixes its length, and the device of the labels.

        Raises
        ------
        TypeError, ValueError
            Naming the offending size or id, its place, and the remedy.
        """
        n_rollouts = len(rewards)
        if isinstance(groups, (int, np.integer)) and not isinstance(groups, bool):
            size = int(groups)
            _check_size(size, n_rollouts)
            return cls(size, None, n_rollouts // size)
        labels, count = _number_ids(groups, n_rollouts)
        if is_tensor(rewards):
            return cls(None, namespace(rewards).as_tensor(labels, device=rewards.device), count)
        return cls(None, labels, count)

    def sum(self, values: Any) -> Any:
        """Return, for each rollout, the sum of `values` over its group."""
        return self._reduce("sum", values)

    def min(self, values: Any) -> Any:
        """Return, for each rollout, the smallest of `values` in its group."""
        return self._reduce("amin", values)

    def max(self, values: Any) -> Any:
        """Return, for each rollout, the largest of `values` in its group."""
        return self._reduce("amax", values)

    def _reduce(self, name: str, values: Any) -> Any:
        xp = namespace(values)
        if self.size is not None:
            rows = values.reshape(self.count, self.size)
            per_group = getattr(xp, name)(rows, 1)
            return xp.broadcast_to(per_group[:, None], rows.shape).reshape(-1)
        ufunc, start = _REDUCTIONS[name]
        if xp is np:
            per_group = np.full(self.count, start)
            ufunc.at(per_group, self.labels, values)
        elif name == "sum":
            per_group = values.new_zeros(self.count).index_add(0, self.labels, values)
        else:
            per_group = values.new_full((self.count,), start)
            per_group = per_group.scatter_reduce(0, self.labels, values, name)
        return per_group[self.labels]


def _check_size(size: int, n_rollouts: int) -> None:
    if size < 1:
        raise ValueError(f"groups={size}: a group size is at least 1")
    if n_rollouts % size:
        whole = n_rollouts - n_rollouts % size
        raise ValueError(
            f"groups={size} does not divide the {n_rollouts} rewards: those from index {whole} on "
            "form no whole group; pass whole groups, or one prompt id per reward"
        )


def _number_ids(groups: Any, n_rollouts: int) -> tuple[NDArray[np.intp], int]:
    """Return each rollout's group number, counted from 0, and how many groups there are."""
    ids = _as_ids(groups)
    shape = ids.shape if isinstance(ids, np.ndarray) else (len(ids),)
    if len(shape) != 1:
        raise ValueError(f"groups has shape {shape}: pass a group size, or a 1-D list of ids")
    if shape[0] != n_rollouts:
        raise ValueError(
            f"groups has {shape[0]} ids for {n_rollouts} rewards: pass one prompt id per reward"
        )
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "biufcSUmM":
        missing = ids != ids  # true for NaN and NaT alone
        if (place := first_index(missing)) is not None:
            raise ValueError(_missing_id(place[0], ids[place]))
        distinct, labels = np.unique(ids, return_inverse=True)
        return labels.astype(np.intp, copy=False), len(distinct)
    # Ids of mixed kinds cannot be sorted, and NumPy would turn [1, "1"] into equal strings.
    number: dict[Hashable, int] = {}
    items = ids.tolist() if isinstance(ids, np.ndarray) else ids
    hashed = [number.setdefault(_checked_id(i, item), len(number)) for i, item in enumerate(items)]
    return np.array(hashed, dtype=np.intp), len(number)


def _as_ids(groups: Any) -> NDArray[Any] | Sequence[Any]:
    if isinstance(groups, np.ma.MaskedArray):
        raise TypeError("groups is a masked array: pass one id per reward, none of them masked")
    if is_tensor(groups):
        groups = groups.detach().cpu()  # bfloat16 has no NumPy counterpart
        return np.asarray(groups.double() if groups.is_floating_point() else groups)
    if hasattr(groups, "__array__"):
        return np.asarray(groups)
    if isinstance(groups, Sequence) and not isinstance(groups, (str, bytes, bytearray)):
        return groups
    raise TypeError(
        f"groups is {groups!r}: pass the group size as an int, or a list or array with one "
        "prompt id per reward"
    )


def _checked_id(place: int, item: Any) -> Hashable:
    if is_tensor(item):  # tensors hash by identity: every rollout would be its own group
        raise TypeError(f"groups[{place}] is {item!r}: pass one tensor of ids, or plain numbers")
    try:
        hash(item)
    except TypeError as error:
        raise TypeError(
            f"groups[{place}] is {item!r}, which is not hashable: use a string, number or tuple"
        ) from error
    if _is_missing(item):
        raise ValueError(_missing_id(place, item))
    return item  # type: ignore[no-any-return]  # hash() proved it


def _is_missing(item: Any) -> bool:
    if isinstance(item, tuple):
        return any(map(_is_missing, item))
    try:
        return bool(item != item)
    except TypeError:  # pandas.NA refuses to say whether it equals itself
        return True


def _missing_id(place: int, item: object) -> str:
    return f"groups[{place}] is {item!r}, which equals no id: give every reward its prompt's id"
