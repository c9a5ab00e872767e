"""The closest kept row of every row, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows


def closest_kept(
    rows: UnitRows, kept: NDArray[np.int64], engine: Engine, graph: NeighborGraph | None = None
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
    graph : NeighborGraph, optional
        Beginning of each distinct row's ranking of the others; spares the search where it reaches a kept row.

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
    if graph is not None and rows.class_of is None:  # otherwise a list's order is not that of the kept rows
        _take_from_lists(graph, np.flatnonzero(row_of_class < 0), row_of_class, similarity_of_class)
    missing = np.flatnonzero(row_of_class < 0)
    if len(missing):
        found, similarities = query(rows.matrix[missing], rows.matrix[kept_classes], rows.dim, 1, engine)
        row_of_class[missing] = kept_rows[found[:, 0]]
        similarity_of_class[missing] = similarities[:, 0]

    representatives = row_of_class[class_of]
    similarities_of_rows = similarity_of_class[class_of]
    representatives[kept] = kept
    return representatives, similarities_of_rows


def _take_from_lists(
    graph: NeighborGraph,
    removed: NDArray[np.int64],
    row_of_class: NDArray[np.int64],
    similarity_of_class: NDArray[np.float32],
) -> None:
    """Fill in the first kept row in the list of every removed row that has one: lists are sorted by the tie rule."""
    kept = row_of_class >= 0
    starts, stops = graph.indptr[removed], graph.indptr[removed + 1]
    found = np.full(len(removed), -1, dtype=np.int64)  # the edge to the first kept neighbour
    for place in range(int((stops - starts).max(initial=0))):
        edges = starts + place
        open_rows = np.flatnonzero((found < 0) & (edges < stops))
        if not len(open_rows):
            break
        hits = open_rows[kept[graph.indices[edges[open_rows]]]]
        found[hits] = edges[hits]
    reached = found >= 0
    row_of_class[removed[reached]] = graph.indices[found[reached]]
    similarity_of_class[removed[reached]] = graph.similarities[found[reached]]
