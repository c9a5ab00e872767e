"""Brute-force check of a selection, in NumPy: it shares no code with the kernels whose results it checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund._inputs import RowSource, reference_source, row_source
from pyredund._row_arguments import weight_units

BLOCK_BYTES = 64 << 20
PAIRS_AT_ONCE = 1 << 18


def verify_selection(
    embeddings: object,
    reference: object,
    n_reference: int,
    groups: NDArray[np.int64] | None,
    indices: NDArray[np.int64],
    removed: NDArray[np.int64],
    mask: NDArray[np.bool_],
    representatives: NDArray[np.int64],
    similarities: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The unit rows, those of `reference` behind; ValueError with the first row for which a claim does not hold."""
    source = row_source("embeddings", embeddings)
    n = len(mask)
    if source.rows != n:
        raise ValueError(f"embeddings must have the selection's {n} rows, got {source.rows}")
    if (reference is not None) != (n_reference > 0):
        raise ValueError(f"reference must be what the selection was made with, {n_reference} rows")
    rows = _all_unit_rows(source)
    if reference is not None:
        others = reference_source(reference, source.dim)
        if others.rows != n_reference:
            raise ValueError(f"reference must have the {n_reference} rows of the selection's, got {others.rows}")
        rows = np.concatenate([rows, _all_unit_rows(others)])  # from here on like any other kept rows
        own = np.arange(n, n + n_reference)
        groups = None if groups is None else np.concatenate([groups, np.full(n_reference, -1)])
        indices, representatives = np.concatenate([indices, own]), np.concatenate([representatives, own])
        mask = np.concatenate([mask, np.ones(n_reference, dtype=bool)])
        similarities = np.concatenate([similarities, np.ones(n_reference, dtype=np.float32)])
    _verify_sets(indices, removed, mask, representatives, similarities)
    claimed = scores(rows, removed, representatives[removed])
    wrong = np.flatnonzero(claimed != similarities[removed])
    if len(wrong):
        row = removed[wrong[0]]
        raise ValueError(
            f"row {row}: similarity to its representative {representatives[row]} is {claimed[wrong[0]]}, "
            f"the selection says {similarities[row]}"
        )
    _, class_of = np.unique(rows.view(np.dtype((np.void, rows.shape[1] * 4))).ravel(), return_inverse=True)
    for group in [None] if groups is None else np.unique(groups[:n]):
        allowed, gone = indices, np.sort(removed)
        if groups is not None:
            allowed, gone = indices[(groups[indices] == group) | (indices >= n)], gone[groups[gone] == group]
            for row in gone[~np.isin(representatives[gone], allowed)][:1]:
                raise ValueError(f"row {row}: its representative {representatives[row]} is of another group")
        _verify_closest(rows, class_of, allowed, gone, representatives, similarities)
    return rows


