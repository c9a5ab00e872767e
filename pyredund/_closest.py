"""The closest kept row of every row, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows


@dataclass(frozen=True)
class Listed:
    """Lists of distinct rows near each distinct one, most similar first.

    Parameters
    ----------
    graph : NeighborGraph
        The lists.
    are_even : bool
        Whether all rows from one similarity on are listed; otherwise each list may end at another one.
    """

    graph: NeighborGraph
    are_even: bool


def closest_kept(
    rows: UnitRows, kept: NDArray[np.int64], engine: Engine, listed: Listed | None = None
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
    listed : Listed, optional
        What is near each distinct row; saves the search for those that list a kept one.

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
    if listed is not None:
        names, closest = row_of_class.copy(), np.empty(rows.n_distinct, dtype=np.int32)
        scores = np.empty(rows.n_distinct, dtype=np.float32)
        graph = listed.graph
        _core.closest_listed(graph.indptr, graph.indices, graph.similarities, names, closest, scores)
        found_there = (names < 0) & (closest >= 0)
        if not listed.are_even and rows.class_of is not None:  # as similar as the last, others may have a lower row
            ends = graph.indptr[1:][found_there] - 1
            found_there[found_there] = scores[found_there] > graph.similarities[ends]
        row_of_class[found_there] = names[closest[found_there]]
        similarity_of_class[found_there] = scores[found_there]
    missing = np.flatnonzero(row_of_class < 0)
    if len(missing):
        queries, others = rows.gathered(missing, engine), rows.gathered(kept_classes, engine)
        found, similarities = query(queries, others, rows.dim, 1, engine)
        row_of_class[missing] = kept_rows[found[:, 0]]
        similarity_of_class[missing] = similarities[:, 0]

    representatives = row_of_class[class_of]
    similarities_of_rows = similarity_of_class[class_of]
    representatives[kept] = kept
    return representatives, similarities_of_rows
