"""Ways to select rows, pyredund's and the peers', each from unit rows to the numbers of those kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyredund

K = 32

Rows = NDArray[np.float32]
Kept = NDArray[np.int64]


@dataclass(frozen=True)
class SelectPeer:
    """A way to select rows.

    Parameters
    ----------
    module : str
        What must be importable.
    rounds : int
        How often to repeat it at 10,000 x 64.
    select : callable
        From unit rows, the number to keep and the number of threads to the rows kept.
    """

    module: str
    rounds: int
    select: Callable[[Rows, int, int], Kept]


def by_pyredund(rows: Rows, keep: int, n_threads: int, *, method: str) -> Kept:
    return pyredund.select(rows, keep=keep, method=method, n_threads=n_threads).indices


def by_apricot(rows: Rows, keep: int, n_threads: int, *, as_installed: bool) -> Kept:
    """Lazy greedy facility location on the symmetrised graph; the peer is given pyredund's fast one.

    As installed, it compiles its kernels anew in every call: about two seconds, whatever the size of the data. Unless
    `as_installed`, it is spared that, which is the comparison of algorithms.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it compiles with numba, whose notices on deprecation are not ours
        from apricot import FacilityLocationSelection
        from apricot.functions import facilityLocation as kernels

        graph = symmetric_similarities(pyredund.knn_graph(rows, K, n_threads=n_threads))
        selector = FacilityLocationSelection(keep, metric="precomputed", optimizer="lazy")
        with nullcontext() if as_installed else compiled_once(kernels):
            selector.fit(graph)
    return np.asarray(selector.ranking, dtype=np.int64)


@contextmanager
def compiled_once(kernels: ModuleType) -> Iterator[None]:
    """Have apricot's kernel factories return what they compiled in an earlier call."""
    factories = ("calculate_gains_sparse", "calculate_gains_sieve")
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


def symmetric_similarities(graph: pyredund.NeighborGraph) -> Any:
    """Symmetrise a graph by maximum: nothing below 0, ones on the diagonal, in the types that apricot takes."""
    import scipy.sparse

    directed = scipy.sparse.csr_matrix(graph.to_scipy(), dtype=np.float64)
    directed.data = np.maximum(directed.data, 0)
    symmetric = directed.maximum(directed.T).maximum(scipy.sparse.identity(graph.n_rows)).tocsr()
    symmetric.indices = symmetric.indices.astype(np.int32)
    symmetric.indptr = symmetric.indptr.astype(np.int32)
    return symmetric


def by_mundig(rows: Rows, keep: int, n_threads: int) -> Kept:
    """Greedy k-center; it has no setting for the number of threads."""
    import lightly_mundig

    selection = lightly_mundig.Selection()
    selection.add_diversifying_strategy(embeddings=rows, strength=1.0)
    return np.asarray(selection.run_selection([], len(rows), keep), dtype=np.int64)


def by_agglomerative(rows: Rows, keep: int, n_threads: int, *, linkage: str) -> Kept:
    """One row of each cluster: the one with the largest sum of similarities to the others."""
    from sklearn.cluster import AgglomerativeClustering

    clustering = AgglomerativeClustering(n_clusters=keep, metric="cosine", linkage=linkage)
    labels = np.asarray(clustering.fit_predict(rows), dtype=np.int64)
    sums = np.zeros((keep, rows.shape[1]))
    np.add.at(sums, labels, rows.astype(np.float64))
    centrality = np.einsum("ij,ij->i", rows.astype(np.float64), sums[labels])
    order = np.lexsort((np.arange(len(rows)), -centrality, labels))
    return order[np.unique(labels[order], return_index=True)[1]]


REMOVAL, APRICOT, MUNDIG = "pyredund removal", "apricot lazy facility location", "lightly-mundig k-center"
KCENTER = "pyredund kcenter"
SELECT_PEERS = {
    REMOVAL: SelectPeer("pyredund", 5, partial(by_pyredund, method="removal")),
    "pyredund insertion": SelectPeer("pyredund", 5, partial(by_pyredund, method="insertion")),
    KCENTER: SelectPeer("pyredund", 5, partial(by_pyredund, method="kcenter")),
    "pyredund random": SelectPeer("pyredund", 5, partial(by_pyredund, method="random")),
    APRICOT: SelectPeer("apricot", 1, partial(by_apricot, as_installed=False)),
    f"{APRICOT}, compiling": SelectPeer("apricot", 1, partial(by_apricot, as_installed=True)),
    MUNDIG: SelectPeer("lightly_mundig", 1, by_mundig),
    "scikit-learn average linkage": SelectPeer("sklearn", 1, partial(by_agglomerative, linkage="average")),
    "scikit-learn complete linkage": SelectPeer("sklearn", 1, partial(by_agglomerative, linkage="complete")),
}


def kept_count(n: int, share: float = 0.9) -> int:
    """Round a share of n rows half up, as `keep` is defined."""
    return max(1, int(np.floor(n * share + 0.5)))
