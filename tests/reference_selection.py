"""The definitions of the selectors on the dense matrix of all similarities, to be checked by eye.

Similarities are counted in integer units of 2^-32, so that sums do not depend on their order. Rows are identical when
their unit rows are; `same[i, j]` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from reference import lane_sum, similarity_matrix, unit_rows

ONE = 2**32


def in_units(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.rint(scores.astype(np.float64) * ONE).astype(np.int64)


def identical(x: ArrayLike) -> NDArray[np.bool_]:
    rows = unit_rows(x)
    same: NDArray[np.bool_] = (rows[:, None, :] == rows[None, :, :]).all(axis=2)
    return same


@dataclass
class Removal:
    removed: list[int]
    costs: list[int]


def removal(
    x: ArrayLike,
    n_keep: int,
    priority: NDArray[np.float64] | None = None,
    must_keep: tuple[int, ...] = (),
    weights: NDArray[np.int64] | None = None,
) -> Removal:
    """Start from all rows; take away the one that costs least, again and again."""
    weight = 1 if weights is None else weights
    scores, same = similarity_matrix(x), identical(x)
    n = len(scores)
    units = in_units(scores)
    np.fill_diagonal(units, ONE)
    rank = np.zeros(n) if priority is None else priority
    second = [np.sort(np.append(scores[i, ~same[i]], [-1, -1]))[-2] for i in range(n)]
    kept = np.ones(n, dtype=bool)
    result = Removal([], [])
    while kept.sum() > n_keep:
        cost = {}
        for row in np.flatnonzero(kept):
            if row in must_keep:
                continue
            others = kept.copy()
            others[row] = False
            covered = units[:, kept].max(axis=1)
            cost[int(row)] = int((weight * (covered - units[:, others].max(axis=1))).sum())
        gone = min(cost, key=lambda row: (cost[row], rank[row], second[row], -row))
        kept[gone] = False
        result.removed.append(gone)
        result.costs.append(cost[gone])
    return result


@dataclass
class Insertion:
    picked: list[int]
    gains: list[int]


def insertion(
    x: ArrayLike, n_keep: int, k: int, must_keep: tuple[int, ...] = (), weights: NDArray[np.int64] | None = None
) -> Insertion:
    """Start from none; add the row that gains most, the lowest of equals, on the symmetrised graph.

    Identical rows serve each other fully. Otherwise rows serve each other with their similarity when the one is among
    the other's k nearest distinct rows (of equals those with the lowest row), and with 0 when it is negative. Rows
    that must be kept come first, in the order given.
    """
    weight = np.ones(len(unit_rows(x)), dtype=np.int64) if weights is None else weights
    scores, same = similarity_matrix(x), identical(x)
    n = len(scores)
    first = [int(np.flatnonzero(same[i])[0]) for i in range(n)]
    distinct = sorted(set(first))
    joined = same.copy()
    for i in range(n):
        others = sorted((-scores[i, j], j) for j in distinct if j != first[i])[:k]
        for _, j in others:
            joined[i] |= same[j]
    joined |= joined.T
    served = np.where(joined, np.maximum(in_units(scores), 0), 0)
    served[same] = ONE
    covered = np.zeros(n, dtype=np.int64)
    result = Insertion([], [])
    while len(result.picked) < n_keep:
        gain = np.maximum(served - covered, 0) @ weight
        gain[result.picked] = -1
        waiting = [row for row in must_keep if row not in result.picked]
        row = waiting[0] if waiting else int(np.argmax(gain))
        result.picked.append(row)
        result.gains.append(int(gain[row]))
        covered = np.maximum(covered, served[row])
    return result


def kcenter(x: ArrayLike, n_keep: int, must_keep: tuple[int, ...] = ()) -> list[int]:
    """Start from the row farthest from the mean; add what is least similar to its closest kept row (ties: the lowest).

    The mean's coordinates are sums of those of the unit rows, rounded to units of 2^-30 so that their order is nothing.
    """
    scores, same = similarity_matrix(x), identical(x)
    np.fill_diagonal(scores, 1)
    assert (scores[same] == 1).all()
    units = unit_rows(x).astype(np.float64)
    mean = np.rint(units * 2**30).astype(np.int64).sum(axis=0).astype(np.float64)
    picked = sorted(must_keep) or [int(np.argmin(lane_sum(units * mean)))]
    while len(picked) < n_keep:
        closest = scores[:, picked].max(axis=1)
        closest[picked] = 2
        picked.append(int(np.argmin(closest)))
    return picked


def deduplicate(
    x: ArrayLike,
    threshold: float,
    priority: NDArray[np.float64] | None = None,
    must_keep: tuple[int, ...] = (),
    reference: ArrayLike | None = None,
) -> list[int]:
    """Visit rows, higher priority first, then by index; keep a row unless a kept one is within the threshold."""
    own = [] if reference is None else list(range(len(unit_rows(x)), len(unit_rows(x)) + len(unit_rows(reference))))
    both = (
        np.array(x, dtype=np.float64) if reference is None else np.concatenate([np.asarray(x), np.asarray(reference)])
    )
    scores = similarity_matrix(both).astype(np.float64)
    n = len(scores) - len(own)
    rank = np.zeros(n) if priority is None else priority
    kept = [*own, *must_keep]
    for row in sorted(range(n), key=lambda row: (-rank[row], row)):
        if row not in must_keep and not (scores[row, kept] >= threshold).any():
            kept.append(row)
    return sorted(row for row in kept if row < n)


def refine(
    x: ArrayLike, kept: list[int], must_keep: tuple[int, ...] = (), weights: NDArray[np.int64] | None = None
) -> list[int]:
    """Visit removed rows in ascending order, until a round exchanges nothing.

    One comes in for the kept row that is then cheapest to lose, the highest of equals, if all rows together gain by it.
    Of a single kept row, nothing is exchanged.
    """
    weight = 1 if weights is None else weights
    scores, kept = similarity_matrix(x), sorted(kept)
    units = in_units(scores)
    np.fill_diagonal(units, ONE)

    def total(rows: list[int]) -> int:
        return int((weight * units[:, rows].max(axis=1)).sum())

    exchanged = len(kept) > 1
    while exchanged:
        exchanged = False
        for row in range(len(units)):
            if row in kept:
                continue
            without = {
                other: total([row, *(r for r in kept if r != other)]) for other in kept if other not in must_keep
            }
            out = max(without, key=lambda other: (without[other], other), default=row)
            if out != row and without[out] > total(kept):
                kept = sorted([row, *(r for r in kept if r != out)])
                exchanged = True
    return kept


def representatives(x: ArrayLike, kept: list[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The closest kept row: itself, then an identical one, then the most similar, among equals the lowest."""
    scores, same = similarity_matrix(x), identical(x)
    closest = [
        i if i in kept else min(kept, key=lambda j: (not same[i, j], -scores[i, j], j)) for i in range(len(scores))
    ]
    similarities = np.array([1 if i == j else scores[i, j] for i, j in enumerate(closest)], dtype=np.float32)
    return np.array(closest, dtype=np.int64), similarities
