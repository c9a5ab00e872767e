"""Ways to select rows, pyredund's and the peers', each from unit rows to the numbers of those kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund
from pyredund.bench._clusterings import ENGINES, canonical

K = 32
SEARCHES = 16  # for the threshold that leaves as many rows as are wanted

Rows = NDArray[np.float32]
Kept = NDArray[np.int64]
Groups = NDArray[np.int64] | None


def by_pyredund(rows: Rows, keep: int, groups: Groups, n_threads: int, **options: Any) -> Kept:
    """All rows at once, whatever their groups."""
    return pyredund.select(rows, keep=keep, n_threads=n_threads, **options).indices


def class_by_class(rows: Rows, keep: int, groups: Groups, n_threads: int, **options: Any) -> Kept:
    """Each group on its own, in proportion to its rows."""
    return pyredund.select(rows, keep=keep, groups=groups, n_threads=n_threads, **options).indices


def by_apricot(
    rows: Rows, keep: int, groups: Groups, n_threads: int, *, as_installed: bool = False, is_given_graph: bool = True
) -> Kept:
    """Lazy greedy facility location on the symmetrised graph; the peer is given pyredund's fast one.

    Unless `is_given_graph`, on all n * n similarities, which are computed as part of the call: for few rows. (Its own
    metric "cosine" takes their squares.)
    """
    if is_given_graph:
        graph = pyredund.knn_graph(rows, min(K, len(rows) - 1), n_threads=n_threads)
        return apricot_on(symmetric_similarities(graph.to_scipy()), keep, as_installed=as_installed)
    return apricot_on(np.maximum(rows @ rows.T, 0).astype(np.float64), keep, as_installed=as_installed)


def apricot_on(data: Any, keep: int, *, as_installed: bool = False) -> Kept:
    """Lazy greedy facility location on similarities, an array of all or a sparse matrix of some.

    As installed, it compiles its kernels anew in every call: about two seconds, whatever the size of the data. Unless
    `as_installed`, it is spared that, which is the comparison of algorithms.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it compiles with numba, whose notices on deprecation are not ours
        from apricot import FacilityLocationSelection
        from apricot.functions import facilityLocation as kernels

        selector = FacilityLocationSelection(keep, metric="precomputed", optimizer="lazy")
        with nullcontext() if as_installed else compiled_once(kernels):
            selector.fit(data)
    return np.asarray(selector.ranking, dtype=np.int64)


@contextmanager
def compiled_once(kernels: ModuleType) -> Iterator[None]:
    """Have apricot's kernel factories return what they compiled in an earlier call."""
    factories = ("calculate_gains", "calculate_gains_sparse", "calculate_gains_sieve")
    before = {name: getattr(kernels, name) for name in factories}
    try:
        for name, factory in before.items():
            setattr(kernels, name, _remembering(factory))
        yield
    finally:
        for name, factory in before.items():
            setattr(kernels, name, factory)


@cache
def _remembering(factory: Callable[..., object]) -> Callable[..., object]:
    return cache(factory)


def symmetric_similarities(graph: Any) -> Any:
    """Symmetrise a sparse matrix by maximum: nothing below 0, ones on the diagonal, in the types that apricot takes."""
    import scipy.sparse

    directed = scipy.sparse.csr_matrix(graph, dtype=np.float64)
    directed.data = np.maximum(directed.data, 0)
    symmetric = directed.maximum(directed.T).maximum(scipy.sparse.identity(directed.shape[0])).tocsr()
    symmetric.indices = symmetric.indices.astype(np.int32)
    symmetric.indptr = symmetric.indptr.astype(np.int32)
    return symmetric


def by_mundig(rows: Rows, keep: int, groups: Groups, n_threads: int) -> Kept:
    """Greedy k-center; it has no setting for the number of threads."""
    import lightly_mundig

    selection = lightly_mundig.Selection()
    selection.add_diversifying_strategy(embeddings=rows, strength=1.0)
    return np.asarray(selection.run_selection([], len(rows), keep), dtype=np.int64)


def by_semhash(rows: Rows, keep: int, groups: Groups, n_threads: int) -> Kept:
    """Deduplication at a threshold that is searched for; as many rows as wanted or, if need be, the next more.

    The index is built once. Where no threshold leaves as few rows, the result has too many.
    """
    from semhash import SemHash

    no_model: Any = None  # never asked, since the embeddings are given
    hashed = SemHash.from_embeddings(rows, [str(row) for row in range(len(rows))], no_model)
    near, far, best = 1e-6, 1.0, np.arange(len(rows))  # distances at the threshold
    for _ in range(SEARCHES):
        distance = (near * far) ** 0.5
        found = hashed.self_deduplicate(1 - distance).selected
        kept = np.array([int(record) for record in found], dtype=np.int64)
        if keep <= len(kept) < len(best):
            best = kept
        if len(best) == keep:
            break
        near, far = (near, distance) if len(kept) < keep else (distance, far)
    return np.sort(best)


def by_kmeans_and_pairs(rows: Rows, keep: int, groups: Groups, n_threads: int) -> Kept:
    """k-means, then all pairs of each cluster, of which rows near the centre go first (SemDeDup: Abbas et al., 2023).

    Instead of those above a threshold, the rows most similar to one before them go, as many as are to go. There are
    sqrt(n) clusters.
    """
    from sklearn.cluster import KMeans

    n = len(rows)
    found = KMeans(max(1, round(n**0.5)), n_init=1, random_state=0).fit(rows)
    to_centre = np.einsum("ij,ij->i", rows, found.cluster_centers_[found.labels_])
    order = np.lexsort((to_centre, found.labels_))
    starts = np.flatnonzero(np.diff(found.labels_[order], prepend=-1))
    redundancy = np.full(n, -np.inf)
    for members in np.split(order, starts[1:]):
        scores = np.triu(rows[members] @ rows[members].T, 1)
        scores[np.tril_indices(len(members))] = -np.inf
        redundancy[members] = scores.max(axis=0)
    return np.sort(np.argsort(redundancy, kind="stable")[:keep])


def by_clustering(rows: Rows, keep: int, groups: Groups, n_threads: int, *, engine: str, linkage: str) -> Kept:
    """One row of each cluster: the one with the largest sum of similarities to the others."""
    return central_rows(rows, ENGINES[engine](rows, keep, groups, n_threads, linkage=linkage))


def central_rows(rows: Rows, labels: NDArray[np.int64]) -> Kept:
    """The row of each cluster with the largest sum of similarities to its rows, ties to the lowest."""
    labels, wide = canonical(labels), rows.astype(np.float64)
    sums = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    np.add.at(sums, labels, wide)
    centrality = np.einsum("ij,ij->i", wide, sums[labels])
    order = np.lexsort((np.arange(len(rows)), -centrality, labels))
    return order[np.unique(labels[order], return_index=True)[1]]
