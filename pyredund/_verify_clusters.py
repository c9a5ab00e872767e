"""Brute-force check that the most central row of each cluster is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund._verify import scores


def verify_clusters(rows: NDArray[np.float32], labels: NDArray[np.int64], indices: NDArray[np.int64]) -> None:
    """Raise ValueError unless each cluster has one kept row, and no other row of it a larger sum of similarities."""
    found, lowest = np.unique(labels, return_index=True)
    if len(labels) != len(rows) or not np.array_equal(found, np.arange(len(indices))) or (np.diff(lowest) < 0).any():
        raise ValueError(f"labels must number {len(indices)} clusters by their lowest rows, from 0")
    by_cluster = indices[np.argsort(labels[indices])]
    for cluster in np.flatnonzero(labels[by_cluster] != found)[:1]:
        raise ValueError(f"cluster {cluster} must have one kept row")
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    for cluster, kept in enumerate(by_cluster.tolist()):
        if len(members[cluster]) > 2:  # of two rows, both have the same sum
            _verify_central(rows, kept, members[cluster])


def _verify_central(rows: NDArray[np.float32], kept: int, members: NDArray[np.intp]) -> None:
    largest = _sum(rows, kept, members)
    exact = rows[members].astype(np.float64)
    about = exact @ exact.sum(axis=0) - (exact * exact).sum(axis=1)
    is_zero = ~exact.any(axis=1)
    about[is_zero] = is_zero.sum() - 1  # identical, hence with similarity 1, though their product is 0
    slack = len(members) * 2.0**-20  # rounding to float32, clamping to 1
    for row in members[about * 2.0**32 > largest - slack * 2.0**32].tolist():
        if _sum(rows, row, members) > largest:
            raise ValueError(
                f"row {kept}: is kept, but row {row} of the same cluster has a larger sum of similarities to its rows"
            )


def _sum(rows: NDArray[np.float32], row: int, members: NDArray[np.intp]) -> int:
    """Similarities of a row to the other members, in units of 2^-32."""
    others = members[members != row].astype(np.int64)
    return int(np.rint(scores(rows, np.full(len(others), row), others).astype(np.float64) * 2.0**32).sum())
