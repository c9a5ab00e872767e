"""Brute-force check of a deduplication: no removed row lacks a kept one, and no two kept ones are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund._verify import BLOCK_BYTES, PAIRS_AT_ONCE, scores


def verify_threshold(
    rows: NDArray[np.float32],
    threshold: float,
    mask: NDArray[np.bool_],
    must_keep: NDArray[np.int64] | None,
    similarities: NDArray[np.float32],
) -> None:
    """Raise ValueError with the first row that breaks cover or packing; rows of a reference lie behind those of `mask`.

    The similarities are taken as checked.
    """
    n = len(mask)
    for row in np.flatnonzero(~mask & (similarities.astype(np.float64) < threshold))[:1]:
        raise ValueError(f"row {row}: was removed, but no kept row has a similarity of {threshold} or more to it")
    free = mask.copy()
    if must_keep is not None:
        for row in must_keep[~mask[must_keep]][:1]:
            raise ValueError(f"row {row}: must be kept, but was removed")
        free[must_keep] = False
    kept = np.concatenate([np.flatnonzero(mask), np.arange(n, len(rows))])
    columns = rows[kept].astype(np.float64).T
    slack = 2.0**-21 + rows.shape[1] * 2.0**-50  # rounding to float32, clamping to 1, float64 sums
    zeros = kept[~rows[kept].any(axis=1)]  # identical, hence with similarity 1, though their product is 0
    if len(zeros) > 1 and free[zeros[zeros < n]].any():
        raise ValueError(f"rows {zeros[0]} and {zeros[1]}: both are kept, with a similarity of {threshold} or more")
    some_rows = np.flatnonzero(free)
    at_once = max(1, BLOCK_BYTES // (8 * max(1, len(kept))))
    for start in range(0, len(some_rows), at_once):
        some = some_rows[start : start + at_once]
        pairs = np.flatnonzero(rows[some].astype(np.float64) @ columns >= threshold - slack)
        for first in range(0, len(pairs), PAIRS_AT_ONCE):
            which, column = np.divmod(pairs[first : first + PAIRS_AT_ONCE], len(kept))
            row, other = some[which], kept[column]
            alike = (row != other) & (scores(rows, row, other).astype(np.float64) >= threshold)
            for failed in np.flatnonzero(alike)[:1]:
                raise ValueError(
                    f"rows {row[failed]} and {other[failed]}: both are kept, with a similarity of {threshold} or more"
                )
