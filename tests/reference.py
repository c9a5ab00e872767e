"""The definitions of pyredund in slow float64 NumPy, to be checked by eye. Nothing here imports the package.

A similarity is a sum of products of float32 coordinates, exact in float64, in one fixed order: coordinate i goes to
lane i mod 8, and the eight lanes are added as ((0+4)+(2+6)) + ((1+5)+(3+7)). So it is the same bits on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def lane_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the last axis in the fixed order."""
    lane = np.zeros((8, *terms.shape[:-1]))
    for i in range(terms.shape[-1]):
        lane[i % 8] += terms[..., i]
    total: NDArray[np.float64] = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + (
        (lane[1] + lane[5]) + (lane[3] + lane[7])
    )
    return total


def unit_rows(x: ArrayLike) -> NDArray[np.float32]:
    """Rows divided by their norms; zero rows stay zero, -0 becomes +0."""
    rows = np.array(x, dtype=np.float64)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    exponent = np.frexp(largest)[1] - 1  # largest is in [2^exponent, 2^(exponent + 1))
    extreme = (largest > 0) & (np.abs(exponent) > 400)  # its square would overflow or vanish
    rows[extreme] = np.ldexp(rows[extreme], -exponent[extreme, None])
    norm = np.sqrt(lane_sum(rows * rows))
    norm[norm == 0] = 1.0
    return (rows / norm[:, None]).astype(np.float32) + np.float32(0)


def similarity_matrix(x: ArrayLike, y: ArrayLike | None = None) -> NDArray[np.float32]:
    """Similarity of every row of x to every row of y (default: x); identical unit rows have exactly 1."""
    units = unit_rows(x)
    others = units if y is None else unit_rows(y)
    scores = np.empty((len(units), len(others)), dtype=np.float32)
    for i, unit in enumerate(units):
        exact = lane_sum(unit.astype(np.float64) * others.astype(np.float64))
        scores[i] = np.clip(exact.astype(np.float32), -1, 1) + np.float32(0)
        scores[i, (unit == others).all(axis=1)] = 1
    return scores


def knn(scores: NDArray[np.float32], k: int, exclude_self: bool) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and scores of the k best of each row: score descending, then column ascending."""
    n, m = scores.shape
    order = np.argsort(-scores, axis=1, kind="stable")
    if exclude_self:
        order = order[order != np.arange(n)[:, None]].reshape(n, max(m - 1, 0))
    order = order[:, :k]
    return order.astype(np.int32), np.take_along_axis(scores, order, axis=1)
