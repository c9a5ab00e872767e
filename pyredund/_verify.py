"""Brute-force check of a selection, in NumPy: it shares no code with the kernels whose results it checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund._inputs import row_source

BLOCK_BYTES = 64 << 20


def verify_selection(
    embeddings: object,
    indices: NDArray[np.int64],
    removed: NDArray[np.int64],
    mask: NDArray[np.bool_],
    representatives: NDArray[np.int64],
    similarities: NDArray[np.float32],
) -> None:
    """Raise ValueError with the first row for which a claim of the selection does not hold."""
    source = row_source("embeddings", embeddings)
    n = len(mask)
    if source.rows != n:
        raise ValueError(f"embeddings must have the selection's {n} rows, got {source.rows}")
    _verify_sets(indices, removed, mask, representatives, similarities)
    rows = _unit_rows(source.block(0, n).astype(np.float64))
    claimed = _scores(rows[removed], rows[representatives[removed]])
    wrong = np.flatnonzero(claimed != similarities[removed])
    if len(wrong):
        row = removed[wrong[0]]
        raise ValueError(
            f"row {row}: similarity to its representative {representatives[row]} is {claimed[wrong[0]]}, "
            f"the selection says {similarities[row]}"
        )
    _verify_closest(rows, indices, np.sort(removed), representatives, similarities)


def _verify_sets(
    indices: NDArray[np.int64],
    removed: NDArray[np.int64],
    mask: NDArray[np.bool_],
    representatives: NDArray[np.int64],
    similarities: NDArray[np.float32],
) -> None:
    if not np.array_equal(indices, np.flatnonzero(mask)):
        raise ValueError("indices must be the rows of mask, ascending")
    if not np.array_equal(np.sort(removed), np.flatnonzero(~mask)):
        raise ValueError("removed must hold every row that is not in mask, once")
    if len(representatives) != len(mask) or len(similarities) != len(mask):
        raise ValueError(f"representatives and similarities must have {len(mask)} entries")
    for row in np.flatnonzero(~mask[representatives])[:1]:
        raise ValueError(f"row {row}: its representative {representatives[row]} was removed")
    for row in np.flatnonzero(mask & ((representatives != np.arange(len(mask))) | (similarities != 1)))[:1]:
        raise ValueError(f"row {row}: is kept, but its representative is {representatives[row]}")


def _verify_closest(
    rows: NDArray[np.float32],
    indices: NDArray[np.int64],
    removed: NDArray[np.int64],
    representatives: NDArray[np.int64],
    similarities: NDArray[np.float32],
) -> None:
    """No kept row is closer: float64 products find what comes near the claim, the definition decides."""
    slack = 2.0**-21 + rows.shape[1] * 2.0**-50  # rounding to float32, clamping to 1, float64 sums
    kept = rows[indices].astype(np.float64).T
    at_once = max(1, BLOCK_BYTES // (8 * max(1, len(indices))))
    for start in range(0, len(removed), at_once):
        some = removed[start : start + at_once]
        near = rows[some].astype(np.float64) @ kept >= similarities[some, None].astype(np.float64) - slack
        for place in np.flatnonzero((rows[some] == 0).all(axis=1)):  # zero rows equal each other, with product 0
            near[place] |= (kept == 0).all(axis=0)
        which, column = np.nonzero(near)
        row, other = some[which], indices[column]
        score = _scores(rows[row], rows[other])
        same = (rows[row] == rows[other]).all(axis=1)
        representative = representatives[row]
        own_same = (rows[row] == rows[representative]).all(axis=1)
        # the order of representatives: identical rows, then the higher similarity, then the lower row
        better = (score > similarities[row]) | (
            (score == similarities[row]) & (other < representative) & (same >= own_same)
        )
        better |= same & ~own_same
        for failed in np.flatnonzero(better)[:1]:
            raise ValueError(
                f"row {row[failed]}: kept row {other[failed]} (similarity {score[failed]}) is closer than its "
                f"representative {representative[failed]} ({similarities[row[failed]]})"
            )


def _lanes(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row sums in eight lanes (coordinate mod 8), the lanes as ((0+4)+(2+6)) + ((1+5)+(3+7))."""
    lane = np.zeros((len(products), 8))
    for start in range(0, products.shape[1], 8):
        part = products[:, start : start + 8]
        lane[:, : part.shape[1]] += part
    half = lane[:, :4] + lane[:, 4:]
    return (half[:, 0] + half[:, 2]) + (half[:, 1] + half[:, 3])


def _unit_rows(x: NDArray[np.float64]) -> NDArray[np.float32]:
    if not np.isfinite(x).all():
        raise ValueError("embeddings must be finite")
    largest = np.abs(x).max(axis=1)
    exponent = np.frexp(largest)[1] - 1
    extreme = (largest > 0) & ((exponent < -400) | (exponent > 400))
    x = np.ldexp(x, np.where(extreme, -exponent, 0)[:, None])
    norm = np.sqrt(_lanes(x * x))
    with np.errstate(under="ignore"):
        unit = (x / np.where(norm > 0, norm, 1.0)[:, None]).astype(np.float32)
    return unit + np.float32(0)  # -0 becomes +0


def _scores(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Similarities of x[i] and y[i] as defined: float64 sums in lanes, rounded, clamped, 1 for identical rows."""
    scores = np.empty(len(x), dtype=np.float32)
    at_once = max(1, BLOCK_BYTES // (32 * x.shape[1]))
    for start in range(0, len(x), at_once):
        a, b = x[start : start + at_once], y[start : start + at_once]
        exact = _lanes(a.astype(np.float64) * b.astype(np.float64))
        with np.errstate(under="ignore"):
            rounded = np.clip(exact.astype(np.float32), np.float32(-1), np.float32(1)) + np.float32(0)
        scores[start : start + at_once] = np.where((a == b).all(axis=1), np.float32(1), rounded)
    return scores
