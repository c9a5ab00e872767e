"""Agglomerative clustering by cosine distance, as each library does it, cut at exactly so many clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund
from pyredund._groups import Seats

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Groups = NDArray[np.int64] | None
BLOCK = 256  # rows of distances computed at a time


def by_pyredund(rows: Rows, n_clusters: int, groups: Groups, n_threads: int, *, linkage: str) -> Labels:
    """From radius searches, without the distances of all pairs."""
    labels: Labels = pyredund.agglomerative_labels(  # type: ignore[attr-defined,unused-ignore]
        rows, n_clusters, linkage=linkage, n_threads=n_threads
    )
    return labels


def by_sklearn(rows: Rows, n_clusters: int, groups: Groups, n_threads: int, *, linkage: str) -> Labels:
    """As most people call it."""
    from sklearn.cluster import AgglomerativeClustering

    clustering = AgglomerativeClustering(n_clusters=n_clusters, metric="cosine", linkage=linkage)
    return np.asarray(clustering.fit_predict(rows.astype(np.float64)), dtype=np.int64)


def by_scipy(rows: Rows, n_clusters: int, groups: Groups, n_threads: int, *, linkage: str) -> Labels:
    """From the distances of all pairs."""
    from scipy.cluster import hierarchy

    return cut(hierarchy.linkage(condensed_distances(rows), linkage), n_clusters)


def by_fastcluster(rows: Rows, n_clusters: int, groups: Groups, n_threads: int, *, linkage: str) -> Labels:
    """From the distances of all pairs, which are overwritten."""
    import fastcluster

    return cut(fastcluster.linkage(condensed_distances(rows), linkage, preserve_input=False), n_clusters)


def by_textbook(rows: Rows, n_clusters: int, groups: Groups, n_threads: int, *, linkage: str) -> Labels:
    """The smallest of all distances, searched for anew in every step: O(n^3), though NumPy does the inner loops."""
    n = len(rows)
    wide = rows.astype(np.float64)
    distances = 1 - wide @ wide.T
    np.fill_diagonal(distances, np.inf)
    sizes, labels = np.ones(n), np.arange(n)
    for _ in range(n - n_clusters):
        left, right = np.unravel_index(np.argmin(distances), distances.shape)
        if linkage == "average":
            merged = (sizes[left] * distances[left] + sizes[right] * distances[right]) / (sizes[left] + sizes[right])
        else:
            merged = (np.maximum if linkage == "complete" else np.minimum)(distances[left], distances[right])
        distances[left], distances[:, left] = merged, merged
        distances[left, left] = np.inf
        distances[right], distances[:, right] = np.inf, np.inf
        sizes[left] += sizes[right]
        labels[labels == right] = left
    return labels


def class_by_class(rows: Rows, n_clusters: int, groups: Groups, n_threads: int, *, engine: str, linkage: str) -> Labels:
    """Each group on its own, its number of clusters in proportion to its rows."""
    if groups is None:
        raise ValueError("groups must be given for clustering class by class, got None")
    codes = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(codes)
    counts = Seats.of(sizes, np.zeros(len(sizes), dtype=np.int64)).counts(n_clusters)
    labels = np.empty(len(rows), dtype=np.int64)
    for code, count in enumerate(counts):
        members = np.flatnonzero(codes == code)
        found = ENGINES[engine](rows[members], int(count), None, n_threads, linkage=linkage)
        labels[members] = members[canonical(found)]  # a cluster's number is below its group's size
    return labels


def condensed_distances(rows: Rows) -> NDArray[np.float64]:
    """Cosine distances of all pairs of unit rows as SciPy's ``pdist`` lays them out, by matrix products."""
    n, wide = len(rows), rows.astype(np.float64)
    distances = np.empty(n * (n - 1) // 2)
    end = 0
    for start in range(0, n, BLOCK):
        products = wide[start : start + BLOCK] @ wide[start:].T
        for i, row in enumerate(products):
            begin, end = end, end + n - start - i - 1
            np.subtract(1, row[i + 1 :], out=distances[begin:end])
    return distances


def cut(merges: NDArray[np.float64], n_clusters: int) -> Labels:
    """Labels after the merges that leave so many clusters, from SciPy's table of merges.

    ``fcluster`` would return fewer clusters where heights tie.
    """
    n = len(merges) + 1
    parent = np.arange(2 * n - 1)
    n_merges = n - n_clusters
    parent[merges[:n_merges, :2].astype(np.int64)] = n + np.arange(n_merges)[:, None]
    while True:  # each round doubles the way that a row has gone up
        above = parent[parent]
        if (above == parent).all():
            return canonical(parent[:n])
        parent = above


def canonical(labels: NDArray[Any]) -> Labels:
    """The same partition with clusters numbered by their lowest rows, so that equal partitions are equal arrays."""
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[codes]


ENGINES = {
    "pyredund": by_pyredund,
    "scikit-learn": by_sklearn,
    "SciPy": by_scipy,
    "fastcluster": by_fastcluster,
    "textbook": by_textbook,
}
