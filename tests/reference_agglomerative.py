"""The definition of agglomerative clustering as a textbook loop on exact float64 scores, to be checked by eye.

Identical rows merge first, at height 0, each into the lowest row like it, the rows taken by (that lowest row, own
number). Then, again and again, the two clusters of least height merge; of equal heights the pair whose lower cluster
has the lowest row, then the pair whose other cluster has. A height is the largest (complete) or smallest (single) of
the pairs' distances, 1 less the exact score; average: 1 - S_A.S_B / (|A| |B|), S being float64 sums of unit rows, added
up as the clusters merge. Heights are reported as at least 0, and as never falling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from reference import lane_sum, similarity_matrix, unit_rows
from reference_selection import identical, in_units


@dataclass
class Tree:
    labels: NDArray[np.int64]
    merges: NDArray[np.float64]  # as SciPy's linkage: two ids, height, size


def agglomerative(x: ArrayLike, n_clusters: int, linkage: str) -> Tree:
    units, same = unit_rows(x).astype(np.float64), identical(x)
    n = len(units)
    lowest, size, ids = np.arange(n), np.ones(n), np.arange(n)
    sums = units.copy()
    merges: list[tuple[float, float, float, float]] = []

    def merge(a: int, b: int, height: float) -> None:
        lowest[lowest == b] = a
        sums[a] += sums[b]
        size[a] += size[b]
        highest = max([height, 0.0] + [merge[2] for merge in merges])
        merges.append((min(ids[a], ids[b]), max(ids[a], ids[b]), highest, size[a]))
        ids[a] = n + len(merges) - 1

    first = same.argmax(axis=1)
    for row in sorted(range(n), key=lambda row: (first[row], row)):
        if row != first[row] and n - len(merges) > n_clusters:
            merge(int(first[row]), row, 0.0)
    heights = np.array([1 - lane_sum(units[i] * units) for i in range(n)])
    if linkage == "average":
        for a in range(n):
            heights[a] = 1 - lane_sum(sums[a] * sums) / (size[a] * size)
    dead = lowest != np.arange(n)
    heights[dead] = heights[:, dead] = np.inf
    heights[np.tril_indices(n)] = np.inf
    while n - len(merges) > n_clusters:
        a, b = divmod(int(np.argmin(heights)), n)  # the first of equals: lowest a, then lowest b
        merge(a, b, float(heights[a, b]))
        one, other = np.minimum(heights[a], heights[:, a]), np.minimum(heights[b], heights[:, b])
        new = {
            "single": np.minimum(one, other),
            "complete": np.maximum(one, other),
            "average": 1 - lane_sum(sums[a] * sums) / (size[a] * size),
        }[linkage]
        dead[b] = True
        new[dead] = np.inf
        heights[b], heights[:, b] = np.inf, np.inf
        heights[a, a + 1 :], heights[:a, a] = new[a + 1 :], new[:a]
    return Tree(np.unique(lowest, return_inverse=True)[1].astype(np.int64), np.array(merges).reshape(-1, 4))


def kept_rows(x: ArrayLike, labels: NDArray[np.int64], priority: NDArray[np.float64] | None = None) -> list[int]:
    """Of each cluster the member with the largest sum of similarities to the others.

    Ties: higher priority, then the higher similarity to the second-nearest row not identical to it, then the lowest.
    """
    scores, same = similarity_matrix(x), identical(x)
    units = in_units(scores)
    n = len(labels)
    rank = np.zeros(n) if priority is None else priority
    second = [np.sort(np.append(scores[i, ~same[i]], [-1, -1]))[-2] for i in range(n)]
    kept = []
    for label in range(labels.max() + 1):
        members: list[int] = np.flatnonzero(labels == label).tolist()

        def order(row: int, members: list[int] = members) -> tuple[int, float, float, int]:
            return sum(int(units[row, other]) for other in members if other != row), rank[row], second[row], -row

        kept.append(max(members, key=order))
    return sorted(kept)
