"""A graph that the user hands over, made fit for selection."""

from __future__ import annotations

import numpy as np

from pyredund import _core
from pyredund._engine import Engine
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows

ROWS_AT_ONCE = 1 << 14


def check_graph(graph: object, n: int) -> NeighborGraph:
    """The graph, if it joins n rows with each other."""
    if not isinstance(graph, NeighborGraph):
        raise TypeError(f"graph must be a NeighborGraph, got {type(graph).__name__}")
    if (graph.n_rows, graph.n_columns) != (n, n):
        raise ValueError(
            f"graph must join the {n} rows of embeddings with each other, got {graph.n_rows} rows and "
            f"{graph.n_columns} columns"
        )
    for start in range(0, n, ROWS_AT_ONCE):  # the numbers of the rows, once an edge, would be half a graph more
        indptr = graph.indptr[start : start + ROWS_AT_ONCE + 1]
        own = np.repeat(np.arange(start, start + len(indptr) - 1, dtype=np.int32), np.diff(indptr))
        if (graph.indices[indptr[0] : indptr[-1]] == own).any():
            raise ValueError("graph must not list a row among its own neighbours")
    return graph


def check_belongs(graph: NeighborGraph, rows: UnitRows, engine: Engine) -> None:
    """Refuse a graph of other rows: the first and last similarities of up to 4,096 rows must be theirs, exactly."""
    some = np.flatnonzero(np.diff(graph.indptr) > 0)
    some = some[:: max(1, len(some) // 4096)]
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    for edges in (graph.indptr[some], graph.indptr[some + 1] - 1):
        scores = np.empty(len(some), dtype=np.float32)
        neighbours = class_of[graph.indices[edges]]
        _core.similarities(rows.gathered(class_of[some], engine), rows.gathered(neighbours, engine), scores, engine.isa)
        for at in np.flatnonzero(scores != graph.similarities[edges])[:1]:
            raise ValueError(
                f"graph must be that of these embeddings: it says {float(graph.similarities[edges[at]]):.6f} for the "
                f"similarity of rows {some[at]} and {graph.indices[edges[at]]}, which is {float(scores[at]):.6f}"
            )


def distinct_graph(rows: UnitRows, graph: NeighborGraph) -> NeighborGraph:
    """The graph of all rows as a graph of the distinct ones: each keeps its first row's list, a class counting once."""
    if rows.class_of is None:
        return graph
    arrays = _core.collapse_lists(
        graph.indptr, graph.indices, graph.similarities, rows.class_of, rows.member_ptr, rows.members
    )
    return NeighborGraph(*arrays, rows.n_distinct, rows.n_distinct)