def _all_unit_rows(source: RowSource) -> NDArray[np.float32]:
    n, at_once = source.rows, max(1, BLOCK_BYTES // (8 * source.dim))
    blocks = [_unit_rows(source.block(i, min(n, i + at_once)).astype(np.float64)) for i in range(0, n, at_once)]
    return np.concatenate(blocks)


def verify_sums(
    similarities: NDArray[np.float32],
    costs: NDArray[np.float64] | None,
    removed: NDArray[np.int64],
    sample_weight: NDArray[np.float64] | None,
) -> None:
    """Raise ValueError unless the costs of a removal add up to what all rows lost, in units of 2^-32."""
    if costs is None:
        return
    if len(costs) != len(removed) or (costs < 0).any():
        raise ValueError(f"costs must hold one number of at least 0 for each of the {len(removed)} removed rows")
    weights, unit = (1, 1.0) if sample_weight is None else weight_units(sample_weight)
    lost = int((weights * (2**32 - np.rint(similarities.astype(np.float64) * 2**32).astype(np.int64))).sum())
    if int(np.rint(costs / unit * 2**32).astype(np.int64).sum()) != lost:
        raise ValueError(f"costs must add up to what all rows lost, {lost * unit / 2**32}, got {costs.sum()}")


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
    for row in np.flatnonzero((representatives < 0) | (representatives >= len(mask)))[:1]:
        raise ValueError(f"row {row}: its representative {representatives[row]} is no row")
    for row in np.flatnonzero(~mask[representatives])[:1]:
        raise ValueError(f"row {row}: its representative {representatives[row]} was removed")
    for row in np.flatnonzero(mask & ((representatives != np.arange(len(mask))) | (similarities != 1)))[:1]:
        raise ValueError(f"row {row}: is kept, but its representative is {representatives[row]}")


def _verify_closest(
    rows: NDArray[np.float32],
    class_of: NDArray[np.intp],
    indices: NDArray[np.int64],
    removed: NDArray[np.int64],
    representatives: NDArray[np.int64],
    similarities: NDArray[np.float32],
) -> None:
    """No kept row is closer: float64 products find what comes near the claim, the definition decides."""
    lowest = np.full(len(rows), -1, dtype=np.int64)  # kept row of each class of identical rows
    lowest[class_of[indices[::-1]]] = indices[::-1]
    identical = lowest[class_of[removed]]
    for row, other in zip(removed, identical, strict=True):
        if other >= 0 and representatives[row] != other:
            raise ValueError(
                f"row {row}: kept row {other} is identical to it, its representative is {representatives[row]}"
            )
    candidates = np.sort(lowest[lowest >= 0])
    open_rows = removed[identical < 0]
    slack = 2.0**-21 + rows.shape[1] * 2.0**-50  # rounding to float32, clamping to 1, float64 sums
    kept = rows[candidates].astype(np.float64).T
    at_once = max(1, BLOCK_BYTES // (8 * max(1, len(candidates))))
    for start in range(0, len(open_rows), at_once):
        some = open_rows[start : start + at_once]
        near = rows[some].astype(np.float64) @ kept >= similarities[some, None].astype(np.float64) - slack
        pairs = np.flatnonzero(near)
        for first in range(0, len(pairs), PAIRS_AT_ONCE):
            which, column = np.divmod(pairs[first : first + PAIRS_AT_ONCE], len(candidates))
            row, other = some[which], candidates[column]
            score = scores(rows, row, other)
            better = (score > similarities[row]) | ((score == similarities[row]) & (other < representatives[row]))
            for failed in np.flatnonzero(better)[:1]:
                raise ValueError(
                    f"row {row[failed]}: kept row {other[failed]} (similarity {score[failed]}) is closer than its "
                    f"representative {representatives[row[failed]]} ({similarities[row[failed]]})"
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
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        raise ValueError(f"embeddings must be finite: {len(bad)} of {len(x)} rows hold NaN or infinity (row {bad[0]})")
    largest = np.abs(x).max(axis=1)
    exponent = np.frexp(largest)[1] - 1
    extreme = (largest > 0) & ((exponent < -400) | (exponent > 400))
    x = np.ldexp(x, np.where(extreme, -exponent, 0)[:, None])
    norm = np.sqrt(_lanes(x * x))
    with np.errstate(all="ignore"):
        unit = (x / np.where(norm > 0, norm, 1.0)[:, None]).astype(np.float32)
    return unit + np.float32(0)  # -0 becomes +0


def scores(rows: NDArray[np.float32], x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.float32]:
    """Similarities of rows x[i] and y[i] as defined: float64 sums in lanes, rounded, clamped, 1 for identical rows."""
    scores = np.empty(len(x), dtype=np.float32)
    at_once = max(1, BLOCK_BYTES // (32 * rows.shape[1]))
    for start in range(0, len(x), at_once):
        a, b = rows[x[start : start + at_once]], rows[y[start : start + at_once]]
        exact = _lanes(a.astype(np.float64) * b.astype(np.float64))
        with np.errstate(all="ignore"):
            rounded = np.clip(exact.astype(np.float32), np.float32(-1), np.float32(1)) + np.float32(0)
        scores[start : start + at_once] = np.where((a == b).all(axis=1), np.float32(1), rounded)
    return scores
