"""Arguments with one entry per row, or made of row numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAVIEST = 2**29  # sum of the weights in their units: with losses of up to 2^33 units, sums stay within 63 bits

LIGHTEST = 1e-200  # so that no cost vanishes or overflows


def row_mask(name: str, rows: Iterable[int] | None, n: int) -> NDArray[np.bool_]:
    """True for the rows that are named."""
    mask = np.zeros(n, dtype=bool)
    if rows is None:
        return mask
    try:
        indices = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a list of row numbers, got {rows!r} of type {type(rows).__name__}") from None
    if indices.size == 0:
        return mask
    if indices.dtype.kind == "b":
        raise TypeError(f"{name} must be a list of row numbers, got a mask: use np.flatnonzero(mask)")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        shown = f"{indices.flat[0]!r}, ..." if indices.size > 1 else repr(indices.flat[0])
        raise TypeError(f"{name} must be a list of row numbers, got {shown} ({indices.dtype}) of shape {indices.shape}")
    outside = indices[(indices < 0) | (indices >= n)]
    if len(outside):
        raise ValueError(f"{name} must hold row numbers in [0, {n}), got {outside[0]}")
    mask[indices] = True
    return mask


def priority_ranks(priority: object, n: int) -> NDArray[np.int32] | None:
    """The place of each row's priority among all, from 0 on, equals alike; None where all are equal."""
    if priority is None:
        return None
    ranks = np.unique(_numbers("priority", priority, n), return_inverse=True)[1].astype(np.int32)
    return ranks if ranks.any() else None


def sample_weights(sample_weight: object, n: int) -> NDArray[np.float64]:
    """Weights as float64."""
    weights = _numbers("sample_weight", sample_weight, n).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise ValueError(f"sample_weight must be finite and at least 0, row {bad[0]} has {weights[bad[0]]}")
    if not weights.any():
        raise ValueError("sample_weight must be above 0 for at least one row")
    if not LIGHTEST < weights.max() < 1 / LIGHTEST:
        raise ValueError(f"sample_weight must have a largest value from 1e-200 to 1e200, got {weights.max()}")
    return weights


def weight_units(weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Weights as integers and the unit that they count: the smallest power of two with which their sum stays in bounds.

    Sums of integers do not depend on their order.
    """
    exponent = int(np.frexp(weights.max())[1])
    scaled = np.ldexp(weights, -exponent)  # at most 1, so that their sum is finite
    halvings = int(np.frexp(HEAVIEST / math.fsum(scaled))[1]) - 1
    return np.rint(np.ldexp(scaled, halvings)).astype(np.int64), float(np.ldexp(1.0, exponent - halvings))


def group_codes(groups: object, n: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The labels that occur, ascending, and the place of each row's label among them."""
    try:
        labels = np.asarray(groups)
    except ValueError as error:
        raise ValueError(f"groups must be a list of labels: {error}") from None
    if labels.shape != (n,):
        raise ValueError(f"groups must have one label per row, shape ({n},), got shape {labels.shape}")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"groups must not be NaN, row {int(np.flatnonzero(np.isnan(labels))[0])} is")
    try:
        known, codes = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise TypeError(f"groups must hold labels of one kind that can be ordered, got {kinds}") from None
    return known, codes.astype(np.int64)


def _numbers(name: str, values: object, n: int) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be a list of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"{name} must have one entry per row, shape ({n},), got shape {array.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} must not be NaN, row {int(np.flatnonzero(np.isnan(array))[0])} is")
    return array
