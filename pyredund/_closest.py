"""The closest kept row of every row, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._neighbor_graph import NeighborGraph
from pyredund._removal import lowest_rows
from pyredund._unit_rows import UnitRows


@dataclass(frozen=True)
class Listed:
    """Lists of what is near each distinct row, most similar first.

    Parameters
    ----------
    graph : NeighborGraph
        The lists: of the distinct rows, or of all rows, where a distinct one takes the list of its first.
    are_even : bool
        Whether all rows from one similarity on are listed; otherwise each list may end at another one.
    of_rows : bool
        Whether the graph is one of all rows.
    """

    graph: NeighborGraph
    are_even: bool
    of_rows: bool = False

    def names(self, rows: UnitRows) -> tuple[NDArray[np.int32] | None, NDArray[np.int32] | None]:
        """For the core: the first row of each class and the class of each row, where the graph is one of all rows."""
        return (rows.first, rows.class_of) if self.of_rows else (None, None)


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
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    is_kept = np.zeros(rows.n_rows, dtype=bool)
    is_kept[kept] = True
    names = lowest_rows(class_of, is_kept)  # of each class that has a kept row, -1 where there is none
    names[names == rows.n_rows] = -1
    if listed is not None:
        names, similarities = closest_listed(rows, listed, names)
    else:
        similarities = np.ones(rows.n_distinct, dtype=np.float32)
    missing = np.flatnonzero(names < 0)
    if len(missing):
        kept_rows = np.sort(lowest_rows(class_of, is_kept))  # the order in which ties are to be broken
        kept_rows = kept_rows[kept_rows < rows.n_rows]
        queries, others = rows.gathered(missing, engine), rows.gathered(class_of[kept_rows], engine)
        found, scores = query(queries, others, rows.dim, 1, engine)
        names[missing] = kept_rows[found[:, 0]]
        similarities[missing] = scores[:, 0]
    if rows.class_of is not None:
        names, similarities = names[class_of], similarities[class_of]
    representatives = names.astype(np.int64)
    representatives[kept] = kept
    return representatives, similarities


def closest_listed(
    rows: UnitRows, listed: Listed, names: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Name of, and similarity to, the most similar class with a name that is listed for each class, its own first.

    `names` holds that of each class, -1 where it has none; so does what is returned where none is listed that is sure
    to be the most similar with the lowest name.
    """
    graph = listed.graph
    found, similarities = np.empty_like(names), np.empty(len(names), dtype=np.float32)
    # As similar as the last one listed, others may have a lower name, unless distinct rows are in the order of names.
    are_even = listed.are_even or rows.class_of is None
    lists = graph.indptr, graph.indices, graph.similarities
    _core.closest_listed(*lists, *listed.names(rows), names, are_even, found, similarities)
    return found, similarities
