"""Arrays of results: of one type, contiguous, read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_only(name: str, values: object, dtype: type[np.generic]) -> NDArray[Any]:
    """A read-only view of `values`, which must be one-dimensional and keep every value in `dtype`."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        array = array.astype(dtype)
    if array.dtype != dtype:
        if np.dtype(dtype).kind in "iu" and array.dtype.kind not in "iu":
            raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
        with np.errstate(over="ignore", invalid="ignore"):
            converted = array.astype(dtype)
        if np.dtype(dtype).kind in "iu" and (converted != array).any():
            raise ValueError(f"{name} must fit into {np.dtype(dtype)}, got up to {array.max()}")
        array = converted
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def handed_over(array: NDArray[Any]) -> NDArray[Any]:
    """A view of the array, which is read-only from now on: whoever made it gives it up, and nobody has to copy it."""
    if isinstance(array.base, np.ndarray) and array.base.flags.writeable:
        array = array.copy()  # of a view, as of np.flatnonzero, what lies below could be made writable
    array.flags.writeable = False
    return array.view()  # which cannot be made writable again


def is_handed_over(values: object, dtype: type[np.generic]) -> bool:
    """Whether these are what `handed_over` returned: of this type, and a read-only view of all of a read-only array."""
    if not isinstance(values, np.ndarray) or values.dtype != dtype or values.ndim != 1 or values.flags.writeable:
        return False
    owner: object = values.base
    if not isinstance(owner, np.ndarray) or not owner.flags.owndata or owner.flags.writeable:
        return False
    return owner.nbytes == values.nbytes and values.flags.c_contiguous
