"""What a selection lost, by definitions that no selector's own figures enter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund._closest import closest_kept
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._knn_graph import search_distinct
from pyredund._row_arguments import group_codes
from pyredund._unit_rows import UnitRows, unit_rows


@dataclass(frozen=True)
class Quality:
    """How well kept rows stand for removed ones. A distance is 1 - cosine similarity.

    Parameters
    ----------
    n_kept : int
        Rows kept.
    mean, percentile95, largest : float
        Mean, 95th percentile and maximum of the distance of removed rows to the closest kept row; 0 if none was
        removed.
    facility_location : float
        Mean over all rows of the similarity to the closest kept row, kept ones counting 1.
    closest_kept_pair : float or None
        Smallest distance of two kept rows: how redundant the rest still is. None for a single row.
    class_balance : float or None
        Share kept of the class of which least was kept, over that of the class of which most was. None without groups.
    """

    n_kept: int
    mean: float
    percentile95: float
    largest: float
    facility_location: float
    closest_kept_pair: float | None = None
    class_balance: float | None = None


def quality(embeddings: object, kept: object, groups: object = None, *, n_threads: int | None = None) -> Quality:
    """Judge a selection, whoever made it, by exact searches for closest kept rows.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        As for `pyredund.select`.
    kept : array_like of int, shape (m,)
        Numbers of the rows kept, in any order.
    groups : array_like of labels, shape (n,), optional
        Classes.
    n_threads : int, optional
        Worker threads. Default: what the process may use, or the environment variable ``PYREDUND_NUM_THREADS``.

    Returns
    -------
    Quality
        Distances are 1 less similarities that are rounded to float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a row is kept twice, or does not exist, or none is kept.

    Notes
    -----
    Time O(n m d) at most, in practice that of two graphs of one neighbour; memory O(n d).

    Examples
    --------
    >>> from pyredund.bench import quality
    >>> quality([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], [0, 2]).mean
    0.19999998807907104
    """
    engine = Engine.resolve(n_threads)
    rows = unit_rows("embeddings", row_source("embeddings", embeddings), engine)
    n = rows.n_rows
    numbers = np.sort(np.asarray(kept))
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(f"kept must be a list of at least 1 row number, got {numbers.dtype} of shape {numbers.shape}")
    if numbers[0] < 0 or numbers[-1] >= n:
        outside = numbers[0] if numbers[0] < 0 else numbers[-1]
        raise ValueError(f"kept must hold row numbers in [0, {n}), got {outside}")
    twice = numbers[1:][numbers[1:] == numbers[:-1]]
    if len(twice):
        raise ValueError(f"kept must hold each row once, row {twice[0]} is there twice")
    mask = np.zeros(n, dtype=bool)
    mask[numbers] = True
    similarities = closest_kept(rows, np.flatnonzero(mask), engine)[1].astype(np.float64)
    lost = 1 - similarities[~mask] if n > len(numbers) else np.zeros(1)
    return Quality(
        n_kept=len(numbers),
        mean=float(lost.mean()),
        percentile95=float(np.percentile(lost, 95)),
        largest=float(lost.max()),
        facility_location=float(similarities.mean()),
        closest_kept_pair=_closest_pair(rows, np.flatnonzero(mask), engine),
        class_balance=None if groups is None else _balance(group_codes(groups, n)[1], mask),
    )


def _closest_pair(rows: UnitRows, kept: NDArray[np.int64], engine: Engine) -> float | None:
    if len(kept) < 2:
        return None
    classes = kept if rows.class_of is None else np.unique(rows.class_of[kept])
    if len(classes) < len(kept):
        return 0.0
    graph = search_distinct(UnitRows(rows.matrix[classes], rows.dim, None, len(classes)), 1, engine)
    return float(1 - graph.similarities.max().astype(np.float64))


def _balance(codes: NDArray[np.int64], mask: NDArray[np.bool_]) -> float:
    shares = np.bincount(codes, weights=mask) / np.bincount(codes)
    return float(shares.min() / shares.max())
