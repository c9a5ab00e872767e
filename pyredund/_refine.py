"""Exchange removed rows for kept ones while the rows lose less by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._neighbor_graph import NeighborGraph, unchecked_graph
from pyredund._unit_rows import UnitRows

KEPT_WANTED = 3  # in each row's list: two decide what an exchange brings, the third lasts when one of them goes


def refine(
    rows: UnitRows,
    graph: NeighborGraph,
    kept: NDArray[np.int64],
    forced: NDArray[np.int64],
    weights: NDArray[np.int64],
    engine: Engine,
) -> NDArray[np.int64]:
    """Kept rows, ascending, after all exchanges that raise the weighted sum of similarities to the closest kept row.

    Of a single kept row, nothing is exchanged. `graph` is that of the distinct rows, `weights` are theirs.
    """
    if len(kept) < 2:
        return kept
    class_of = np.arange(rows.n_rows, dtype=np.int32) if rows.class_of is None else rows.class_of
    is_kept, must_keep = np.zeros(rows.n_rows, dtype=np.uint8), np.zeros(rows.n_rows, dtype=np.uint8)
    is_kept[kept], must_keep[forced] = 1, 1
    graph = _reaching(rows, graph, np.unique(class_of[kept]), engine)
    with engine.reporting("exchanges") as report:
        _core.refine(
            rows.matrix,
            rows.dim,
            graph.indptr,
            graph.indices,
            graph.similarities,
            class_of,
            *rows.member_lists,
            must_keep,
            weights,
            is_kept,
            engine.isa,
            report,
        )
    return np.flatnonzero(is_kept).astype(np.int64)


def _reaching(rows: UnitRows, graph: NeighborGraph, kept_classes: NDArray[np.int32], engine: Engine) -> NeighborGraph:
    """The graph with longer lists where they hold too few kept rows; the core would make them longer one by one."""
    is_kept = np.zeros(rows.n_distinct, dtype=np.int64)
    is_kept[kept_classes] = 1
    wanted = min(KEPT_WANTED, len(kept_classes) - 1)
    listed = np.concatenate([[0], np.cumsum(is_kept[graph.indices])])
    short = np.flatnonzero(listed[graph.indptr[1:]] - listed[graph.indptr[:-1]] < wanted).astype(np.int32)
    lengths, longer = np.diff(graph.indptr), []
    k = int(lengths.max(initial=1))
    while len(short):
        k = min(4 * k, rows.n_distinct - 1)
        found, similarities = query(rows.matrix[short], rows.matrix, rows.dim, k, engine, short)
        reach = np.cumsum(is_kept[found], axis=1)
        done = (reach[:, -1] >= wanted) | (k == rows.n_distinct - 1)
        for row, at, ids, scores in zip(short[done], reach[done], found[done], similarities[done], strict=True):
            length = max(int(lengths[row]), int(np.searchsorted(at, wanted)) + 1)
            longer.append((row, ids[:length].copy(), scores[:length].copy()))
            lengths[row] = length
        short = short[~done]
    if not longer:
        return graph
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.empty(indptr[-1], dtype=np.int32)
    scores = np.empty(indptr[-1], dtype=np.float32)
    is_longer = np.zeros(rows.n_distinct, dtype=bool)
    is_longer[[row for row, _, _ in longer]] = True
    of_old = np.repeat(~is_longer, np.diff(graph.indptr))
    place = np.arange(len(graph.indices)) + np.repeat(indptr[:-1] - graph.indptr[:-1], np.diff(graph.indptr))
    indices[place[of_old]], scores[place[of_old]] = graph.indices[of_old], graph.similarities[of_old]
    for row, ids, similarities_of_row in longer:
        indices[indptr[row] : indptr[row + 1]] = ids
        scores[indptr[row] : indptr[row + 1]] = similarities_of_row
    return unchecked_graph(indptr, indices, scores, rows.n_distinct, rows.n_distinct)
