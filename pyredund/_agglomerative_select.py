"""Selection by agglomerative clustering: of each cluster the most central row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._agglomerative import Clustering, cluster
from pyredund._closest import Listed, closest_kept
from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._neighbor_graph import NeighborGraph, unchecked_graph
from pyredund._selection import Selection
from pyredund._unit_rows import UnitRows

UNKNOWN = -3.0  # below any similarity, and below the -1 of a row that has no second other


def agglomerative(
    rows: UnitRows,
    n_keep: int,
    linkage: str,
    ranks: NDArray[np.int32] | None,
    graph: NeighborGraph | None,
    room: int,
    engine: Engine,
) -> Selection:
    """Cluster into `n_keep` clusters and keep of each the row with the largest sum of similarities to the others.

    Ties: higher rank, then the higher similarity to the second-nearest row not identical to it, then the lowest row.
    `graph`, where given, is that of the distinct rows and only saves comparisons.
    """
    clustering = cluster(rows, n_keep, linkage, engine, room, graph)
    listed = _listed(rows, clustering, graph)
    kept = _central(rows, clustering, ranks, listed, engine)
    selection = Selection.from_kept("agglomerative", kept, *closest_kept(rows, kept, engine, listed))
    return replace(selection, labels=clustering.labels, linkage=linkage)


def _listed(rows: UnitRows, clustering: Clustering, graph: NeighborGraph | None) -> Listed | None:
    if graph is not None:
        return Listed(graph, False)
    near = clustering.near
    if near is None or near.similarities is None:
        return None
    # Of what is not listed, the similarity may still round to that of the limit.
    left, right, similarities = near.left, near.right, near.similarities
    above = similarities > np.float32(1 - near.limit)
    left, right, scores = left[above], right[above], similarities[above]
    indptr = np.empty(rows.n_distinct + 1, dtype=np.int64)
    indices = np.empty(2 * len(left), dtype=np.int32)
    similarities = np.empty(len(indices), dtype=np.float32)
    _core.lists_of_pairs(left, right, scores, True, indptr, indices, similarities)
    return Listed(unchecked_graph(indptr, indices, similarities, rows.n_distinct, rows.n_distinct), True)


def _central(
    rows: UnitRows, clustering: Clustering, ranks: NDArray[np.int32] | None, listed: Listed | None, engine: Engine
) -> NDArray[np.int64]:
    """The row to keep of each cluster, ascending."""
    labels = clustering.labels
    n_clusters = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=n_clusters)
    kept = np.full(n_clusters, -1, dtype=np.int64)
    some = np.flatnonzero(sizes[labels] > 1)
    kept[labels[sizes[labels] == 1]] = np.flatnonzero(sizes[labels] == 1)
    class_of = some if rows.class_of is None else rows.class_of[some]
    closeness = _sums(rows, clustering, n_clusters, engine)[class_of]
    some, class_of = _largest(closeness, labels, some, class_of)
    if ranks is not None:
        some, class_of = _largest(ranks[some], labels, some, class_of)
    # Rows that still tie are of identical rows, or of rows such as the two of a pair.
    order = np.lexsort((some, labels[some]))
    some, class_of = some[order], class_of[order]
    groups, starts, of_group = np.unique(labels[some], return_index=True, return_inverse=True)
    tied = np.minimum.reduceat(class_of, starts)[of_group] != np.maximum.reduceat(class_of, starts)[of_group]
    second = np.zeros(len(some))
    second[tied] = _second_similarities(rows, class_of[tied], of_group[tied], listed, engine)
    order = np.lexsort((some, -second, of_group))
    kept[groups] = some[order[starts]]
    return np.sort(kept)


def _largest(
    values: NDArray[np.int64] | NDArray[np.int32],
    labels: NDArray[np.int64],
    some: NDArray[np.int64],
    class_of: NDArray[np.int32] | NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int32] | NDArray[np.int64]]:
    """Those of `some` rows whose value is the largest of their cluster."""
    largest = np.full(int(labels.max()) + 1, np.iinfo(values.dtype).min, dtype=values.dtype)
    np.maximum.at(largest, labels[some], values)
    stays = values == largest[labels[some]]
    return some[stays], class_of[stays]


def _sums(rows: UnitRows, clustering: Clustering, n_clusters: int, engine: Engine) -> NDArray[np.int64]:
    """Of each distinct row the similarities to the others of its cluster, in units of 2^-32.

    A row that bounds show not to have the largest sum of its cluster gets a lower one.
    """
    sums = np.zeros(rows.n_distinct, dtype=np.int64)
    if clustering.of_class is None:  # a cluster holds identical rows only
        return sums
    of_class = clustering.of_class
    members = np.argsort(of_class, kind="stable").astype(np.int32)
    member_ptr = np.concatenate([[0], np.cumsum(np.bincount(of_class, minlength=n_clusters))]).astype(np.int32)
    with engine.reporting("central rows", "cluster") as report:
        _core.central_rows(
            rows.matrix, rows.dim, rows.counts, member_ptr, members, sums, engine.n_threads, engine.isa, report
        )
    return sums


def _second_similarities(
    rows: UnitRows,
    classes: NDArray[np.int32] | NDArray[np.int64],
    groups: NDArray[np.intp],
    listed: Listed | None,
    engine: Engine,
) -> NDArray[np.float64]:
    """Similarity to the second-nearest row not identical to it; anything lower where another of the group is closer."""
    second = np.full(len(classes), UNKNOWN)
    counts = rows.counts
    if listed is not None:
        graph = listed.graph
        begin, length = graph.indptr[classes], np.diff(graph.indptr)[classes]
        has_one = np.flatnonzero(length >= 1)
        copied = has_one[counts[graph.indices[begin[has_one]]] > 1]
        has_two = np.flatnonzero(length >= 2)
        second[has_two] = graph.similarities[begin[has_two] + 1]
        second[copied] = graph.similarities[begin[copied]]
    open_rows = second == UNKNOWN
    if listed is not None and listed.are_even:  # what is not listed is less similar than all that is
        is_open = np.ones(int(groups.max(initial=-1)) + 1, dtype=bool)
        is_open[groups[~open_rows]] = False
        open_rows &= is_open[groups]
    if open_rows.any() and rows.n_distinct > 1:
        some = classes[open_rows].astype(np.int32)
        k = min(2, rows.n_distinct - 1)
        found, similarities = query(rows.matrix[some], rows.matrix, rows.dim, k, engine.quiet(), some)
        lone = np.full(len(some), -1.0) if k == 1 else similarities[:, 1]
        second[open_rows] = np.where(counts[found[:, 0]] > 1, similarities[:, 0], lone)
    return second
