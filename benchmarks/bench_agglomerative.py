"""Agglomerative clustering cut at 90 % of the rows: pyredund beside fastcluster and SciPy on all distances."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import pyredund
from benchmarks.datasets import embeddings
from benchmarks.machine import all_threads, description
from benchmarks.timing import Benchmark

PEER_ROWS = 20_000
SHARE = 0.9
ROUNDS = 3
RATIO = 50  # times as fast as fastcluster with its distances, at PEER_ROWS
GRAPH_RATIO = 1.25  # of the time of a graph of 32 neighbours, for a whole selection
Labels = NDArray[np.int64]


def pca64(rows: int | None = None) -> NDArray[np.float32]:
    try:
        return embeddings("pca64")[:rows]
    except FileNotFoundError as error:
        pytest.skip(str(error))


def by_fastcluster(rows: NDArray[np.float32], n_clusters: int, linkage: str) -> Labels:
    import fastcluster
    from scipy.spatial.distance import pdist

    return cut(fastcluster.linkage(pdist(rows, "cosine"), linkage), len(rows), n_clusters)


def by_scipy(rows: NDArray[np.float32], n_clusters: int, linkage: str) -> Labels:
    from scipy.cluster.hierarchy import linkage as linkage_of
    from scipy.spatial.distance import pdist

    return cut(linkage_of(pdist(rows, "cosine"), linkage), len(rows), n_clusters)


def by_pyredund(rows: NDArray[np.float32], n_clusters: int, linkage: str) -> Labels:
    return pyredund.agglomerative_labels(rows, n_clusters, linkage=linkage)


def cut(merges: NDArray[np.float64], n: int, n_clusters: int) -> Labels:
    """The clusters after n - n_clusters merges, numbered by their lowest rows; the heights there must differ."""
    last, after = merges[n - n_clusters - 1 : n - n_clusters + 1, 2]
    assert after - last > 1e-9, "a tie at the cut: either may merge first"
    lowest = np.arange(2 * n)
    into = np.arange(2 * n)
    for step, (a, b) in enumerate(merges[: n - n_clusters, :2].astype(np.int64).tolist()):
        into[a] = into[b] = n + step
        lowest[n + step] = min(lowest[a], lowest[b])
    for cluster in range(n + (n - n_clusters) - 1, -1, -1):
        into[cluster] = into[into[cluster]]
    return np.unique(lowest[into[:n]], return_inverse=True)[1].astype(np.int64)


CLUSTERERS: dict[str, tuple[str, Callable[[NDArray[np.float32], int, str], Labels]]] = {
    "fastcluster": ("fastcluster", by_fastcluster),
    "SciPy": ("scipy", by_scipy),
}


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@pytest.mark.parametrize("linkage", ["average", "complete", "single"])
@pytest.mark.parametrize("peer", CLUSTERERS)
def test_agglomerative(benchmark: Benchmark, peer: str, linkage: str) -> None:
    """The peer is timed by the fixture; ours, whose time goes beside it, finds the same clusters."""
    module, cluster = CLUSTERERS[peer]
    pytest.importorskip(module)
    pytest.importorskip("scipy")
    rows = pca64(PEER_ROWS)
    n_clusters = round(len(rows) * SHARE)
    benchmark.group = f"agglomerative, {linkage} linkage, keep {SHARE}, {len(rows):,} rows"
    by_pyredund(rows[:1000], 900, linkage)
    ours = min(seconds(lambda: by_pyredund(rows, n_clusters, linkage)) for _ in range(ROUNDS))
    begin = time.perf_counter()
    labels = benchmark.pedantic(cluster, args=(rows, n_clusters, linkage), rounds=1)
    ratio = (time.perf_counter() - begin) / ours
    np.testing.assert_array_equal(by_pyredund(rows, n_clusters, linkage), labels)
    benchmark.extra_info.update(pyredund=ours, ratio=ratio, threads=all_threads(), machine=description())
    if len(rows) == PEER_ROWS and linkage != "single":  # single linkage needs no more than a spanning tree of a peer
        assert ratio >= RATIO, f"{ratio:.0f} times as fast as {peer}"


@pytest.mark.parametrize("linkage", ["average", "complete", "single"])
def test_select_all_rows(benchmark: Benchmark, linkage: str) -> None:
    rows = pca64()
    benchmark.group = f"select keep={SHARE}, agglomerative, {len(rows):,} rows"
    graph = min(seconds(lambda: pyredund.knn_graph(rows, 32)) for _ in range(ROUNDS))

    def choose() -> pyredund.Selection:
        return pyredund.select(rows, SHARE, method="agglomerative", linkage=linkage)

    ours = min(seconds(choose) for _ in range(ROUNDS))
    selection = benchmark.pedantic(choose, args=(), rounds=1)
    selection.verify(rows)
    benchmark.extra_info.update(graph=graph, ratio=ours / graph, threads=all_threads(), machine=description())
    if len(rows) >= PEER_ROWS:
        assert ours <= GRAPH_RATIO * graph, f"{ours / graph:.2f} times the graph"
