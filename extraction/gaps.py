"""Short gaps in a tracklet, filled by interpolation in time. Pure functions on arrays; what is filled gets marked."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fillable(good: NDArray[np.bool_], max_gap: int) -> NDArray[np.bool_]:
    """Which frames that are not good lie in a run of at most `max_gap` such frames between two good ones.

    Args:
        good: (T,).
        max_gap: frames; 0 fills nothing.

    Returns:
        (T,). Never true at the ends of a tracklet: there is nothing to interpolate from.
    """
    before = np.maximum.accumulate(np.where(good, np.arange(len(good)), -1))
    after = np.minimum.accumulate(np.where(good, np.arange(len(good)), len(good))[::-1])[::-1]
    return ~good & (before >= 0) & (after < len(good)) & (after - before - 1 <= max_gap)


def interpolate(values: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[Any]:
    """Values with the frames that are not good replaced: linear in time between good ones, constant at the ends.

    Args:
        values: (T, ...).
        good: (T,). Where none is, the values come back as they are.
    """
    if good.all() or not good.any():
        return values
    times = np.flatnonzero(good)
    flat = values.reshape(len(values), -1)
    columns = [np.interp(np.arange(len(values)), times, column[times]) for column in flat.T]
    return np.stack(columns, -1).reshape(values.shape).astype(values.dtype)
