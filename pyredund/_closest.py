"""The closest kept row of every row, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._unit_rows import UnitRows


def closest_kept(
    rows: UnitRows, kept: NDArray[np.int64], engine: Engine
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Representative and similarity to it of every row: itself if kept, an identical row, else the most similar one.

    Parameters
    ----------
    rows : UnitRows
        Unit rows.
    kept : ndarray of int64
        Kept rows, ascending.
    engine : Engine
        How to compute.

    Returns
    -------
    representatives : ndarray of int64, shape (n,)
        Among rows equally similar, the lowest.
    similarities : ndarray of float32, shape (n,)
        1 for kept rows and those identical to one.
    """
    class_of = np.arange(rows.n_rows) if rows.class_of is None else rows.class_of
    kept_classes, firsts = np.unique(class_of[kept], return_index=True)  # lowest kept row of each class that has one
    by_row = np.argsort(firsts)  # the order in which ties are to be broken
    kept_classes, kept_rows = kept_classes[by_row], kept[firsts[by_row]]

    row_of_class = np.full(rows.n_distinct, -1, dtype=np.int64)
    row_of_class[kept_classes] = kept_rows
    similarity_of_class = np.ones(rows.n_distinct, dtype=np.float32)
    missing = np.flatnonzero(row_of_class < 0)
    if len(missing):
        found, similarities = query(rows.matrix[missing], rows.matrix[kept_classes], rows.dim, 1, engine)
        row_of_class[missing] = kept_rows[found[:, 0]]
        similarity_of_class[missing] = similarities[:, 0]

    representatives = row_of_class[class_of]
    similarities_of_rows = similarity_of_class[class_of]
    representatives[kept] = kept
    return representatives, similarities_of_rows
