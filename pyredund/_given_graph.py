"""A graph that the user hands over, made fit for selection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._closest import Listed
from pyredund._engine import Engine
from pyredund._neighbor_graph import NeighborGraph, unchecked_graph
from pyredund._unit_rows import UnitRows

ROWS_AT_ONCE = 1 << 14
FEW_LISTED = 16  # neighbours beside a row, from which on it is in a crowd if there may be more


def check_graph(graph: object, n: int) -> NeighborGraph:
    """The graph, if it joins n rows with each other."""
    if not isinstance(graph, NeighborGraph):
        raise TypeError(f"graph must be a NeighborGraph, got {type(graph).__name__}")
    if (graph.n_rows, graph.n_columns) != (n, n):
        raise ValueError(
            f"graph must join the {n} rows of embeddings with each other, got {graph.n_rows} rows and "
            f"{graph.n_columns} columns"
        )
    _core.check_lists(graph.indptr, graph.indices)
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


def _check_complete(graph: NeighborGraph, rows: UnitRows, threshold: float, engine: Engine) -> None:
    """Refuse a graph of all rows that lacks neighbours from the threshold on, by a few of the distinct rows."""
    some = np.unique(np.linspace(0, rows.n_distinct - 1, 16).astype(np.int32))
    queries = rows.gathered(some, engine)
    found = _core.similar_pairs(
        queries, rows.dim, None, rows.matrix, threshold, 1 << 62, engine.n_threads, engine.isa, engine.block, None
    )
    assert found is not None
    counts = np.bincount(found[0][some[found[0]] != found[1]], minlength=len(some))
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    first = rows.first[some]
    lists = [class_of[graph.indices[graph.indptr[row] : graph.indptr[row + 1]]] for row in first]
    listed = np.array([len(np.setdiff1d(near, own)) for near, own in zip(lists, some, strict=True)])
    for at in np.flatnonzero(counts != listed)[:1]:
        raise ValueError(
            f"graph must be that of these embeddings: it lists {listed[at]} rows for row {first[at]} with a "
            f"similarity of {threshold} or more, of which there are {counts[at]}"
        )


def distinct_graph(rows: UnitRows, graph: NeighborGraph) -> NeighborGraph:
    """The graph of all rows as a graph of the distinct ones: each keeps its first row's list, a class counting once."""
    if rows.class_of is None:
        return graph
    arrays = _core.collapse_lists(graph.indptr, graph.indices, graph.similarities, rows.class_of, *rows.member_lists)
    return unchecked_graph(*arrays, rows.n_distinct, rows.n_distinct)


def similar_lists(
    rows: UnitRows, graph: NeighborGraph, threshold: float, most: int, engine: Engine
) -> tuple[Listed, NDArray[np.uint8]] | None:
    """Lists of the distinct rows that hold, in both directions, all pairs from a similarity on, by a graph of all rows.

    They may hold others behind them, and lack those of two crowded rows, which are returned as well: rows whose list in
    the graph may have been cut before the threshold, or, where there are such rows, holds `most` pairs or more. None
    where the graph lacks so much that it is no help.
    """
    if graph.threshold is not None and graph.threshold > threshold:
        return None
    crowded = np.zeros(rows.n_distinct, dtype=np.uint8)
    if graph.threshold is not None:
        _check_complete(graph, rows, graph.threshold, engine)
        return Listed(graph, are_even=True, of_rows=rows.class_of is not None), crowded
    lists = distinct_graph(rows, graph)
    first = rows.first
    lengths, ends = np.diff(graph.indptr)[first], graph.indptr[first + 1]
    is_cut = lengths < graph.n_rows - 1
    filled = np.flatnonzero(is_cut & (lengths > 0))
    is_cut[filled] = graph.similarities[ends[filled] - 1].astype(np.float64) >= threshold
    if not is_cut.any():
        return Listed(lists, are_even=True), crowded
    # Rows that are in a crowd drop each other; others that are marked as such would all be compared.
    if int((is_cut & (lengths < FEW_LISTED)).sum()) > len(first) // 16:
        return None
    n_similar = np.concatenate([_n_similar(lists, start, threshold) for start in range(0, len(first), ROWS_AT_ONCE)])
    crowded[is_cut | (n_similar >= most)] = 1
    found = [_pairs_from(lists, start, n_similar, crowded) for start in range(0, len(first), ROWS_AT_ONCE)]
    row, other, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
    indptr = np.empty(len(first) + 1, dtype=np.int64)
    indices = np.empty(2 * len(row), dtype=np.int32)
    similarities = np.empty(len(indices), dtype=np.float32)
    _core.lists_of_pairs(row, other, similarity, True, indptr, indices, similarities)
    return Listed(unchecked_graph(indptr, indices, similarities, len(first), len(first)), are_even=True), crowded


def _n_similar(lists: NeighborGraph, start: int, threshold: float) -> NDArray[np.int64]:
    """How many pairs from the threshold on each row of a block lists."""
    indptr = lists.indptr[start : start + ROWS_AT_ONCE + 1]
    similar = lists.similarities[indptr[0] : indptr[-1]].astype(np.float64) >= threshold
    before = np.concatenate([[0], np.cumsum(similar)])
    return np.asarray(np.diff(before[indptr - indptr[0]]), dtype=np.int64)


def _pairs_from(
    lists: NeighborGraph, start: int, n_similar: NDArray[np.int64], crowded: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Those pairs that a block of rows lists, each once, but none of two crowded rows."""
    counts = n_similar[start : start + ROWS_AT_ONCE]
    row = np.repeat(np.arange(start, start + len(counts), dtype=np.int32), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)  # in the row's list
    entry = lists.indptr[row] + place
    other, similarity = lists.indices[entry], lists.similarities[entry]
    end = lists.indptr[other + 1] - 1
    empty = end < lists.indptr[other]
    last = np.where(empty, np.float32(2), lists.similarities[np.maximum(end, 0)])
    last_row = np.where(empty, -1, lists.indices[np.maximum(end, 0)])
    lists_less = (similarity < last) | ((similarity == last) & (row > last_row))  # the other row's list ends before
    chosen = ((row < other) | lists_less) & ((crowded[row] & crowded[other]) == 0)
    return row[chosen], other[chosen], similarity[chosen]
