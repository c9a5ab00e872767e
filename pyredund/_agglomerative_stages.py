"""Agglomerative clustering in stages, without all pairs of rows.

A stage merges everything up to a height, its limit. Two clusters merge no higher than the limit only if clusters of the
stage's start that they are made of lie so close: of single linkage two rows, of complete linkage any two rows, hence
also their lowest ones, and of average linkage, whose heights are means of heights, one pair of clusters, whose height
is 1 less the product of their mean rows. So all pairs of rows, of lowest rows or of mean rows within the limit are
candidates enough. The limit is a matter of speed: it is chosen so that enough clusters have their nearest neighbour
within it, and lowered where that gives too many candidates, as in a dense clump of rows, whose clusters are fewer in
the next stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyredund import _core
from pyredund._engine import Engine
from pyredund._knn_graph import query
from pyredund._memory import readable
from pyredund._neighbor_graph import NeighborGraph
from pyredund._radius_graph import with_sketch
from pyredund._unit_rows import UnitRows

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]

CANDIDATE_BYTES = 112  # of a pair while its clusters merge
FEW, PER_CLUSTER = 1 << 21, 4  # candidates of a stage that are always welcome, and those for each cluster
FEW_POINTS = 16  # of which all pairs are candidates; of four times as many where clusters cannot be large
FEW_ROWS = 4096
SAMPLE = 512  # rows whose nearest neighbours stand for all
SHARE, MOST_SHARE = 2.6, 0.6  # clusters with their neighbour within the limit for each merge wanted; and of all at most
HALVINGS, CLOSE = 24, 2.0**-36
# How far the float32 similarity of two rows, mean rows included, lies from 1 less their clusters' height, at most.
MARGIN = 2.0**-22


@dataclass(frozen=True)
class Candidates:
    """Pairs that hold every merge up to a limit; where they are pairs of rows, with their similarities."""

    left: Ids
    right: Ids
    limit: float
    similarities: Floats | None = None


@dataclass(frozen=True)
class Points:
    """What a stage searches: mean rows, lowest rows, or all rows with their clusters as groups."""

    rows: UnitRows
    groups: Ids | None
    linkage: str
    n_clusters: int

    @classmethod
    def of(cls, clusters: _core.Agglomeration, rows: UnitRows, linkage: str) -> Points:
        """The points of the clusters as they are."""
        n = clusters.n_clusters
        if n == rows.n_distinct:
            return cls(UnitRows(rows.matrix, rows.dim, None, n), None, linkage, n)
        if linkage == "single":
            return cls(UnitRows(rows.matrix, rows.dim, None, rows.n_distinct), clusters.labels(), linkage, n)
        if linkage == "complete":
            return cls(UnitRows(rows.matrix[clusters.first()], rows.dim, None, n), None, linkage, n)
        means = np.empty((n, rows.matrix.shape[1]), dtype=np.float32)
        clusters.means(means)
        return cls(UnitRows(means, rows.dim, None, n), None, linkage, n)

    def candidates(self, clusters: _core.Agglomeration, limit: float, most: int, engine: Engine) -> Candidates | None:
        """Candidates up to the limit; None where there are more than `most`."""
        if self.groups is None:
            return _search(clusters, self.rows, limit, most, engine)
        largest = np.bincount(self.groups).argmax()
        others = np.flatnonzero(self.groups != largest)
        if 8 * len(others) > len(self.groups):
            found = _search(clusters, self.rows, limit, most, engine, (self.groups, None))
            return None if found is None else Candidates(found.left, found.right, limit)
        small = UnitRows(self.rows.matrix[others], self.rows.dim, None, len(others))
        groups = np.ascontiguousarray(self.groups[others]), self.groups
        found = _search(clusters, small, limit, most, engine, groups, self.rows)
        return None if found is None else Candidates(others[found.left].astype(np.int32), found.right, limit)


def _search(
    clusters: _core.Agglomeration,
    rows: UnitRows,
    limit: float,
    most: int,
    engine: Engine,
    groups: tuple[Ids | None, Ids | None] = (None, None),
    columns: UnitRows | None = None,
) -> Candidates | None:
    """Candidates among rows, or of rows with columns; None where there are more than `most`."""

    def search(sketch: tuple[object, ...] | None) -> tuple[Ids, Ids, Floats] | None:
        with engine.reporting("pairs", "tile") as report:
            return clusters.candidates(
                rows.matrix,
                rows.dim,
                sketch,
                None if columns is None else columns.matrix,
                *groups,
                limit,
                most,
                engine.n_threads,
                engine.isa,
                engine.block,
                report,
            )

    found = search(None) if columns is not None else with_sketch(rows, 1 - limit - MARGIN, engine, search)
    return None if found is None else Candidates(found[0], found[1], limit, found[2])


def merge_down(
    rows: UnitRows, n_clusters: int, linkage: str, engine: Engine, room: int, graph: NeighborGraph | None = None
) -> tuple[_core.Agglomeration, Candidates | None]:
    """Merge distinct rows until `n_clusters` are left; `graph`, where given, is that of the distinct rows.

    Also returns what the first stage found, where it searched: all pairs of rows from a similarity on.
    """
    clusters = _core.Agglomeration(rows.matrix, rows.dim, rows.counts, linkage, engine.isa)
    limit = -MARGIN  # nothing lies lower: rows are unit rows
    first = None
    while clusters.n_clusters > n_clusters:
        need = clusters.n_clusters - n_clusters
        points = Points.of(clusters, rows, linkage)
        if graph is not None and clusters.n_clusters == rows.n_distinct:
            found = _from_graph(clusters, points.rows, graph, need, room, engine)
        else:
            found = None
        found = found or _candidates(points, clusters, rows, need, limit, room, engine)
        limit = found.limit
        if clusters.n_clusters == rows.n_distinct and found.similarities is not None:
            first = found
        with engine.reporting("merges", "merge") as report:
            clusters.merge(found.left, found.right, limit, need, engine.n_threads, report)
    return clusters, first


def _candidates(
    points: Points, clusters: _core.Agglomeration, rows: UnitRows, need: int, done: float, room: int, engine: Engine
) -> Candidates:
    """Candidates of the next stage, with a limit above `done`: at least one merge, or a limit that is higher."""
    n = len(points.rows.matrix)
    small = points.linkage == "average" or rows.n_distinct <= FEW_ROWS
    if n <= (4 * FEW_POINTS if small else FEW_POINTS):
        left, right = np.triu_indices(n, 1)
        return Candidates(left.astype(np.int32), right.astype(np.int32), np.inf)
    nearest = _nearest_heights(points, clusters, rows, engine)
    most = min(max(FEW, PER_CLUSTER * points.n_clusters), room // CANDIDATE_BYTES)
    share = min(SHARE * need / points.n_clusters + 0.04, MOST_SHARE)
    rank = max(0, min(len(nearest) - 1, round(share * len(nearest))))
    while True:
        found = points.candidates(clusters, float(nearest[rank]), most, engine)
        if found is not None:
            return found
        if rank == 0:
            break
        rank //= 2
    lower, upper = done, float(nearest[0])  # too many pairs up to this one
    for _ in range(HALVINGS):
        limit = (lower + upper) / 2
        if upper - lower < CLOSE:
            break
        found = points.candidates(clusters, limit, most, engine)
        if found is None:
            upper = limit
        elif len(found.left) == 0:
            lower = limit
        else:
            return found
    return _all_at_once(points, clusters, float(nearest[0]), room, engine)


def _all_at_once(points: Points, clusters: _core.Agglomeration, limit: float, room: int, engine: Engine) -> Candidates:
    found = points.candidates(clusters, limit, room // CANDIDATE_BYTES, engine)
    if found is None:
        raise MemoryError(
            f"agglomerative clustering of {points.n_clusters} clusters whose nearest neighbours lie at about equal "
            f"distances, {limit:.6g}, would take more than the {readable(max(0, room))} there is room for"
        )
    return found


def _from_graph(
    clusters: _core.Agglomeration, rows: UnitRows, graph: NeighborGraph, need: int, room: int, engine: Engine
) -> Candidates | None:
    """The first stage from lists of nearest rows; None where they lead to too many candidates.

    The r-th lowest height at which two rows are each other's nearest bounds that of the r-th merge. A pair that neither
    of two lists holds is no closer than the last of either, so that only rows with close lists are searched.
    """
    n = graph.n_rows
    lengths = np.diff(graph.indptr)
    listed = np.flatnonzero(lengths)
    if len(listed) == 0:
        return None
    first = np.full(n, -1, dtype=np.int64)
    first[listed] = graph.indices[graph.indptr[listed]]
    mutual = listed[first[first[listed]] == listed]
    heights = np.sort(1 - graph.similarities[graph.indptr[mutual]].astype(np.float64))[::2]  # each pair counts twice
    if len(heights) == 0:
        return None
    last = np.full(n, np.inf)
    last[listed] = graph.similarities[graph.indptr[listed + 1] - 1]
    last[lengths == n - 1] = -np.inf  # the list of all others
    most = min(max(FEW, PER_CLUSTER * n), room // CANDIDATE_BYTES)
    rank = min(need, round(len(heights) * 0.9)) - 1
    while True:
        limit = float(heights[max(rank, 0)]) + 2 * MARGIN
        threshold = 1 - limit - MARGIN
        near = np.flatnonzero(graph.similarities >= threshold)
        close = np.flatnonzero(last >= threshold)
        source = (np.searchsorted(graph.indptr, near, side="right") - 1).astype(np.int64)
        target = graph.indices[near].astype(np.int64)
        keys = [np.minimum(source, target) * n + np.maximum(source, target)]
        if len(close) > 1:
            dense = UnitRows(rows.matrix[close], rows.dim, None, len(close))
            found = _search(clusters, dense, limit, most, engine)
            if found is None and rank <= 0:
                return None
            if found is None:
                rank //= 2
                continue
            keys.append(close[found.left] * n + close[found.right])
        left, right = np.divmod(np.unique(np.concatenate(keys)), n)
        return Candidates(left.astype(np.int32), right.astype(np.int32), limit)


def _nearest_heights(
    points: Points, clusters: _core.Agglomeration, rows: UnitRows, engine: Engine
) -> NDArray[np.float64]:
    """Sorted heights at which some of the clusters would merge with about their nearest."""
    n = points.n_clusters
    rng = np.random.default_rng(5)
    if points.linkage == "average" or n == rows.n_distinct:
        some = np.sort(rng.choice(n, min(n, SAMPLE), replace=False)).astype(np.int32)
        matrix = points.rows.matrix
        closest = query(matrix[some], matrix, rows.dim, 1, engine.quiet(), some)[0][:, 0]
        return np.sort(clusters.heights(some, closest))
    labels = clusters.labels()
    members = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels, minlength=n)
    starts = np.cumsum(sizes) - sizes
    ordered = rows.matrix[members]
    candidates = rng.permutation(n)[: SAMPLE // 4]
    candidates = candidates[np.argsort(sizes[candidates], kind="stable")]
    chosen = candidates[: max(1, int(np.searchsorted(np.cumsum(sizes[candidates]), SAMPLE)))]
    nearest = [_about_nearest(int(c), ordered, starts, sizes, points.linkage, engine) for c in chosen]
    return np.sort(clusters.heights(chosen.astype(np.int32), np.array(nearest, dtype=np.int32)))


def _about_nearest(
    cluster: int, ordered: Floats, starts: NDArray[np.int64], sizes: NDArray[np.int64], linkage: str, engine: Engine
) -> int:
    """Complete or single linkage: the cluster that float32 takes for the nearest other one."""
    reduce = np.maximum if linkage == "single" else np.minimum
    own = slice(starts[cluster], starts[cluster] + sizes[cluster])
    closeness = np.full(len(sizes), -np.inf if linkage == "single" else np.inf, dtype=np.float32)
    for begin in range(own.start, own.stop, 64):
        some = ordered[begin : min(own.stop, begin + 64)]
        scores = np.empty((len(ordered), len(some)), dtype=np.float32)
        _core.products(ordered, some, scores, engine.n_threads, engine.isa)
        closeness = reduce(closeness, reduce.reduceat(reduce.reduce(scores, axis=1), starts))
    closeness[cluster] = -np.inf
    return int(np.argmax(closeness))
