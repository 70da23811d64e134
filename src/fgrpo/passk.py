"""Unbiased pass@k from the counts of correct samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import broadcast, first, integers, place, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# exp(-40) is far below the spacing of doubles at 1: beyond it pass@k rounds to 1.
_SATURATED = 40.0
# Terms of the sums held in memory at a time.
_CHUNK = 1 << 20


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Unbiased estimate of the probability that at least one of ``k`` samples is correct.

    ``pass@k = 1 − C(n−c, k)/C(n, k)``: the share of the size-``k`` subsets of the ``n`` samples
    that hold a correct one. With ``m = min(c, k)`` and ``M = max(c, k)`` the quotient is
    ``Π_{j<m} (1 − M/(n−j))``, summed here in logarithms, so that no factorial is formed and tiny
    values keep their relative accuracy.

    Parameters
    ----------
    n, c
        Samples and correct samples of each problem, integers with ``0 <= c <= n``; they
        broadcast with each other.
    k
        Subset sizes, ``1 <= k <= min(n)``: a scalar, or one axis that is added at the end.

    Returns
    -------
    float64
        Shape ``broadcast(n, c).shape + shape(k)`` (a NumPy scalar when all are scalars), in
        [0, 1]. Relative error below 1e-14 for ``n`` up to 1e6, however small the value. At most
        about ``√(40n)`` terms are summed for an entry.

    Raises
    ------
    ValueError, TypeError
        Counts that are not whole numbers, ``c`` outside [0, n], ``k`` outside [1, n], ``k`` of
        more than one axis, or shapes that do not broadcast.

    References
    ----------
    Chen et al., arXiv 2107.03374, eq. 1; used in F-GRPO, arXiv 2602.06717, section 5.
    """
    total, right = broadcast(n=integers("n", n, 0), c=integers("c", c, 0))
    size = integers("k", k, 1)
    if size.ndim > 1:
        raise ValueError(f"k has shape {size.shape}; pass a scalar or one axis of subset sizes")
    if (right > total).any():
        at = first(right > total)
        why = f"exceeds the {total[at]:.0f} samples of its problem; recount the correct ones"
        refuse("c", right.astype(np.int64), right > total, why)
    if total.size and size.size and size.max() > total.min():
        at = first(total == total.min())
        where = first(size == size.max())
        raise ValueError(
            f"{place('k', where)} = {size[where]:.0f} exceeds {place('n', at)} = "
            f"{total[at]:.0f}; draw more samples or ask for a smaller k"
        )
    shape = total.shape + size.shape
    axes = total.shape + (1,) * size.ndim
    samples, hits, subset = np.broadcast_arrays(total.reshape(axes), right.reshape(axes), size)
    result = -np.expm1(_log_all_wrong(samples.ravel(), hits.ravel(), subset.ravel()))
    return result.reshape(shape)[()]


def _log_all_wrong(
    n: NDArray[np.float64], c: NDArray[np.float64], k: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``log[C(n−c, k)/C(n, k)]`` of flat arrays, down to about -40."""
    result = np.zeros(n.shape)
    certain = c + k > n  # too few wrong samples to fill a subset
    result[certain] = -np.inf
    todo = np.flatnonzero(~certain & (c > 0))
    if not todo.size:
        return result
    few, many, n = np.minimum(c, k)[todo], np.maximum(c, k)[todo], n[todo]
    # Each term is at most -many/n, so this many reach saturation.
    terms = np.minimum(few, np.ceil(_SATURATED * n / many)).astype(np.int64)
    ends = np.cumsum(terms)
    start = 0
    while start < todo.size:
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        part = slice(start, stop)
        firsts = ends[part] - terms[part] - done
        j = np.arange(ends[stop - 1] - done) - np.repeat(firsts, terms[part])
        ratio = np.repeat(many[part], terms[part]) / (np.repeat(n[part], terms[part]) - j)
        result[todo[part]] = np.add.reduceat(np.log1p(-ratio), firsts)
        start = stop
    return result
