"""A graph that the user hands over, made fit for selection."""

from __future__ import annotations

import numpy as np

from pyredund import _core
from pyredund._engine import Engine
from pyredund._neighbor_graph import NeighborGraph
from pyredund._unit_rows import UnitRows


def check_graph(graph: object, n: int) -> NeighborGraph:
    """The graph, if it joins n rows with each other."""
    if not isinstance(graph, NeighborGraph):
        raise TypeError(f"graph must be a NeighborGraph, got {type(graph).__name__}")
    if (graph.n_rows, graph.n_columns) != (n, n):
        raise ValueError(
            f"graph must join the {n} rows of embeddings with each other, got {graph.n_rows} rows and "
            f"{graph.n_columns} columns"
        )
    if (graph.indices == np.repeat(np.arange(n, dtype=np.int32), np.diff(graph.indptr))).any():
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
        _core.similarities(rows.matrix[class_of[some]], rows.matrix[neighbours], scores, engine.isa)
        for at in np.flatnonzero(scores != graph.similarities[edges])[:1]:
            raise ValueError(
                f"graph must be that of these embeddings: it says {float(graph.similarities[edges[at]]):.6f} for the "
                f"similarity of rows {some[at]} and {graph.indices[edges[at]]}, which is {float(scores[at]):.6f}"
            )


def distinct_graph(rows: UnitRows, graph: NeighborGraph) -> NeighborGraph:
    """The graph of all rows as a graph of the distinct ones: each keeps its first row's list, a class counting once."""
    if rows.class_of is None:
        return graph
    lengths = np.diff(graph.indptr)[rows.first]
    starts = np.repeat(graph.indptr[rows.first], lengths)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    edges = starts + within
    source = np.repeat(np.arange(rows.n_distinct, dtype=np.int64), lengths)
    target = rows.class_of[graph.indices[edges]]
    _, first_seen = np.unique(source * rows.n_distinct + target, return_index=True)
    chosen = np.sort(first_seen)
    chosen = chosen[source[chosen] != target[chosen]]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(source[chosen], minlength=rows.n_distinct))])
    return NeighborGraph(indptr, target[chosen], graph.similarities[edges[chosen]], rows.n_distinct, rows.n_distinct)
